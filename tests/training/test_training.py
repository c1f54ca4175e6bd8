"""The training gateway: as strict as TOP, as merciless as money, and reachable from nowhere."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from conftest import SLOWER
from hypothesis import given
from hypothesis import strategies as st

from posctl.config.profile import TRAINING_APP_KEY, TRAINING_SECRET
from posctl.errors import ConfigError
from posctl.gateway import top
from posctl.gateway.client import Gateway
from posctl.gateway.exchange import Sent, Timeout
from posctl.gateway.judge import read_event
from posctl.money.order import check_value
from posctl.money.outcome import Event
from posctl.shell import as_text
from posctl.training import SCENARIOS, reset, start_in_process
from posctl.training.answers import Answer
from posctl.training.gateway import TrainingGateway
from posctl.training.ledger import charges
from posctl.training.server import MAX_BODY, MAX_HEAD, Server

DATA = Path(__file__).parents[1] / "harness" / "data"
WIRES: list[dict[str, Any]] = [json.loads(p.read_text()) for p in sorted(DATA.glob("wire_*.json"))]
VECTORS: list[dict[str, Any]] = json.loads((DATA / "sign_vectors.json").read_text())
NOW_S = 1451620800.0  # 2016-01-01 12:00:00 in GMT+8, when the requests were captured
FORM = "application/x-www-form-urlencoded;charset=UTF-8"
PATIENCE_S = 20  # for what happens at once, unless it is broken
wires = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire["label"])

MEMBERS: dict[str, Any] = {
    "operator_id": "123",
    "request_id": "75626abc-452d-486e-970d-e65e12fc1456",
    "machine_id": "001",
    "buyer_id": 1,
    "pay_channel": "alipay_facepay_v2",
    "source": "hema",
    "pay_fee": 100,
    "shop_id": "1",
    "payment_channel": 1006,
    "payer_id": 3,
    "checkout_id": "111",
    "merchant_code": "HM",
    "order_id": "111",
}


def make(path: Path) -> TrainingGateway:
    """A gateway that knows the app of the captured requests, at their time."""
    return TrainingGateway(path, app_key="12345678", secret="helloworld", clock=lambda: NOW_S)


@pytest.fixture
def ledger_path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "training.db"


@pytest.fixture
def gateway(ledger_path: Path) -> TrainingGateway:
    return make(ledger_path)


@pytest.fixture
def server(gateway: TrainingGateway) -> Iterator[Server]:
    running = Server(gateway)
    yield running
    running.stop()


def code(number: int) -> str:
    """The payment code of a scenario."""
    return SCENARIOS[number - 1].code


def without(members: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in members.items() if name not in names}


def params(
    members: Mapping[str, Any] = MEMBERS,
    method: str = top.PAY_METHOD,
    request: str = "pay_request",
    /,
    **changes: str | None,
) -> dict[str, str]:
    """A call's parameters, signed after `changes`; None leaves one out."""
    given = {
        "method": method,
        "app_key": "12345678",
        "timestamp": "2016-01-01 12:00:00",
        "v": "2.0",
        "format": "json",
        "sign_method": "hmac-sha256",
        "shop_id": "1",
        request: json.dumps(dict(members)),
        **changes,
    }
    kept = {name: value for name, value in given.items() if value is not None}
    if "sign" not in changes:
        kept["sign"] = top.sign(kept, "helloworld", "hmac-sha256")
    return kept


def send(gateway: TrainingGateway, given: Mapping[str, str]) -> Answer:
    return gateway.handle("POST", b"/router/rest", FORM, urlencode(given).encode())


def tree(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.body)
    return found


def pay(gateway: TrainingGateway, **changes: Any) -> dict[str, Any]:
    """One payment's model; fails for anything but a business answer."""
    found = tree(send(gateway, params({**MEMBERS, **changes})))
    model: dict[str, Any] = found["alibaba_pos_order_pay_response"]["result"]["model"]
    return model


def error(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = tree(answer)["error_response"]
    return found


def refusal_code(answer: Answer) -> int | None:
    """The code of an error_response in either format; None for any other answer."""
    reply = top.read_reply(answer.body, top.PAY_METHOD)
    return reply.code if isinstance(reply, top.ErrorAnswer) else None


# ── the requests that other people's SDKs sent ───────────────────────────────────────────────


def target_of(wire: Mapping[str, Any], query: bytes | None = None) -> bytes:
    path: bytes = wire["path"].encode()
    query = wire["raw_query"].encode() if query is None else query
    return path + b"?" + query if query else path


def content_type_of(wire: Mapping[str, Any]) -> str:
    headers = {name.lower(): str(value) for name, value in wire["headers"]}
    return headers["content-type"]


def raw(wire: Mapping[str, Any]) -> bytes:
    """The request as it went over the wire."""
    lines = [f"{wire['method']} {target_of(wire).decode()} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in wire["headers"]]
    return "\r\n".join([*lines, "", wire["raw_body"]]).encode()


def spoken_to(server: Server, request: bytes, *, ends: bool = True) -> bytes:
    """Everything the server says to these bytes, and to the end of them or the wait for more."""
    with socket.create_connection(address(server.url), timeout=PATIENCE_S) as sock:
        sock.sendall(request)
        if ends:
            sock.shutdown(socket.SHUT_WR)
        said = b""
        while piece := sock.recv(65536):
            said += piece
    return said


def address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


@wires
def test_captured_requests_are_accepted(wire: dict[str, Any], server: Server) -> None:
    """What shipping SDKs put on the wire is paid, in JSON, uncompressed even when gzip is taken."""
    head, _, body = spoken_to(server, raw(wire)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Type: text/javascript;charset=UTF-8" in head
    assert b"Content-Encoding" not in head
    reply = top.read_reply(body, top.PAY_METHOD)
    assert isinstance(reply, top.Answer)
    assert read_event(reply, 200, None) is Event.PAID


def alterations(text: bytes) -> Iterator[bytes]:
    """`text` with one byte changed: each byte in turn, to its neighbours, to another case, to
    non-ASCII and to every byte that has a meaning in a query, a form or a multipart body.
    """
    for at, byte in enumerate(text):
        for other in {byte ^ 1, byte ^ 2, byte ^ 0x20, byte ^ 0x80, 0, *b'&=%+ ;?#-"\r\n'} - {byte}:
            yield text[:at] + bytes([other]) + text[at + 1 :]


def same_parameters(wire: Mapping[str, Any], query: bytes, body: bytes) -> bool:
    """Whether another decoder finds the captured parameters, to the byte, in what was altered.

    Some bytes can be written in two ways: `%2f` is `%2F`, `+` is a space. In a multipart body the
    names `Content-Disposition`, `form-data` and `name` may be in either case.
    """
    expected: dict[str, str] = wire["decoded_params"]
    if not content_type_of(wire).startswith("multipart/"):
        pieces = f"{query.decode('latin-1')}&{body.decode('latin-1')}".strip("&")
        return dict(parse_qsl(pieces, keep_blank_values=True)) == expected
    original: bytes = wire["raw_body"].encode()
    (at,) = (at for at in range(len(body)) if body[at] != original[at])
    line = original[original.rfind(b"\r\n", 0, at) + 2 :].partition(b'"')[0]
    return line.startswith(b"Content-Disposition") and body.lower() == original.lower()


@wires
def test_any_altered_byte_is_refused_with_25(wire: dict[str, Any], ledger_path: Path) -> None:
    """One changed byte anywhere in query or body is an invalid signature, unless the very same
    parameters come out of it.
    """
    gateway = make(ledger_path)
    query, body = wire["raw_query"].encode(), wire["raw_body"].encode()
    altered = [(q, body) for q in alterations(query)] + [(query, b) for b in alterations(body)]
    assert len(altered) > 10 * (len(query) + len(body))
    accepted = 0
    for other_query, other_body in altered:
        target = target_of(wire, other_query)
        answer = gateway.handle(wire["method"], target, content_type_of(wire), other_body)
        refused_with = refusal_code(answer)
        if refused_with is None:
            accepted += 1
            assert same_parameters(wire, other_query, other_body), (other_query, other_body)
        else:
            assert refused_with == 25, (other_query, other_body, answer)
    # Nothing else can be written in two ways: a space, a letter in a percent escape or of a name
    # that starts a part of a multipart body.
    escapes = b"".join(re.findall(rb"\+|%[0-9A-F]{2}", query + body))
    names = b"".join(re.findall(rb'(Content-Disposition: form-data; name)="', body))
    assert accepted == len(re.findall(rb"[+A-F]", escapes) + re.findall(rb"[A-Za-z]", names))
    assert len(charges(ledger_path)) <= 1


@wires
def test_any_altered_byte_of_the_head_is_answered(wire: dict[str, Any], server: Server) -> None:
    """A request line or header that was changed on its way gets an answer that says so, or, like
    another User-Agent, changes nothing; it never breaks the server, and never charges otherwise.
    """
    whole = raw(wire)
    line_ends = whole.index(b"\r\n")
    for at in range(whole.index(b"\r\n\r\n") + 4):
        altered = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        said = spoken_to(server, altered)
        head, _, body = said.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n"), (at, altered[:at], said)
        reply = top.read_reply(body.partition(b"HTTP/1.1 200")[0], top.PAY_METHOD)
        if at < line_ends - 1:  # the last byte makes it HTTP/1.0, which is fine
            is_verb = at <= len(wire["method"])  # with the space that ends it
            assert isinstance(reply, top.ErrorAnswer)
            assert reply.code == (9 if is_verb else 25), (at, reply)
        elif isinstance(reply, top.ErrorAnswer):  # 24: a smaller Content-Length cuts the sign off
            assert reply.code in (24, 25), (at, reply)


@given(st.sampled_from(WIRES), st.data(), st.binary(min_size=1, max_size=3), st.integers(0, 3))
def test_any_damage_is_refused_and_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory,
    wire: dict[str, Any],
    data: st.DataObject,
    inserted: bytes,
    removed: int,
) -> None:
    """Bytes put into a request or taken out of it are refused, or change nothing it says."""
    gateway = make(tmp_path_factory.getbasetemp() / "damage.db")
    body = wire["raw_body"].encode()
    at = data.draw(st.integers(0, len(body)))
    damaged = body[:at] + inserted + body[at + removed :]
    answer = gateway.handle(wire["method"], target_of(wire), content_type_of(wire), damaged)
    if refusal_code(answer) is None:
        reply = top.read_reply(answer.body, top.PAY_METHOD)
        assert isinstance(reply, top.Answer)
        assert reply.number("current_pay_fee") == 100
    else:
        assert refusal_code(answer) in (24, 25)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_published_signatures_are_accepted(
    vector: dict[str, Any], gateway: TrainingGateway
) -> None:
    """No published signature is called invalid, and none is valid under another secret."""
    given = {**vector["params"], "sign": vector["sign"]}
    assert refusal_code(send(gateway, given)) not in (24, 25)
    stranger = TrainingGateway(
        Path("unused"), app_key="12345678", secret="helloworle", clock=lambda: NOW_S
    )
    assert refusal_code(send(stranger, given)) == 25


def test_four_shapes_say_the_same(gateway: TrainingGateway, ledger_path: Path) -> None:
    """Query and body, all in the body, multipart, all in a GET query: one payment each time."""
    given = params()
    query = urlencode({k: v for k, v in given.items() if k != "pay_request"}).encode()
    body = urlencode({"pay_request": given["pay_request"]}).encode()
    parts = "".join(
        f'--b\r\ncontent-disposition:form-data;name="{name}"\r\nContent-Type:text/plain\r\n\r\n'
        f"{value}\r\n"
        for name, value in given.items()
    )
    everything = urlencode(given).encode()
    for verb, target, kind, content in (
        ("POST", b"/router/rest?" + query, FORM, body),
        ("POST", b"/router/rest", FORM, everything),
        ("POST", b"/router/rest", 'multipart/form-data; boundary="b"', f"{parts}--b--".encode()),
        ("GET", b"/router/rest?" + everything, "", b""),
    ):
        answer = gateway.handle(verb, target, kind, content)
        assert refusal_code(answer) is None, answer
    assert len(charges(ledger_path)) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--b--", "--b"),
        ("--b--", ""),
        ("--b\r\n", "--bc\r\n"),
        ('name="v"', 'name="v"; filename="v"'),
        ('name="v"', 'name="v"\r\nContent-Disposition: form-data; name="v"'),
        ('Content-Disposition: form-data; name="v"', "Content-Type: text/plain"),
        ('name="v"\r\n\r\n2.0', 'name="v"\r\n2.0'),
        ("\r\n", "\n"),
    ],
)
def test_a_broken_multipart_body_is_refused(old: str, new: str, gateway: TrainingGateway) -> None:
    """A form that two readers could read in two ways is nobody's signed request."""
    body = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in params().items()
    )
    whole = f"{body}--b--"
    assert old in whole
    for text, expected in ((whole, None), (whole.replace(old, new), 25)):
        answer = gateway.handle(
            "POST", b"/router/rest", "multipart/form-data; boundary=b", text.encode()
        )
        assert refusal_code(answer) == expected


# ── what TOP checks ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"method": None}, 21),
        ({"method": "alibaba.pos.order.refund"}, 22),
        ({"format": "yaml"}, 23),
        ({"sign": None}, 24),
        ({"sign": "0" * 64}, 25),
        ({"session": ""}, 25),
        ({"sign_method": "sha1", "sign": "0" * 40}, 25),
        ({"sign_method": None, "sign": "0" * 32}, 25),
        ({"app_key": None}, 28),
        ({"app_key": "12345679"}, 29),
        ({"timestamp": None}, 30),
        ({"timestamp": "2016-01-01 12:10:01"}, 31),
        ({"timestamp": "2016-01-01 11:49:59"}, 31),
        ({"timestamp": "2016-02-30 12:00:00"}, 31),
        ({"timestamp": "2016-01-01T12:00:00"}, 31),
        ({"timestamp": "2016-01-01 04:00:00"}, 31),  # UTC, not GMT+8
        ({"timestamp": str(int(NOW_S))}, 31),  # seconds, not milliseconds
        ({"timestamp": str(int(NOW_S) * 1000 + 601_000)}, 31),
        ({"v": None}, 32),
        ({"v": "1.0"}, 33),
        ({"shop_id": None}, 40),
        ({"pay_request": None}, 40),
        ({"shop_id": "one"}, 41),
        ({"shop_id": "9223372036854775808"}, 41),
        ({"pay_request": "[]"}, 41),
        ({"pay_request": "{"}, 41),
        ({"pay_request": "[" * 100_000}, 41),
        ({"pay_request": '{"pay_fee":NaN}'}, 41),
        ({"pay_request": '{"pay_fee":1,"pay_fee":2}'}, 41),
        ({"pay_request": '{"pay_fee":' + "1" * 5000 + "}"}, 41),
    ],
    ids=lambda value: str(value)[:60],  # pytest puts it into a variable; Windows' are short
)
def test_refusals_have_tops_own_codes(
    changes: dict[str, str | None], expected: int, gateway: TrainingGateway, ledger_path: Path
) -> None:
    """Each wrong common parameter is refused with TOP's own code, under a right signature."""
    assert refusal_code(send(gateway, params(**changes))) == expected
    assert charges(ledger_path) == []


@pytest.mark.parametrize(
    "timestamp",
    ["2016-01-01 11:50:00", "2016-01-01 12:10:00", "1451620800000", "1451621400000"],
)
def test_ten_minutes_are_allowed(timestamp: str, gateway: TrainingGateway) -> None:
    """A clock may be ten minutes off either way, told as text or as epoch milliseconds."""
    assert refusal_code(send(gateway, params(timestamp=timestamp))) is None


def test_an_unknown_app_key_says_so(gateway: TrainingGateway) -> None:
    """An app key that is not known here is told in TOP's own words."""
    found = error(send(gateway, params(app_key="999")))
    assert (found["msg"], found["sub_code"]) == ("Invalid app Key", "isv.appkey-not-exists")
    assert found["request_id"].startswith("training-")


@pytest.mark.parametrize("name", MEMBERS)
def test_every_required_member_is_required(name: str, gateway: TrainingGateway) -> None:
    """A payment without one of the thirteen members the page requires is refused by its name."""
    for members in (without(MEMBERS, name), MEMBERS | {name: None}, MEMBERS | {name: ""}):
        found = error(send(gateway, params(members)))
        assert (found["code"], found["msg"]) == (40, f"Missing required arguments:{name}")


@pytest.mark.parametrize("name", [*MEMBERS, "attributes", "channel_account"])
def test_every_member_has_its_type(name: str, gateway: TrainingGateway) -> None:
    """Numbers are bare 64-bit integers, everything else is text: as the page says."""
    is_number = isinstance(MEMBERS.get(name), int)
    for value in ["7", 1.5, True, [], 1 << 63] if is_number else [7, True, {}, ["x"]]:
        found = error(send(gateway, params(MEMBERS | {name: value})))
        assert (found["code"], found["msg"]) == (41, f"Invalid arguments:{name}")


@pytest.mark.parametrize(
    ("name", "value"),
    [("pay_fee", 0), ("pay_fee", -100), ("request_id", "a\nb"), ("order_id", "\ud800")],
)
def test_impossible_values_are_refused(name: str, value: object, gateway: TrainingGateway) -> None:
    """No payment of nothing, and no text that cannot be stored or shown."""
    assert refusal_code(send(gateway, params(MEMBERS | {name: value}))) == 41


def test_two_shops_in_one_call_are_refused(gateway: TrainingGateway) -> None:
    """Both shop_id must be the same."""
    found = error(send(gateway, params(shop_id="2")))
    assert found["sub_code"] == "isv.parameters-mismatch:shop_id-and-pay_request.shop_id"


def test_a_parameter_given_twice_is_refused(gateway: TrainingGateway) -> None:
    """Two values of one name cannot both have been signed."""
    body = urlencode([*params().items(), ("shop_id", "1")]).encode()
    answer = gateway.handle("POST", b"/router/rest", FORM, body)
    assert refusal_code(answer) == 25


def test_other_verbs_are_refused(gateway: TrainingGateway) -> None:
    """Only GET and POST are calls."""
    answer = gateway.handle("PUT", b"/router/rest", FORM, urlencode(params()).encode())
    assert refusal_code(answer) == 9


# ── answers ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "content_type", "begins"),
    [
        ({}, "text/javascript;charset=UTF-8", b'{"alibaba_pos_order_pay_response":{"result":'),
        ({"simplify": "true"}, "text/javascript;charset=UTF-8", b'{"result":{"model":'),
        ({"format": "xml"}, "text/xml;charset=UTF-8", b"<?xml version="),
        ({"format": None}, "text/xml;charset=UTF-8", b"<?xml version="),
    ],
    ids=str,
)
def test_formats(
    changes: dict[str, str | None], content_type: str, begins: bytes, gateway: TrainingGateway
) -> None:
    """JSON, simplified JSON and XML say the same; XML is what comes unasked."""
    answer = send(gateway, params(MEMBERS | {"channel_account": code(2)}, **changes))
    assert (answer.content_type, answer.status) == (content_type, 200)
    assert answer.body.startswith(begins)
    reply = top.read_reply(answer.body, top.PAY_METHOD)
    assert isinstance(reply, top.Answer)
    assert read_event(reply, 200, None) is Event.PAID
    assert reply.number("remaining_fee") == 23
    assert reply.outer_success is reply.model_success is True
    assert reply.trace_id
    assert reply.trace_id.startswith("training-")


def test_errors_come_in_xml_unasked(gateway: TrainingGateway) -> None:
    """An error follows the format that was asked for, too."""
    answer = send(gateway, params(format=None, sign="0" * 64))
    assert answer.body.startswith(b"<?xml")
    assert refusal_code(answer) == 25


def test_everything_it_makes_is_marked(gateway: TrainingGateway) -> None:
    """No id or message of a training payment can pass for a real one."""
    found = tree(send(gateway, params()))["alibaba_pos_order_pay_response"]
    model = found["result"]["model"]
    assert model["payment_order_id"].startswith("TRAINING-")
    assert model["channel_order_id"].startswith("training-")
    assert found["request_id"].startswith("training-")
    assert "training" in model["result_message"]


# ── money ────────────────────────────────────────────────────────────────────────────────────

PAID, FAILED, PENDING = Event.PAID, Event.FAILED, Event.STILL_PENDING
# What the first and the second call meet, and how many charges stand after each.
TOLD = [
    (PAID, PAID, 1, 1),
    (PAID, PAID, 1, 1),
    (FAILED, FAILED, 0, 0),
    (PENDING, PAID, 0, 1),
    (PENDING, FAILED, 0, 0),
    (Event.READ_TIMEOUT, PAID, 0, 1),
    (Event.READ_TIMEOUT, PAID, 1, 1),
    (Event.CUT, PAID, 0, 1),
    (Event.CUT, PAID, 1, 1),
    (Event.GATEWAY_REFUSED, PAID, 0, 1),
    (Event.SYSTEM_ERROR, PAID, 0, 1),
    (Event.NOT_TOP, PAID, 1, 1),
    (PENDING, PENDING, 0, 0),
    (Event.CONTRADICTION, Event.CONTRADICTION, 1, 1),
    (Event.FAILED_AS_USED, Event.FAILED_AS_USED, 0, 0),
    (Event.BUSINESS_REFUSED, Event.BUSINESS_REFUSED, 0, 0),
    (Event.HTTP_ERROR, PAID, 1, 1),
    (Event.TRUNCATED, PAID, 1, 1),
    (Event.CUT, Event.FAILED_AS_USED, 1, 1),
    (Event.CUT, Event.ALREADY_DONE, 1, 1),
    (Event.CUT, Event.UNDECIDED, 1, 1),
    (Event.CUT, Event.UNDECIDED, 1, 1),
    (Event.CUT, Event.ANOTHERS, 1, 1),
]


@pytest.fixture
def event_of(server: Server) -> Iterator[Callable[[Mapping[str, str]], Event]]:
    """What posctl's own gateway meets when it posts parameters to the running one."""
    client = Gateway(
        server.url,
        timeout=Timeout(connect_s=PATIENCE_S, read_s=0.3 * SLOWER, total_s=PATIENCE_S),
        proxy=None,
        ca=None,
        environ={},
        monotonic=time.monotonic,
    )

    def post(given: Mapping[str, str]) -> Event:
        exchange = client.post(urlencode(given).encode(), Sent())
        if exchange.body is None:
            assert exchange.event
            return exchange.event
        assert exchange.http_status
        reply = top.read_reply(exchange.body, given["method"])
        ids = {"request_id": json.loads(given["pay_request"])["request_id"]}
        return read_event(reply, exchange.http_status, None, ids=ids)

    yield post
    client.close()


@pytest.mark.parametrize("number", range(1, len(TOLD) + 1))
def test_scenario(
    number: int, event_of: Callable[[Mapping[str, str]], Event], ledger_path: Path
) -> None:
    """Each payment code does over a real connection what the help says, and repeating a payment
    never charges it again.
    """
    first, second, charges_then, charges_at_last = TOLD[number - 1]
    given = params(MEMBERS | {"channel_account": code(number)})
    assert event_of(given) is first
    assert len(charges(ledger_path)) == charges_then
    for _ in range(3):
        assert event_of(given) is second
        assert len(charges(ledger_path)) == charges_at_last


def test_scenario_codes_are_payment_codes() -> None:
    """The numbering is what people have on paper, and posctl takes each code as a customer's."""
    assert [s.code for s in SCENARIOS] == [
        *(f"2800000000000000{n:02}" for n in range(1, 24)),
        "280000000000005800",
    ]
    for scenario in SCENARIOS:
        assert check_value("channel_account", scenario.code, "--scan") == scenario.code


def test_a_split_can_be_acted_out(trained: Callable[..., Any]) -> None:
    """58 = 30 + 28: the code's last four digits say what the checkout is of in all."""
    due = []
    for fee, code in (("3000", "280000000000005800"), ("2800", "280000000000000001")):
        ran = trained(
            *("pay", "--json", "--fee", fee, "--checkout", "split", "--code-stdin"), stdin=code
        )
        assert ran.code == 0, ran
        due.append(ran.json["remaining_fee"])
    assert due == [2800, 0]
    ran = trained(
        *("pay", "--json", "--fee", "1000", "--checkout", "s2", "--code-stdin"),
        stdin="280000000000001234",
    )
    assert ran.json["remaining_fee"] == 234


def test_the_channels_code_counts_before_the_accounts(gateway: TrainingGateway) -> None:
    """channel_account chooses; alipay_account only when there is no other; else it is success."""
    fails, pends = code(3), code(13)
    assert pay(gateway, request_id="a", alipay_account=fails)["result_status"] == 2
    both = pay(gateway, request_id="b", channel_account=pends, alipay_account=fails)
    assert both["result_status"] == 3
    other = pay(gateway, request_id="c", channel_account="286086843311281758")
    assert other["result_status"] == 1
    assert pay(gateway, request_id="d")["result_status"] == 1


def test_a_refused_client_may_come_back_under_another_id(gateway: TrainingGateway) -> None:
    """After a rate limit the checkout's next call goes through, whatever its request_id."""
    limited = send(gateway, params(MEMBERS | {"channel_account": code(10)}))
    assert error(limited)["sub_msg"].endswith("This ban will last for 1 more seconds")
    assert pay(gateway, request_id="another", channel_account=code(10))["result_status"] == 1


def test_a_repeat_is_told_how_it_stands_now(gateway: TrainingGateway, ledger_path: Path) -> None:
    """The same request_id gives the same voucher, with what the checkout needs by now."""
    first = pay(gateway, channel_account=code(2))
    assert (first["remaining_fee"], first["current_pay_fee"]) == (23, 100)
    rest = pay(gateway, request_id="rest", pay_fee=23)
    assert rest["remaining_fee"] == 0
    again = pay(gateway, channel_account=code(2))
    assert again == first | {"remaining_fee": 0}
    assert [charge.pay_fee for charge in charges(ledger_path)] == [100, 23]


def test_a_new_request_id_charges_again(gateway: TrainingGateway, ledger_path: Path) -> None:
    """It is merciless: a client that makes up a new id pays twice, and the ledger shows it."""
    pay(gateway)
    assert pay(gateway, request_id="a-second-id")["remaining_fee"] == 0
    assert [charge.checkout_id for charge in charges(ledger_path)] == ["111", "111"]


@given(fee=st.integers(1, 10**12))
def test_partial_leaves_a_rest(tmp_path_factory: pytest.TempPathFactory, fee: int) -> None:
    """After a partial success 23 % are due, rounded up, and paying them leaves nothing."""
    gateway = make(tmp_path_factory.getbasetemp() / "partial.db")
    checkout = {"checkout_id": os.urandom(8).hex(), "request_id": os.urandom(8).hex()}
    due = pay(gateway, **checkout, pay_fee=fee, channel_account=code(2))["remaining_fee"]
    assert due >= 1
    assert 0 <= due * 100 - fee * 23 < 100
    checkout["request_id"] += "-rest"
    assert pay(gateway, **checkout, pay_fee=due)["remaining_fee"] == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("pay_fee", 101), ("operator_id", "7"), ("channel_account", "286086843311281758")],
)
def test_another_payload_under_an_id_is_refused(
    name: str, value: object, gateway: TrainingGateway, ledger_path: Path
) -> None:
    """A request_id stands for one payload; the order of its members says nothing."""
    pay(gateway)
    found = error(send(gateway, params(MEMBERS | {name: value})))
    assert found["sub_code"] == "isv.invalid-parameter:request_id"
    turned = dict(reversed(MEMBERS.items()))
    assert refusal_code(send(gateway, params(turned))) is None
    assert len(charges(ledger_path)) == 1


def test_request_ids_of_two_shops_never_meet(gateway: TrainingGateway, ledger_path: Path) -> None:
    """The same request_id in another shop is another payment."""
    pay(gateway)
    members = MEMBERS | {"shop_id": "2"}
    assert refusal_code(send(gateway, params(members, shop_id="2"))) is None
    assert [charge.shop_id for charge in charges(ledger_path)] == ["1", "2"]


def test_many_at_once_charge_once(ledger_path: Path) -> None:
    """Eight clients, each at a gateway of its own over one ledger, send the same payments at the
    same moments: one charge and one voucher for each.
    """
    rounds, together = 20, threading.Barrier(8)

    def pay_all(_client: int) -> list[str]:
        gateway = make(ledger_path)
        vouchers = []
        for number in range(rounds):
            together.wait(PATIENCE_S)
            model = pay(gateway, request_id=f"request-{number}", channel_account=code(4))
            vouchers.append(model["payment_order_id"])
        return vouchers

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(pay_all, range(8)))
    assert len(set(told[0])) == rounds
    assert all(vouchers == told[0] for vouchers in told)
    assert len(charges(ledger_path)) == rounds


# ── asking without paying ────────────────────────────────────────────────────────────────────


def ask(gateway: TrainingGateway, method: str, **members: Any) -> dict[str, Any]:
    request = (
        "payment_action_request" if method == top.ACTION_QUERY_METHOD else "pay_status_request"
    )
    answer = send(gateway, params(members | {"buyer_id": 1}, method, request))
    reply = top.read_reply(answer.body, method)
    assert isinstance(reply, top.Answer), answer
    assert reply.outer_success is True
    assert reply.model
    return dict(reply.model)


def test_a_payments_status(gateway: TrainingGateway, ledger_path: Path) -> None:
    """The status of a payment is told as it stands, and asking for it moves nothing."""
    for number, status in [(1, "SUCCESS"), (3, "FAIL"), (4, "PENDING"), (6, "INIT")]:
        request_id = f"request-{number}"
        send(gateway, params(MEMBERS | {"request_id": request_id, "channel_account": code(number)}))
        for _ in range(2):
            model = ask(gateway, top.ACTION_QUERY_METHOD, request_id=request_id)
            assert (model["action_status"], model["success"]) == (status, True)
    assert len(charges(ledger_path)) == 1


def test_a_payment_nobody_made_has_no_status(gateway: TrainingGateway) -> None:
    """An unknown request_id is an error, not a status."""
    given = params(
        {"request_id": "nobody", "buyer_id": 1}, top.ACTION_QUERY_METHOD, "payment_action_request"
    )
    assert error(send(gateway, given))["sub_code"].startswith("isv.payment-action-not-exist")


def test_a_checkouts_status(gateway: TrainingGateway) -> None:
    """A checkout is new, in progress while something is due, and done when nothing is."""

    def status() -> object:
        return ask(gateway, top.STATUS_QUERY_METHOD, checkout_id="111")["checkout_status"]

    assert status() == "INIT"
    pay(gateway, channel_account=code(2))
    assert status() == "PROCESSING"
    pay(gateway, request_id="rest", pay_fee=23)
    assert status() == "SUCCEEDED"


# ── the ledger ───────────────────────────────────────────────────────────────────────────────


def test_no_payment_code_is_kept(ledger_path: Path) -> None:
    """The ledger's file holds no payment code, and is its owner's alone."""
    gateway = make(ledger_path)
    pay(gateway, channel_account="286086843311281758", alipay_account=code(1))
    kept = ledger_path.read_bytes()
    assert b"75626abc" in kept
    assert b"286086843311281758" not in kept
    assert code(1).encode() not in kept
    if sys.platform != "win32":  # modes: smoke.py looks at access lists
        assert ledger_path.stat().st_mode & 0o777 == 0o600


def test_it_remembers_between_runs(ledger_path: Path) -> None:
    """A payment that was asked for in one run is known in the next."""
    pending = pay(make(ledger_path), channel_account=code(4))
    paid = pay(make(ledger_path), channel_account=code(4))
    assert (pending["result_status"], paid["result_status"]) == (3, 1)
    assert paid["payment_order_id"] == pending["payment_order_id"]


def test_reset_forgets_everything_while_it_serves(
    event_of: Callable[[Mapping[str, str]], Event], ledger_path: Path
) -> None:
    """After a reset the gateway that is running starts afresh; resetting nothing is fine."""
    given = params(MEMBERS | {"channel_account": code(4)})
    reset(ledger_path)
    assert event_of(given) is PENDING
    assert event_of(given) is PAID
    reset(ledger_path)
    assert charges(ledger_path) == []
    assert event_of(given) is PENDING
    reset(ledger_path)
    reset(ledger_path)


def test_a_ledger_of_another_version_is_said_in_words(ledger_path: Path) -> None:
    """It is not touched by paying, and a reset makes it usable."""
    pay(make(ledger_path))
    with closing(sqlite3.connect(ledger_path)) as connection, connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigError, match="another version") as caught:
        start_in_process(ledger_path)
    assert "posctl training reset" in as_text(caught.value.hint)
    assert error(send(make(ledger_path), params()))["sub_code"] == "isp.remote-service-error"
    reset(ledger_path)
    assert pay(make(ledger_path))["result_status"] == 1


def test_a_ledger_that_is_none_is_said_in_words(tmp_path: Path) -> None:
    """Whatever stands at the ledger's path, nobody sees a traceback."""
    text = tmp_path / "training.db"
    text.write_text("this is somebody's shopping list, and it is long enough for a header\n" * 20)
    for path in (text, tmp_path, text / "training.db"):
        with pytest.raises(ConfigError, match="cannot be used"):
            start_in_process(path)
    for path in (text, tmp_path):
        with pytest.raises(ConfigError, match="cannot be used"):
            reset(path)
    assert text.read_text().startswith("this is somebody's shopping list")


# ── sockets ──────────────────────────────────────────────────────────────────────────────────


def test_it_is_reachable_from_this_machine_only(ledger_path: Path) -> None:
    """It listens on 127.0.0.1, wherever it is started, and says so in its URL."""
    url, stop = start_in_process(ledger_path)
    assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+/router/rest", url)
    stop()
    running = Server(make(ledger_path))
    assert running._listener.getsockname()[0] == "127.0.0.1"
    running.stop()


def test_stopping_leaves_nothing(ledger_path: Path) -> None:
    """Stop ends at once, cuts a client whose answer is held back, frees the port, leaves no
    thread, and may be called twice.
    """
    before = set(threading.enumerate())
    running = Server(make(ledger_path))
    body = urlencode(params(MEMBERS | {"channel_account": code(7)})).encode()
    head = f"POST /router/rest HTTP/1.1\r\nContent-Type: {FORM}\r\nContent-Length: {len(body)}"
    with (
        socket.create_connection(address(running.url), timeout=PATIENCE_S) as held,
        socket.create_connection(address(running.url), timeout=PATIENCE_S) as idle,
    ):
        held.sendall(f"{head}\r\n\r\n".encode() + body)
        idle.sendall(b"GET /router/rest HTTP/1.1\r\n\r\n")
        assert idle.recv(16) == b"HTTP/1.1 200 OK\r"
        running.stop()
        assert held.recv(1) == b""
    running.stop()
    assert set(threading.enumerate()) == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address(running.url), timeout=PATIENCE_S)


def test_a_connection_serves_many_requests(server: Server, ledger_path: Path) -> None:
    """Keep-alive: three requests sent at once get three answers, in order, on one connection."""
    requests = b""
    for request_id in ("a", "b", "c"):
        body = urlencode(params(MEMBERS | {"request_id": request_id})).encode()
        head = f"POST /router/rest HTTP/1.1\r\nContent-Type: {FORM}\r\nContent-Length: {len(body)}"
        requests += f"{head}\r\n\r\n".encode() + body
    said = spoken_to(server, requests)
    assert said.count(b"HTTP/1.1 200 OK") == 3
    assert said.count(b"Connection: keep-alive") == 3
    assert [charge.request_id for charge in charges(ledger_path)] == ["a", "b", "c"]


def test_a_waiting_client_is_told_to_continue(server: Server) -> None:
    """Clients such as curl and .NET ask before they send a body."""
    body = urlencode(params()).encode()
    with socket.create_connection(address(server.url), timeout=PATIENCE_S) as sock:
        head = f"Content-Type: {FORM}\r\nContent-Length: {len(body)}\r\nExpect: 100-continue"
        sock.sendall(f"POST /router/rest HTTP/1.1\r\n{head}\r\n\r\n".encode())
        assert sock.recv(64) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert sock.recv(16) == b"HTTP/1.1 200 OK\r"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\r\n\r\n",
        b"POST /router/rest HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /router/rest HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1)
        + bytes(MAX_BODY + 1),
        b"POST /router/rest HTTP/1.1\r\nContent-Length: 9\r\n\r\nshort",
        b"POST /router/rest HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /router/rest HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /router/rest HTTP/1.1\r\nbroken header",
    ],
    ids=lambda request: ascii(request[:70]),
)
def test_what_is_no_request_is_refused_and_cut(request_bytes: bytes, server: Server) -> None:
    """Broken and endless requests get a refusal, and the connection is closed."""
    head, _, body = spoken_to(server, request_bytes).partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    reply = top.read_reply(body, top.PAY_METHOD)
    assert isinstance(reply, top.ErrorAnswer)
    assert reply.code == 25


def test_an_endless_head_is_refused_before_its_end(server: Server) -> None:
    """Who never comes to the end of the headers is not listened to for ever."""
    endless = b"GET /" + b"a" * (MAX_HEAD + 1)
    assert b"the head of the request is too long" in spoken_to(server, endless, ends=False)


def test_nothing_is_said_to_who_says_nothing(server: Server) -> None:
    """A connection that closes without a request is no error."""
    assert spoken_to(server, b"") == b""


# ── somebody else's client ───────────────────────────────────────────────────────────────────


@pytest.fixture
def in_shanghai(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For taobaopy, which signs with the machine's local time, which TOP takes for China's."""
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_shanghai")
def test_taobaopy_pays(ledger_path: Path) -> None:
    """A client that others wrote pays over a real connection; twice under one request_id is one
    charge, and a wrong secret is an invalid signature.
    """
    from taobaopy.taobao import (  # noqa: PLC0415  Windows' Python of docs/windows.md lacks it
        TaoBaoAPIClient,
        TaoBaoAPIError,
    )

    url, stop = start_in_process(ledger_path)
    try:
        domain = url.removesuffix("/router/rest")
        client = TaoBaoAPIClient(TRAINING_APP_KEY, TRAINING_SECRET, domain=domain)
        request = json.dumps(MEMBERS | {"channel_account": code(2)})
        for _ in range(2):
            found = client.alibaba__pos_order_pay(shop_id=1, pay_request=request)
            model = found["alibaba_pos_order_pay_response"]["result"]["model"]
            assert (model["result_status"], model["remaining_fee"]) == (1, 23)
        stranger = TaoBaoAPIClient(TRAINING_APP_KEY, "wrong", domain=domain)
        with pytest.raises(TaoBaoAPIError) as caught:
            stranger.alibaba__pos_order_pay(shop_id=1, pay_request=request)
        assert caught.value.code == 25
    finally:
        stop()
    (charge,) = charges(ledger_path)
    assert (charge.app_key, charge.checkout_id, charge.pay_fee) == ("training", "111", 100)


# ── as a process ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_serve_until_a_signal(shop: Any, signum: signal.Signals) -> None:
    """`training serve` tells where it listens and with what to sign, answers there, refuses to
    share its port in words, and leaves at once with 0 when asked to.
    """
    with shop.start("--profile", "training", "training", "serve", "--json") as process:
        try:
            ready = json.loads(process.stdout.readline())
            assert ready == {"url": ready["url"], "app_key": "training", "secret": TRAINING_SECRET}
            port = address(ready["url"])[1]
            taken = shop.run(
                "--profile", "training", "training", "serve", "--port", str(port), "--json"
            )
            assert (taken.code, taken.json["error"]["code"]) == (3, "training_port")
            with socket.create_connection(address(ready["url"]), timeout=PATIENCE_S) as sock:
                sock.sendall(b"GET /router/rest HTTP/1.1\r\n\r\n")
                assert sock.recv(16) == b"HTTP/1.1 200 OK\r"
            process.send_signal(signum)
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()


def test_a_payment_by_the_readmes_words(trained: Callable[..., Any]) -> None:
    """The README's first command pays without any file, and says what is still due."""
    paid = trained("pay", "--shop", "1", "--fee", "100", "--checkout", "111", "--json")
    assert paid.code == 0
    assert (paid.json["outcome"], paid.json["remaining_fee"]) == ("success", 0)
    assert paid.json["payment_order_id"].startswith("TRAINING-")


def test_processes_share_what_it_remembers(shop: Any) -> None:
    """Four tills that pay at once, each with a gateway inside, leave four charges in one ledger."""
    pay_one = ("--profile", "training", "pay", "--fee", "100", "--checkout")
    started = [shop.start(*pay_one, f"till-{n}") for n in range(4)]
    for process in started:
        process.communicate(timeout=60)
    assert [process.returncode for process in started] == [0, 0, 0, 0]
    paid = {charge.checkout_id for charge in charges(shop.home / "training.db")}
    assert paid == {"till-0", "till-1", "till-2", "till-3"}


def test_a_hung_gateway_keeps_no_process_alive(shop: Any) -> None:
    """A payment that times out ends, and the next run is told that it was charged."""
    config = shop.home / "config.yaml"
    config.write_text("profiles: {training: {timeout: {connect: 1, read: 0.2, total: 1}}}\n")
    config.chmod(0o600)
    training = ("--config", str(config), "--profile", "training", "--json")
    pay_once = ("pay", "--fee", "100", "--checkout", "111", "--code-stdin")
    assert shop.run(*training, *pay_once, stdin=code(7)).json["outcome"] == "unknown"
    assert shop.run(*training, "retry", "--last").json["outcome"] == "success"
    assert len(charges(shop.home / "training.db")) == 1


def test_listing_the_scenarios_loads_nothing_heavy() -> None:
    """The help needs neither SQLite nor sockets nor YAML."""
    script = "import sys, posctl.training; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"sqlite3", "socket", "yaml", "http.server", "requests"} & set(loaded)
