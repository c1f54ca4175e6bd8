"""Every row of the event table, end to end: what is told, what stands in the journal, what next.

Real posctl processes, real sockets, and the journal read over a connection of the test's own. Rows
that differ only in the words of an answer walk the same road inside this process.
"""

from __future__ import annotations

import calendar
import json
import resource
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import faultserver as fault
import pytest
from conftest import NO_BYTECODE, Ran, Shop
from faultserver import HTML, PAID, Certificates, FaultServer, Talk, answer

from posctl.cli.run import new_request_id
from posctl.config.profile import Profile
from posctl.config.profiles import load
from posctl.gateway.client import Gateway
from posctl.gateway.top import sign
from posctl.journal.sqlite import SqliteJournal
from posctl.money.order import Limits, check
from posctl.money.record import Payment, Who
from posctl.money.result import Result, result_json
from posctl.paying.desk import Desk
from posctl.paying.pay import pay, retry

EXITS = {
    "success": 0,
    "fail": 10,
    "not_sent": 11,
    "rejected": 12,
    "pending": 20,
    "unknown": 21,
    "conflict": 22,
}
OPEN = ("pending", "unknown", "conflict")
MONEY = {
    "fail": "The customer was not charged.",
    "not_sent": "The customer was not charged.",
    "rejected": "The customer was not charged.",
    "unknown": "The customer may have been charged.",
    "conflict": "The customer may have been charged.",
}
SECRET = "helloworld"
PAY = ("pay", "--fee", "100", "--checkout", "111", "--json")


# ── answers ──────────────────────────────────────────────────────────────────────────────────


def verdict(
    status: object = 1, *, outer: object = True, inner: object = True, **more: Any
) -> bytes:
    """An answer of the business; None leaves a member out."""
    model = {
        "result_status": status,
        "remaining_fee": 0,
        "current_pay_fee": 100,
        "current_payment_channel": 1006,
        "success": inner,
        **more,
    }
    result: dict[str, object] = {"model": {k: v for k, v in model.items() if v is not None}}
    if outer is not None:
        result["is_success"] = outer
    return _wrapped({"result": result})


def _wrapped(content: object) -> bytes:
    return json.dumps({"alibaba_pos_order_pay_response": content}, ensure_ascii=False).encode()


def error(code: int, sub_code: str | None = None, sub_msg: str | None = None) -> bytes:
    """An `error_response` of TOP's."""
    members = {"code": code, "msg": "Remote service error", "sub_code": sub_code}
    members["sub_msg"] = sub_msg
    return json.dumps(
        {"error_response": {k: v for k, v in members.items() if v is not None}}, ensure_ascii=False
    ).encode()


PENDING = verdict(3, remaining_fee=None, current_pay_fee=None)

DECLINED = verdict(2, result_code="ACQ.BUYER_BALANCE_NOT_ENOUGH")

# What leaves a payment open, and the event it is.
DOUBT = {
    "unknown": (fault.cut_after_reading, "connection_cut"),
    "pending": (answer(PENDING), "pending"),
}


# ── the table ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Row:
    """What one event is, and what a first try that meets it must tell and leave behind."""

    does: fault.Behaviour
    outcome: str
    event: str
    kind: str = "network"
    code: str | None = None  # of the error; the event's name when there is none
    sub_code: str | None = None
    timeout: str = "{connect: 20, read: 20, total: 20}"

    @property
    def told_code(self) -> str:
        return self.code or self.event


def refused(code: int, sub_code: str | None = None) -> Row:
    event = "business_refused" if (sub_code or "").startswith("isv.") else "gateway_refused"
    body = error(code, sub_code)
    return Row(answer(body), "rejected", event, "gateway", str(code), sub_code)


def undecided(code: int, sub_code: str | None = None, event: str = "system_error") -> Row:
    body = error(code, sub_code)
    return Row(answer(body), "unknown", event, "gateway", str(code), sub_code)


ELSEWHERE = "http://127.0.0.1:9/elsewhere"

ROWS = {
    # Indeterminate: the request left, and nothing that can be trusted came back.
    "read timeout": Row(
        fault.hang, "unknown", "read_timeout", timeout="{connect: 20, read: 1, total: 20}"
    ),
    "total deadline": Row(
        fault.drip(fault.http("200 OK", f"Content-Length: {len(PAID)}", body=PAID)),
        "unknown",
        "deadline",
        timeout="{connect: 20, read: 20, total: 1}",
    ),
    "close after sending": Row(fault.cut_after_reading, "unknown", "connection_cut"),
    "reset after sending": Row(fault.reset_after_reading, "unknown", "connection_cut"),
    "garbage status line": Row(fault.garbage_status, "unknown", "garbage"),
    "truncated": Row(fault.truncated_length, "unknown", "truncated"),
    "truncated chunks": Row(fault.chunked_without_end, "unknown", "truncated"),
    "truncated without a length": Row(
        fault.reply(fault.http("200 OK", body=PAID[:-2])), "unknown", "not_a_top_answer"
    ),
    "undecodable": Row(fault.broken_gzip, "unknown", "undecodable"),
    "oversized": Row(fault.oversized, "unknown", "oversized"),
    "oversized once decoded": Row(fault.gzip_bomb(), "unknown", "oversized"),
    "301": Row(fault.redirect("301 Moved", ELSEWHERE), "unknown", "redirect"),
    "302": Row(fault.redirect("302 Found", "/router/rest"), "unknown", "redirect"),
    "307": Row(fault.redirect("307 Temporary Redirect", ELSEWHERE), "unknown", "redirect"),
    "404": Row(answer(HTML, status="404 Not Found"), "unknown", "http_error"),
    "503": Row(
        answer(b"", status="503 Busy", headers={"Retry-After": "0"}), "unknown", "http_error"
    ),
    "captive portal": Row(answer(HTML), "unknown", "not_a_top_answer"),
    "nothing with 200": Row(answer(b""), "unknown", "not_a_top_answer"),
    # A body that reads as a TOP answer, whatever the status.
    "paid with 500": Row(answer(PAID, status="500 Oops"), "success", "paid"),
    "paid with 302": Row(
        answer(PAID, status="302 Found", headers={"Location": ELSEWHERE}), "success", "paid"
    ),
    "refused with 403": Row(
        answer(error(11, "isv.permission-api-package-limit"), status="403 Forbidden"),
        "rejected",
        "gateway_refused",
        "gateway",
        "11",
        "isv.permission-api-package-limit",
    ),
    # TOP's errors, one of each class; the codes one by one are further down.
    "rate limit": refused(7, "accesscontrol.limited-by-app-access-count"),
    "unknown app key": refused(1, "isp.get-app-error"),
    "malformed parameters": refused(15, "isp.top-mapping-parse-error"),
    "malformed business": refused(15, "isv.invalid-parameter"),
    "duplicate": undecided(50, "isv.order-duplicate", "maybe_duplicate"),
    "unavailable": undecided(10),
    "isp error": undecided(44),
    "timeout behind the gateway": undecided(15, "isp.top-remote-connection-timeout"),
    "no sub code": undecided(15),
    "unknown code": undecided(777, "whatever"),
    # The business's own word.
    "not successful, no verdict": Row(
        answer(_wrapped({"result": {"is_success": False, "msg_code": "BUSY"}})),
        "unknown",
        "no_verdict",
        "gateway",
        "BUSY",
    ),
    "no model": Row(answer(_wrapped({"result": {"is_success": True}})), "unknown", "no_verdict"),
    "result_status 4": Row(answer(verdict(4)), "unknown", "no_verdict"),
    "result_status 2": Row(
        answer(verdict(2, result_code="BALANCE", result_message="余额不足")),
        "fail",
        "declined",
        "business",
        "BALANCE",
    ),
    "result_status 3": Row(answer(PENDING), "pending", "pending"),
    "result_status 1": Row(answer(PAID), "success", "paid"),
    "no flags": Row(answer(verdict(1, outer=None, inner=None)), "success", "paid"),
    "outer flag false": Row(
        answer(verdict(1, outer=False)), "conflict", "contradiction", "conflict"
    ),
    "inner flag false": Row(
        answer(verdict(1, inner="false")), "conflict", "contradiction", "conflict"
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_first_try(shop: Shop, name: str) -> None:
    """The row's outcome, exit code and error are told, its event stands in the journal, and the
    same command typed again resumes what is open, starts anew what is over, repeats nothing paid.
    """
    row = ROWS[name]
    with FaultServer(row.does) as server:
        shop.profile(server.url, timeout=row.timeout)
        ran = pay_once(shop)
        told = check_told(ran, row.outcome)
        check_error(told, row)
        assert (told["tries"], told["resumed"]) == (1, False)
        (first,) = calls(server)
        assert first.request_id == told["request_id"]
        check_row(shop, told["request_id"], row.outcome, (row.event,))
        assert payments(shop)[0]["pay_request"] == first.pay_request

        server.then(answer())
        again = pay_once(shop)
        if row.outcome in ("unknown", "pending"):
            check_resumed(shop, server, told, again, (row.event, "paid"))
        elif row.outcome in ("success", "conflict"):
            check_blocked(shop, server, again, row.outcome)
        else:
            check_new(shop, server, told, again)


def check_told(ran: Ran, outcome: str) -> dict[str, Any]:
    """The object on stdout agrees with the exit code; its values are those of the payment."""
    told = ran.json
    assert (told["outcome"], ran.code) == (outcome, EXITS[outcome]), ran
    assert told["exit_code"] == ran.code
    assert (told["checkout_id"], told["pay_fee"], told["shop_id"]) == ("111", 100, "1")
    assert (told["state"], told["live"]) == (outcome, True)
    assert (told["closed_at"] is None) is (outcome in OPEN)
    return told


def check_error(told: Mapping[str, Any], row: Row, told_outcome: str | None = None) -> None:
    """`error` is the row's: kind, codes, whether money may have moved, and what to type next."""
    outcome = told_outcome or row.outcome
    if outcome in ("success", "pending"):
        assert told["error"] is None
        return
    assert set(told["error"]) == {"kind", "code", "sub_code", "message", "hint"}
    kind = row.kind if outcome == row.outcome or row.kind == "gateway" else "network"
    assert (told["error"]["kind"], told["error"]["code"]) == (kind, row.told_code)
    assert told["error"]["sub_code"] == row.sub_code
    assert told["error"]["message"].endswith(MONEY[outcome])
    assert told["error"]["hint"]
    commands = {"unknown": "posctl retry ", "conflict": "posctl resolve "}
    if outcome in commands:
        assert commands[outcome] + told["request_id"] in told["error"]["hint"]
        assert told["error"]["hint"].startswith("Do not charge again.")


def check_row(shop: Shop, request_id: str, outcome: str, events: tuple[str | None, ...]) -> None:
    """How a payment and its tries stand in the journal."""
    (payment,) = [p for p in payments(shop) if p["request_id"] == request_id]
    paid = {"success": 1, "fail": 0, "not_sent": 0, "rejected": 0}.get(outcome)
    doubt = outcome if outcome in ("pending", "unknown") else None
    assert (payment["state"], payment["paid"]) == (outcome, paid)
    if outcome != "conflict":
        assert payment["doubt"] in (doubt, f"{doubt}_unknown")
    assert (payment["closed_ms"] is None) is (outcome in (*OPEN, "sending"))
    assert tuple(one["event"] for one in tries(shop, request_id)) == events
    assert payment["tries"] == len(events)


def check_resumed(
    shop: Shop,
    server: FaultServer,
    told: Mapping[str, Any],
    again: Ran,
    events: tuple[str | None, ...],
) -> None:
    """An open payment went on: one payment, one request_id, one payload to the byte, a sign and a
    timestamp of the new try's own.
    """
    closed = check_told(again, "success")
    assert (closed["request_id"], closed["resumed"]) == (told["request_id"], True)
    assert (closed["tries"], closed["error"]) == (len(events), None)
    first, *rest = calls(server)
    for later in rest:
        assert later.pay_request == first.pay_request
        changed = {k for k, v in later.params.items() if first.params.get(k) != v}
        assert changed <= {"timestamp", "sign"}
    assert len(payments(shop)) == 1
    check_row(shop, told["request_id"], "success", events)


def check_new(shop: Shop, server: FaultServer, told: Mapping[str, Any], again: Ran) -> None:
    """A payment that is over stays as it was; the same command made another one."""
    fresh = check_told(again, "success")
    assert fresh["request_id"] != told["request_id"]
    assert (fresh["tries"], fresh["resumed"]) == (1, False)
    assert calls(server)[-1].request_id == fresh["request_id"]
    assert [p["request_id"] for p in payments(shop)] == [told["request_id"], fresh["request_id"]]
    assert payments(shop)[0]["state"] == told["outcome"]


def check_blocked(shop: Shop, server: FaultServer, again: Ran, outcome: str) -> None:
    """Nothing is sent for a checkout that is paid, or whose payment is in conflict."""
    code = {"success": "already_paid", "conflict": "conflict"}[outcome]
    request_id = payments(shop)[0]["request_id"]
    before = (payments(shop), tries(shop, request_id))
    assert (again.code, again.json["outcome"]) == (30, "blocked")
    assert again.json["blocked_by"] == request_id
    assert (again.json["error"]["kind"], again.json["error"]["code"]) == ("blocked", code)
    retried = shop.run("retry", request_id, "--json")
    assert retried.code == (30 if outcome == "conflict" else 0)
    if outcome == "conflict":
        shop.run("retry", "--all")
        shop.run("retry", "--due")
        shop.run("pay", "--fee", "100", "--checkout", "111", "--another", "--yes")
    assert (server.connections, len(server.requests)) == (1, 1)
    assert (payments(shop), tries(shop, request_id)) == before


# ── the journal and the wire, as the test sees them ──────────────────────────────────────────


def select(shop: Shop, query: str, *values: object) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(f"file:{shop.journal}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(query, values)]


def payments(shop: Shop) -> list[dict[str, Any]]:
    """All payments, oldest first; whether somebody was told is no part of how they stand."""
    rows = select(shop, "SELECT * FROM payments ORDER BY seq")
    return [{k: v for k, v in row.items() if k != "told"} for row in rows]


def tries(shop: Shop, request_id: str) -> list[dict[str, Any]]:
    return select(
        shop,
        "SELECT tries.* FROM tries JOIN payments USING (seq) WHERE request_id = ? ORDER BY n",
        request_id,
    )


@dataclass(frozen=True)
class Call:
    """One request as it arrived at the gateway."""

    params: Mapping[str, str]

    @property
    def pay_request(self) -> str:
        return self.params["pay_request"]

    @property
    def request_id(self) -> str:
        return str(json.loads(self.pay_request)["request_id"])

    @property
    def epoch_s(self) -> int:
        return calendar.timegm(time.strptime(self.params["timestamp"], "%Y-%m-%d %H:%M:%S")) - 28800


STARTED_S = int(time.time())


def calls(server: FaultServer) -> list[Call]:
    """What arrived, whole, each signed for its own timestamp, and made during this test run."""
    found = []
    for body in server.bodies():
        params = dict(parse_qsl(body.decode(), strict_parsing=True))
        assert params["sign"] == sign(params, SECRET, "hmac-sha256")
        found.append(Call(params))
        assert STARTED_S <= found[-1].epoch_s <= time.time() + 1
    return found


def pay_once(shop: Shop) -> Ran:
    return shop.run(*PAY)


# ── the request never left ───────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@dataclass(frozen=True)
class Away:
    """A gateway's URL that cannot be reached directly; `keys` are the profile's while it cannot."""

    url: str
    event: str
    proxy: str = "none"
    timeout: str = "{connect: 20, read: 20, total: 20}"


HASTY = "{connect: 0.3, read: 20, total: 20}"


def _at(port: int) -> str:
    return f"https://127.0.0.1:{port}/router/rest"


@contextmanager
def no_dns(_certificates: Certificates) -> Iterator[Away]:
    yield Away(f"https://{fault.NO_SUCH_NAME}/router/rest", "dns_failed")


@contextmanager
def connection_refused(_certificates: Certificates) -> Iterator[Away]:
    with fault.refusing_port() as port:
        yield Away(_at(port), "connection_refused")


@contextmanager
def no_route(_certificates: Certificates) -> Iterator[Away]:
    yield Away(f"https://{fault.NO_ROUTE}/router/rest", "no_route")


@contextmanager
def connect_timeout(_certificates: Certificates) -> Iterator[Away]:
    with fault.full_port() as port:
        yield Away(_at(port), "connect_timeout", timeout=HASTY)


def certificate_refused(name: str) -> Callable[[Certificates], Any]:
    @contextmanager
    def away(certificates: Certificates) -> Iterator[Away]:
        with FaultServer(answer(), tls=getattr(certificates, name)) as server:
            yield Away(server.url, "tls_refused")
            assert server.requests == []

    return away


@contextmanager
def speaks_no_tls(_certificates: Certificates) -> Iterator[Away]:
    with FaultServer(fault.speaks_no_tls) as server:
        yield Away(_at(server.port), "tls_refused")


@contextmanager
def proxy_refuses(_certificates: Certificates) -> Iterator[Away]:
    with FaultServer(fault.proxy_refuses("407 Who are you")) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        yield Away(f"https://{fault.NO_SUCH_NAME}/router/rest", "proxy_refused", url)


@contextmanager
def proxy_down(_certificates: Certificates) -> Iterator[Away]:
    with fault.refusing_port() as port:
        url = f"http://127.0.0.1:{port}"
        yield Away(f"https://{fault.NO_SUCH_NAME}/router/rest", "proxy_refused", url)


def handshake(does: fault.Behaviour, timeout: str = Away.timeout) -> Callable[[Certificates], Any]:
    @contextmanager
    def away(_certificates: Certificates) -> Iterator[Away]:
        with FaultServer(does) as server:
            yield Away(_at(server.port), "handshake_cut", timeout=timeout)

    return away


AWAY: dict[str, Callable[[Certificates], Any]] = {
    "dns fails": no_dns,
    "connection refused": connection_refused,
    "no route": no_route,
    "connect timeout": connect_timeout,
    "certificate of another name": certificate_refused("other_name"),
    "certificate of an unknown CA": certificate_refused("unknown_ca"),
    "certificate out of date": certificate_refused("expired"),
    "old tls": certificate_refused("old_tls"),
    "no tls": speaks_no_tls,
    "proxy refuses": proxy_refuses,
    "proxy down": proxy_down,
    "handshake cut": handshake(fault.handshake_cut),
    "handshake reset": handshake(fault.handshake_reset),
    "handshake hangs": handshake(fault.handshake_hang, HASTY),
}


@dataclass(frozen=True)
class Network:
    """An honest gateway beyond a proxy, and the way there, which is up or down."""

    away: Away
    server: FaultServer
    tunnel: FaultServer
    ca: Path

    def keys(self, *, up: bool) -> dict[str, Any]:
        """The profile's keys."""
        return {
            "ca": self.ca,
            "proxy": f"http://127.0.0.1:{self.tunnel.port}" if up else self.away.proxy,
            "timeout": Row.timeout if up else self.away.timeout,
        }

    @property
    def row(self) -> Row:
        return Row(fault.hang, "not_sent", self.away.event)


@pytest.fixture
def network(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[Network]:
    with (
        AWAY[request.param](certificates) as away,
        FaultServer(answer(), tls=certificates.everywhere) as server,
        FaultServer(fault.proxy_tunnels(server.port)) as tunnel,
    ):
        yield Network(away, server, tunnel, certificates.ca)


@pytest.mark.parametrize("network", AWAY, indirect=True)
def test_a_request_that_never_left(shop: Shop, network: Network) -> None:
    """On a first try it is not sent, proved, and the next run is a new payment. After a try that
    proved nothing the same event closes nothing: only an answer does.
    """
    event, server = network.away.event, network.server
    shop.profile(network.away.url, **network.keys(up=False))
    told = check_told(pay_once(shop), "not_sent")
    check_error(told, network.row)
    check_row(shop, told["request_id"], "not_sent", (event,))
    assert server.connections == 0
    shop.profile(network.away.url, **network.keys(up=True))
    check_new(shop, server, told, pay_once(shop))

    for path in shop.home.glob("journal.db*"):  # begin anew, on purpose
        path.unlink()
    shop.begun = False
    shop.begin_journal()
    server.requests.clear()
    server.then(fault.cut_after_reading)
    opened = check_told(pay_once(shop), "unknown")
    shop.profile(network.away.url, **network.keys(up=False))
    still = check_told(pay_once(shop), "unknown")
    assert (still["request_id"], still["tries"]) == (opened["request_id"], 2)
    check_error(still, network.row, "unknown")
    check_row(shop, opened["request_id"], "unknown", ("connection_cut", event))
    assert len(server.requests) == 1
    server.then(answer())
    shop.profile(network.away.url, **network.keys(up=True))
    check_resumed(shop, server, opened, pay_once(shop), ("connection_cut", event, "paid"))


@pytest.mark.parametrize("network", ["connection refused", "proxy refuses"], indirect=True)
def test_pending_stays_pending_when_the_network_goes(shop: Shop, network: Network) -> None:
    """Through the real process: pending (20), no error, the failure of this try as a warning."""
    shop.profile(network.away.url, **network.keys(up=True))
    network.server.then(answer(PENDING))
    opened = check_told(pay_once(shop), "pending")
    shop.profile(network.away.url, **network.keys(up=False))
    for again in (pay_once(shop), shop.run("retry", "--last", "--json")):
        still = check_told(again, "pending")
        assert (still["request_id"], still["error"]) == (opened["request_id"], None)
        (warning,) = still["warnings"]
        assert network.away.event in warning


# ── refused, after a try that proved nothing ─────────────────────────────────────────────────


@pytest.mark.parametrize("earlier", ["unknown", "pending"])
@pytest.mark.parametrize("name", ["rate limit", "unknown app key", "malformed business"])
def test_a_refusal_after_doubt_closes_nothing(shop: Shop, name: str, earlier: str) -> None:
    """What TOP refuses now says nothing about the try before: it stays unknown, or pending."""
    row = ROWS[name]
    does, event = DOUBT[earlier]
    with FaultServer(does) as server:
        shop.profile(server.url)
        opened = check_told(pay_once(shop), earlier)
        server.then(row.does)
        still = check_told(pay_once(shop), earlier)
        check_error(still, row, earlier)
        check_row(shop, opened["request_id"], earlier, (event, row.event))
        retried = shop.run("retry", opened["request_id"], "--json")
        assert check_told(retried, earlier)["request_id"] == opened["request_id"]
        server.then(answer())
        check_resumed(shop, server, opened, pay_once(shop), (event, row.event, row.event, "paid"))


def test_a_scanned_code_is_kept_for_the_retry(shop: Shop) -> None:
    """The open payment goes on with the very bytes of its first try, its own code included; once
    it is closed no file of the journal has the code.
    """
    first, second = "283456789012345678", "281111111111111111"
    with FaultServer(fault.cut_after_reading, answer()) as server:
        shop.profile(server.url)
        opened = check_told(shop.run(*PAY, "--code-stdin", stdin=first), "unknown")
        again = shop.run(*PAY, "--code-stdin", stdin=second)
        assert check_told(again, "success")["request_id"] == opened["request_id"]
        one, two = calls(server)
        assert one.pay_request == two.pay_request
        assert first in one.pay_request
        assert any("set aside" in warning for warning in again.json["warnings"])
    files = b"".join(path.read_bytes() for path in shop.home.glob("journal.db*"))
    assert first.encode() not in files
    assert second.encode() not in files


# ── no journal, no sending ───────────────────────────────────────────────────────────────────


def _spoil(path: Path, where: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(where)
        file.write(data)


def _unwritable(path: Path) -> None:
    """A folder in the place of a side file: even root cannot write through it."""
    for name in ("-wal", "-shm"):
        path.with_name(path.name + name).unlink(missing_ok=True)
    path.with_name(path.name + "-wal").mkdir()


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")


def _foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA application_id = 1")


JOURNALS: dict[str, tuple[Callable[[Path], object], str]] = {
    "emptied to 0 bytes": (lambda path: path.write_bytes(b""), "journal_empty"),
    "gone": (lambda path: path.unlink(), "journal_gone"),
    "corrupt head": (lambda path: _spoil(path, 0, b"\0" * 200), "journal_corrupt"),
    "corrupt pages": (lambda path: _spoil(path, 4096, b"\xee" * 60_000), "journal_corrupt"),
    "of a newer schema": (_newer, "journal_newer"),
    "somebody else's": (_foreign, "journal_foreign"),
    "not writable": (_unwritable, "journal_unwritable"),
}


@pytest.mark.parametrize("name", JOURNALS)
def test_a_journal_that_cannot_be_trusted_sends_nothing(shop: Shop, name: str) -> None:
    """Exit 31 and the journal's own error, for `pay` and for `retry` of what was open in it; the
    gateway sees no connection.
    """
    spoil, code = JOURNALS[name]
    with FaultServer(fault.cut_after_reading) as server:
        shop.profile(server.url)
        opened = check_told(pay_once(shop), "unknown")
        server.then(answer())
        spoil(shop.journal)
        check_journal_error(pay_once(shop), code)
        check_journal_error(shop.run("retry", opened["request_id"], "--json"), code)
        assert server.connections == 1


def test_a_full_disk_sends_nothing(shop: Shop) -> None:
    """A journal that can grow no more: exit 31, no connection, and what was open is still open."""

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    with FaultServer(fault.cut_after_reading) as server:
        shop.profile(server.url)
        opened = check_told(pay_once(shop), "unknown")
        server.then(answer())
        for checkout in ("111", "112"):
            words = (*PAY[:-2], checkout, "--json")
            ran = _ended(shop.start(*words, env=NO_BYTECODE, preexec_fn=full))
            check_journal_error(ran, "journal_failed")
        assert server.connections == 1
        check_row(shop, opened["request_id"], "unknown", ("connection_cut",))
        check_resumed(shop, server, opened, pay_once(shop), ("connection_cut", "paid"))


def check_journal_error(ran: Ran, code: str) -> None:
    assert ran.code == 31, ran
    assert (ran.json["exit_code"], ran.json["outcome"]) == (31, None)
    assert (ran.json["error"]["kind"], ran.json["error"]["code"]) == ("journal", code)
    assert ran.json["error"]["hint"]
    assert ran.json["tries"] == 0


def test_a_journal_that_cannot_be_made_or_stays_locked(shop: Shop, tmp_path: Path) -> None:
    """No folder for it, or another program that holds it for longer than 10 s: exit 31."""
    with FaultServer(answer()) as server:
        shop.profile(server.url)
        blocker = tmp_path / "a file"
        blocker.touch()
        nowhere = {"POSCTL_JOURNAL": str(blocker / "journal.db")}
        check_journal_error(shop.run(*PAY, env=nowhere), "journal_unwritable")
        assert shop.run(*PAY[:-2], "112", "--json").code == 0
        with closing(sqlite3.connect(shop.journal, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            check_journal_error(pay_once(shop), "journal_locked")
        assert server.connections == 1


def test_an_answer_that_cannot_be_recorded_is_told(shop: Shop) -> None:
    """The disk fills up during the try: the verdict is told all the same, with a warning; the
    journal still has the payment open, and the same command resumes it.
    """
    arrived, go_on = threading.Event(), threading.Event()

    def late(talk: Talk) -> None:
        talk.read_request()
        arrived.set()
        go_on.wait(60)
        talk.send(fault.http("200 OK", f"Content-Length: {len(PAID)}", body=PAID))

    with FaultServer(late) as server:
        shop.profile(server.url, timeout=Row.timeout)
        process = shop.start(*PAY, env=NO_BYTECODE)
        assert arrived.wait(60)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))
        go_on.set()
        ran = _ended(process)
        assert (ran.code, ran.json["outcome"]) == (0, "success"), ran
        assert any("could not be recorded" in warning for warning in ran.json["warnings"])
        check_row(shop, ran.json["request_id"], "sending", (None,))
        server.then(answer())
        check_resumed(shop, server, ran.json, pay_once(shop), (None, "paid"))


# ── the row is durable before the first byte ─────────────────────────────────────────────────


def test_the_row_and_its_try_are_committed_before_the_first_byte(shop: Shop) -> None:
    """When the first byte arrives, somebody else's connection to the journal sees the payment and
    its running try, committed; so it is for a first try, a resumed one, and a retry.
    """
    seen: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []

    def look() -> None:
        (payment,) = payments(shop)
        seen.append((payment, tries(shop, payment["request_id"])))

    with FaultServer(fault.cut_after_reading, on_first_byte=look) as server:
        shop.profile(server.url)
        assert pay_once(shop).code == 21
        assert pay_once(shop).code == 21
        assert shop.run("retry", "--last", "--json").code == 21
        assert shop.run("retry", "--all", "--json").code == 21
        arrived = calls(server)
    assert len(seen) == len(arrived) == 4
    for n, ((payment, its_tries), call) in enumerate(zip(seen, arrived, strict=True), 1):
        assert payment["request_id"] == call.request_id
        assert payment["pay_request"] == call.pay_request
        assert (payment["state"], payment["tries"]) == ("sending", n)
        assert [one["event"] for one in its_tries] == ["connection_cut"] * (n - 1) + [None]
        assert its_tries[-1]["finished_ms"] is None


def test_a_sweeps_tries_are_committed_before_they_are_sent(shop: Shop) -> None:
    """`retry --all` commits the try of each payment before that payment's request arrives."""
    running: list[tuple[str, object]] = []
    lock = threading.Lock()

    def look_and_answer(talk: Talk) -> None:
        request = talk.read_request()
        if not request:
            return talk.close()
        body = request.partition(b"\r\n\r\n")[2].decode()
        request_id = str(json.loads(dict(parse_qsl(body))["pay_request"])["request_id"])
        with lock:
            running.append((request_id, [one["event"] for one in tries(shop, request_id)]))
        return talk.send(fault.http("200 OK", f"Content-Length: {len(PAID)}", body=PAID))

    with FaultServer(fault.cut_after_reading) as server:
        shop.profile(server.url)
        for checkout in ("1", "2", "3", "4", "5"):
            assert shop.run("pay", "--fee", "100", "--checkout", checkout).code == 21
        server.then(look_and_answer)
        ran = shop.run("retry", "--all", "--json")
    assert ran.code == 0
    assert len(running) == 5
    assert all(events == ["connection_cut", None] for _, events in running)


# ── killed and interrupted ───────────────────────────────────────────────────────────────────


def hang_then_tell(arrived: threading.Event) -> fault.Behaviour:
    """Take the whole request, say so, and never answer it."""

    def behave(talk: Talk) -> None:
        talk.read_request()
        arrived.set()
        talk.hang()

    return behave


def _stopped(shop: Shop, when: threading.Event, by: signal.Signals) -> Ran:
    process = shop.start(*PAY)
    assert when.wait(60)
    process.send_signal(by)
    return _ended(process)


def _ended(process: Any) -> Ran:
    out, err = process.communicate(timeout=60)
    return Ran(process.returncode, out.decode(), err.decode())


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_after_the_first_byte_is_unknown(shop: Shop, by: signal.Signals) -> None:
    """Ctrl-C, SIGTERM or a closed terminal while the answer is awaited: unknown (21), recorded,
    resumed by the same command.
    """
    arrived = threading.Event()
    with FaultServer(hang_then_tell(arrived)) as server:
        shop.profile(server.url, timeout=Row.timeout)
        told = check_told(_stopped(shop, arrived, by), "unknown")
        check_error(told, Row(fault.hang, "unknown", "interrupted"))
        check_row(shop, told["request_id"], "unknown", ("interrupted",))
        server.then(answer())
        check_resumed(shop, server, told, pay_once(shop), ("interrupted", "paid"))


def test_interrupted_before_the_first_byte_is_not_sent(shop: Shop) -> None:
    """Ctrl-C during the handshake: not sent, exit 130, and nothing arrived."""
    arrived = threading.Event()

    def hello(talk: Talk) -> None:
        talk.sock.recv(1)
        arrived.set()
        talk.hang()

    with FaultServer(hello) as server:
        shop.profile(_at(server.port), timeout=Row.timeout)
        ran = _stopped(shop, arrived, signal.SIGINT)
        assert (ran.code, ran.json["exit_code"], ran.json["outcome"]) == (130, 130, "not_sent")
        assert ran.json["error"]["code"] == "interrupted_before_sending"
        check_row(shop, ran.json["request_id"], "not_sent", ("interrupted_before_sending",))
        assert server.requests == []


def test_killed_while_sending_is_found_unknown(shop: Shop) -> None:
    """Kill -9 while the answer is awaited leaves the row open; the same command resumes it, and a
    refusal then does not close it either.
    """
    arrived = threading.Event()
    with FaultServer(hang_then_tell(arrived)) as server:
        shop.profile(server.url, timeout=Row.timeout)
        killed = _stopped(shop, arrived, signal.SIGKILL)
        assert (killed.code, killed.out) == (-signal.SIGKILL, "")
        (row,) = payments(shop)
        check_row(shop, row["request_id"], "sending", (None,))
        server.then(ROWS["rate limit"].does)
        told = check_told(pay_once(shop), "unknown")
        assert told["request_id"] == row["request_id"]
        server.then(answer())
        check_resumed(shop, server, told, pay_once(shop), (None, "gateway_refused", "paid"))


# ── conflicts ────────────────────────────────────────────────────────────────────────────────


def test_the_code_of_another_customer_is_kept_from_a_conflict(shop: Shop) -> None:
    """An answer with another voucher may be another customer's, who is not in this journal: its
    words are kept as evidence, without what looks like a payment code.
    """
    stranger, number = "288640535664032706", "281234567890123456"
    other = verdict(
        3, payment_order_id=number, result_code=stranger, result_message=f"code {stranger}."
    )
    with FaultServer(answer(verdict(3, payment_order_id="p-1")), answer(other)) as server:
        shop.profile(server.url)
        opened = check_told(pay_once(shop), "pending")
        again = pay_once(shop)
        check_told(again, "conflict")
        assert stranger not in again.out + again.err
        raw = tries(shop, opened["request_id"])[1]["raw"]
        assert number in raw, "the number is no code, and is evidence"
        assert "code 28" in raw
        assert stranger.encode() not in b"".join(
            path.read_bytes() for path in shop.journal.parent.glob("journal.db*")
        )


def test_no_answer_brings_the_code_of_another_customer(shop: Shop) -> None:
    """What looks like a payment code is kept out of whatever an answer says: it may be that to a
    payment which this journal does not know. The numbers that it names stay.
    """
    stranger, number = "288640535664032706", "281234567890123456"
    paid = verdict(1, payment_order_id=number, result_message=f"code {stranger}.")
    with FaultServer(answer(paid)) as server:
        shop.profile(server.url)
        told = pay_once(shop)
        assert check_told(told, "success")["payment_order_id"] == number
        assert stranger not in told.out + told.err
        assert stranger.encode() not in b"".join(
            path.read_bytes() for path in shop.journal.parent.glob("journal.db*")
        )


def test_another_voucher_is_a_conflict(shop: Shop) -> None:
    """A different payment_order_id for the same request_id may be a second charge: conflict, the
    first voucher stays on record, and nothing is sent for it any more.
    """
    other = verdict(1, payment_order_id="p-2")
    pending = verdict(3, payment_order_id="p-1")
    with FaultServer(answer(pending), answer(other)) as server:
        shop.profile(server.url)
        opened = check_told(pay_once(shop), "pending")
        assert opened["payment_order_id"] == "p-1"
        told = check_told(pay_once(shop), "conflict")
        check_error(told, Row(answer(), "conflict", "other_payment_order_id", "conflict"))
        assert (told["request_id"], told["payment_order_id"]) == (opened["request_id"], "p-1")
        check_row(shop, told["request_id"], "conflict", ("pending", "other_payment_order_id"))
        assert payments(shop)[0]["payment_order_id"] == "p-1"
        assert "p-2" in tries(shop, told["request_id"])[1]["raw"], "the other is kept as evidence"
        before = payments(shop)
        for again in (
            pay_once(shop),
            shop.run(*PAY, "--another", "--yes"),
            shop.run(*PAY, "--request-id", told["request_id"]),
            shop.run("retry", told["request_id"], "--json"),
            shop.run("retry", "--last", "--json"),
        ):
            assert (again.code, again.json["outcome"]) == (30, "blocked")
            assert again.json["error"]["code"] == "conflict"
        shop.run("retry", "--all")
        shop.run("retry", "--due")
        assert len(server.requests) == 2
        assert payments(shop) == before


AGAINST = [("not-paid", PAID, "paid"), ("paid", verdict(2), "failed")]


def closed_meanwhile(shop: Shop, closed_as: str, later: bytes) -> tuple[Ran, dict[str, Any]]:
    """A `pay` whose payment a person closed while its answer was on its way, and that record."""
    arrived, go_on = threading.Event(), threading.Event()

    def late(talk: Talk) -> None:
        talk.read_request()
        arrived.set()
        go_on.wait(60)
        talk.send(fault.http("200 OK", f"Content-Length: {len(later)}", body=later))
        talk.close()

    with FaultServer(late) as server:
        shop.profile(server.url, timeout=Row.timeout)
        process = shop.start(*PAY)
        assert arrived.wait(60)
        (row,) = payments(shop)
        # Only a lock that was lost would let anybody in while the payment is being sent.
        with closing(sqlite3.connect(shop.journal)) as db, db:
            db.execute(
                """UPDATE payments SET state='resolved', doubt=NULL, paid=?, told=1,
                     closed_ms=updated_ms, resolved_by='me', resolved_note='said so'
                   WHERE request_id=?""",
                (closed_as == "paid", row["request_id"]),
            )
        (closed,) = payments(shop)
        go_on.set()
        return _ended(process), closed


@pytest.mark.parametrize(("closed_as", "later", "event"), AGAINST)
def test_an_answer_against_a_closed_payment_raises_an_alarm(
    shop: Shop, closed_as: str, later: bytes, event: str
) -> None:
    """The record of the first stays as it was; what came in against it is an alarm."""
    _ran, closed = closed_meanwhile(shop, closed_as, later)
    assert payments(shop) == [closed]
    (alarm,) = select(shop, "SELECT * FROM alarms")
    assert alarm["event"] == event
    assert shop.run("pending", "--check").code == 20


@pytest.mark.parametrize(("closed_as", "later", "event"), AGAINST)
def test_an_answer_against_a_closed_payment_is_a_conflict(
    shop: Shop, closed_as: str, later: bytes, event: str
) -> None:
    """Another answer for a request_id that is closed the other way is told as a conflict (22)."""
    ran, _closed = closed_meanwhile(shop, closed_as, later)
    assert (ran.code, ran.json["outcome"]) == (22, "conflict")


# ── the same roads inside this process ───────────────────────────────────────────────────────


class Counter:
    """A till inside this process: the real gateway, the real journal, a clock that is set."""

    def __init__(
        self, shop: Shop, server: FaultServer, url: str | None = None, **keys: Any
    ) -> None:
        self.shop = shop
        self.server = server
        self.url = url or server.url
        self.now_s = time.time()
        self.told: dict[str, Any] = {}  # what the latest run has told
        self.journal = SqliteJournal(shop.journal)
        self.profile, self.gateway = self._connected(keys)

    def connect(self, **keys: Any) -> None:
        """From now on with these keys in the profile."""
        self.gateway.close()
        self.profile, self.gateway = self._connected(keys)

    def _connected(self, keys: dict[str, Any]) -> tuple[Profile, Gateway]:
        self.shop.profile(self.url, **{"timeout": Row.timeout} | keys)
        profile = load(None, None, self.shop.env).profile
        gateway = Gateway(
            profile.gateway,
            timeout=profile.timeout,
            proxy=profile.proxy,
            ca=profile.ca,
            environ={},
            monotonic=time.monotonic,
        )
        return profile, gateway

    @property
    def desk(self) -> Desk:
        return Desk(
            profile=self.profile,
            secret=SECRET,
            journal=self.journal,
            gateway=self.gateway,
            who=lambda machine_id, operator_id: Who("host", 1, machine_id, operator_id),
            now_s=lambda: self.now_s,
            uptime_s=lambda: self.now_s,
            new_id=new_request_id,
            interruptible=nullcontext,
        )

    def pay(
        self, does: bytes | fault.Behaviour, checkout: str = "111", **flags: str
    ) -> dict[str, Any]:
        """`pay` while the gateway answers so; told as JSON, and the journal knows it was told."""
        self.server.then(answer(does) if isinstance(does, bytes) else does)
        members = {"pay_fee": "100", "checkout_id": checkout, **flags}
        order = check(members, {}, self.profile.defaults, Limits(self.profile.max_fee))
        return self._tell(pay(order, self.desk, frozenset()))

    def retry(self, does: bytes | fault.Behaviour, request_id: str) -> dict[str, Any]:
        self.server.then(answer(does) if isinstance(does, bytes) else does)
        payment = self.journal.payment(request_id)
        assert isinstance(payment, Payment)
        return self._tell(retry(payment, self.desk, frozenset()))

    def _tell(self, result: Result) -> dict[str, Any]:
        told = result_json(result, "pay", self.profile.name, live=self.profile.live)
        self.told = told
        if result.payment is not None and not result.payment.open:
            self.journal.mark_told([result.payment.request_id])
        found: dict[str, Any] = json.loads(json.dumps(told))
        return found

    def close(self) -> None:
        self.gateway.close()
        self.journal.close()


@pytest.fixture
def counter(shop: Shop) -> Iterator[Counter]:
    with FaultServer(answer()) as server, closing(Counter(shop, server)) as found:
        yield found


@pytest.mark.parametrize("earlier", DOUBT)
@pytest.mark.parametrize("network", AWAY, indirect=True)
def test_a_retry_that_never_left(shop: Shop, network: Network, earlier: str) -> None:
    """A payment that is unknown stays so, and a pending one stays pending and says why, by `pay`
    and by `retry`, however often nothing leaves.
    """
    event, server = network.away.event, network.server
    does, first = DOUBT[earlier]
    with closing(Counter(shop, server, network.away.url, **network.keys(up=True))) as counter:
        opened = counter.pay(does)
        counter.connect(**network.keys(up=False))
        for still in (counter.pay(PAID), counter.retry(PAID, opened["request_id"])):
            assert (still["outcome"], still["exit_code"]) == (earlier, EXITS[earlier])
            assert still["request_id"] == opened["request_id"]
            check_error(still, network.row, earlier)
            assert (earlier == "pending") is (len(still["warnings"]) == 1)
        check_row(shop, opened["request_id"], earlier, (first, event, event))
        counter.connect(**network.keys(up=True))
        assert counter.pay(PAID)["outcome"] == "success"
        check_row(shop, opened["request_id"], "success", (first, event, event, "paid"))
        assert len({call.pay_request for call in calls(server)}) == 1
        assert len(server.requests) == 2


GATEWAY_CODES = (4, 5, 6, 7, 8, 9, 11, 12, 13, *range(20, 35), 40, 41, 42, 43, 45, 47, 53)

Said = tuple[int, str | None, str | None]
REFUSALS: dict[str, tuple[str, list[Said]]] = {
    "by code": ("gateway_refused", [(code, None, None) for code in GATEWAY_CODES]),
    "by code, whatever else is said": (
        "gateway_refused",
        [
            (7, "accesscontrol.limited-by-api-access-count", "This ban will last for 9 more s"),
            (11, "isv.permission-ip-whitelist-limit", None),
            (25, "isv.invalid-signature", "签名已使用"),
            (29, "isv.appkey-not-exists", None),
            (40, "isp.unknown-error", None),
        ],
    ),
    "unknown app key": (
        "gateway_refused",
        [(code, "isp.get-app-error", None) for code in (1, 15, 29, 50)],
    ),
    "malformed parameters": (
        "gateway_refused",
        [(code, "isp.top-mapping-parse-error", None) for code in (15, 50)],
    ),
    "malformed business": (
        "business_refused",
        [
            (code, sub_code, sub_msg)
            for code in (15, 50)
            for sub_code, sub_msg in (
                ("isv.invalid-parameter", "非法参数"),
                ("isv.missing-parameter:buyer_id", None),
                ("isv.parameters-mismatch:a-and-b", None),
                ("isv.shop-not-exist:1", "店铺不存在"),
                ("isv.invalid-permission", "refused"),
                ("ISV.INVALID-PARAMETER", "the order is unpaid"),
            )
        ],
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(counter: Counter, name: str) -> None:
    """Refused before the business, or by it as malformed: rejected, and over. After a try that
    proved nothing, or one that is pending, the very same answer closes nothing.
    """
    event, answers = REFUSALS[name]
    for n, (code, sub_code, sub_msg) in enumerate(answers):
        body = error(code, sub_code, sub_msg)
        row = Row(answer(body), "rejected", event, "gateway", str(code), sub_code)
        told = counter.pay(body, f"c{n}")
        assert (told["outcome"], told["exit_code"]) == ("rejected", 12), body
        check_error(told, row)
        check_row(counter.shop, told["request_id"], "rejected", (event,))
        for earlier, (does, first) in DOUBT.items():
            opened = counter.pay(does, f"c{n}")
            assert opened["request_id"] != told["request_id"], "a new payment"
            for still in (counter.pay(body, f"c{n}"), counter.retry(body, opened["request_id"])):
                assert (still["outcome"], still["exit_code"]) == (earlier, EXITS[earlier]), body
                check_error(still, row, earlier)
                assert (earlier == "pending") is any(event in w for w in still["warnings"])
            check_row(counter.shop, opened["request_id"], earlier, (first, event, event))
            told = counter.pay(DECLINED, f"c{n}")
            assert (told["outcome"], told["request_id"]) == ("fail", opened["request_id"])


ISP = (
    "isp.top-remote-connection-timeout",
    "isp.top-remote-service-unavailable",
    "isp.top-remote-unknown-error",
    "isp.remote-service-error",
    "isp.remote-service-timeout",
    "isp.service-unavailable",
    "isp.unknown-error",
)
EARLIER = (
    ("isv.order-duplicate", None),
    ("isv.DUPLICATE_REQUEST", None),
    ("isv.trade-exists", None),
    ("isv.trade-exist:1", None),
    ("isv.invalid-parameter", "the request is a duplicate"),
    ("isv.invalid-parameter", "重复支付"),
)
IN_PROGRESS = (
    ("isv.pay-in-process", "支付处理中"),
    ("isv.system-busy", None),
    ("isv.invalid-parameter", "系统繁忙，请稍后再试"),
)
UNDECIDED: dict[str, tuple[str, list[Said]]] = {
    "10 and 44": (
        "system_error",
        [(c, s, None) for c in (10, 44) for s in (None, "isv.invalid-parameter", *ISP)],
    ),
    "a code nobody knows": (
        "system_error",
        [
            (code, sub_code, None)
            for code in (-1, 1, 2, 3, 14, 16, 35, 46, 100, 777)
            for sub_code in (None, "isp.unknown-error", "isv.invalid-parameter")
        ],
    ),
    "isp": ("system_error", [(c, s, None) for c in (15, 50) for s in ISP]),
    "no sub code, or an odd one": (
        "system_error",
        [(c, s, None) for c in (15, 50) for s in (None, "", "whatever", "isvx", "isp")],
    ),
    "an earlier payment": ("maybe_duplicate", [(c, *said) for c in (15, 50) for said in EARLIER]),
    "in progress": ("undecided", [(c, *said) for c in (15, 50) for said in IN_PROGRESS]),
}


@pytest.mark.parametrize("name", UNDECIDED)
def test_errors_that_prove_nothing(counter: Counter, name: str) -> None:
    """10, 44, isp.*, no sub code, one that nobody knows, and refusals that speak of an earlier
    payment: unknown, resumed under the same id with a fresh timestamp and the same payload.
    """
    event, answers = UNDECIDED[name]
    for n, (code, sub_code, sub_msg) in enumerate(answers):
        body = error(code, sub_code, sub_msg)
        row = Row(answer(body), "unknown", event, "gateway", str(code), sub_code or None)
        told = counter.pay(body, f"c{n}")
        assert (told["outcome"], told["exit_code"]) == ("unknown", 21), body
        check_error(told, row)
        check_row(counter.shop, told["request_id"], "unknown", (event,))
        counter.now_s += 90
        again = counter.pay(body, f"c{n}")
        assert (again["outcome"], again["request_id"]) == ("unknown", told["request_id"])
        counter.now_s += 90
        last = counter.pay(PAID, f"c{n}")
        assert (last["outcome"], last["request_id"]) == ("success", told["request_id"])
        sent = [dict(parse_qsl(form.decode())) for form in counter.server.bodies()[-3:]]
        assert len({params["pay_request"] for params in sent}) == 1
        assert len({params["timestamp"] for params in sent}) == 3
        assert len({params["sign"] for params in sent}) == 3


NO_VERDICTS = {
    "outer false, no status": verdict(None, outer=False),
    "outer false, no model": _wrapped({"result": {"is_success": False}}),
    "outer missing, no status": verdict(None, outer=None),
    "outer true, no model": _wrapped({"result": {"is_success": True, "msg_code": "SUCCESS"}}),
    "model null": _wrapped({"result": {"is_success": True, "model": None}}),
    "model a text": _wrapped({"result": {"is_success": True, "model": "1"}}),
    "no result": _wrapped({"request_id": "t"}),
    **{
        f"status {status!r}": verdict(status)
        for status in (0, 4, -1, 11, "x", "", 1.5, True, [1], {"a": 1}, "1.x", 1 << 70)
    },
}


@pytest.mark.parametrize("name", NO_VERDICTS)
def test_answers_without_a_verdict(counter: Counter, name: str) -> None:
    """No readable result_status of 1, 2 or 3: nothing was proved."""
    told = counter.pay(NO_VERDICTS[name])
    assert (told["outcome"], told["exit_code"]) == ("unknown", 21)
    check_row(counter.shop, told["request_id"], "unknown", ("no_verdict",))
    assert told["error"]["message"].endswith(MONEY["unknown"])


def test_result_status_and_flags(counter: Counter) -> None:
    """result_status decides, whatever the flags; only a paid one with a flag explicitly false
    contradicts itself.
    """
    flags = list(product((True, False, None, "true", "false"), (True, False, None, "false")))
    for status, expected in ((1, "success"), ("1", "success"), (2, "fail"), (3, "pending")):
        for outer, inner in flags:
            body = verdict(status, outer=outer, inner=inner)
            false = "false" in (str(outer).lower(), str(inner).lower())
            outcome = "conflict" if expected == "success" and false else expected
            told = counter.pay(body, new_request_id())
            assert (told["outcome"], told["exit_code"]) == (outcome, EXITS[outcome]), body
            assert told["state"] == outcome


def test_the_whole_record_of_the_first_voucher_stays(counter: Counter) -> None:
    """An answer that names another voucher changes nothing of what the first one said."""
    counter.pay(verdict(3, payment_order_id="p-1", channel_order_id="c-1", remaining_fee=100))
    counter.pay(verdict(1, payment_order_id="p-2", channel_order_id="c-2", remaining_fee=0))
    (row,) = payments(counter.shop)
    kept = (row["payment_order_id"], row["channel_order_id"], row["remaining_fee"])
    assert (row["state"], *kept) == ("conflict", "p-1", "c-1", 100)


# Of a first try, under an id of posctl's own: what the words come to.
SPOKEN = {
    "CODE_USED": ("fail", "failed_as_used"),
    "付款码已使用": ("fail", "failed_as_used"),
    "支付授权码无效": ("fail", "failed_as_used"),
    "AUTHCODEEXPIRE": ("fail", "failed_as_used"),
    "ORDER_PAID": ("conflict", "already_done"),
    "订单已支付": ("conflict", "already_done"),
    "TRADE_FINISHED": ("conflict", "already_done"),
    "TRADE_EXISTS": ("unknown", "maybe_duplicate"),
    "duplicate": ("unknown", "maybe_duplicate"),
    "重复": ("unknown", "maybe_duplicate"),
    "USERPAYING": ("unknown", "undecided"),
    "系统繁忙": ("unknown", "undecided"),
}


@pytest.mark.parametrize("words", SPOKEN)
@pytest.mark.parametrize("where", ["result_code", "result_message"])
def test_a_failure_that_speaks_of_more(counter: Counter, words: str, where: str) -> None:
    """A first try that failed so is what the words say; after doubt they prove nothing. A known
    decline closes the payment even then.
    """
    outcome, event = SPOKEN[words]
    used = verdict(2, **{where: words})
    told = counter.pay(used, new_request_id())
    assert (told["outcome"], told["exit_code"]) == (outcome, EXITS[outcome])
    assert ("pay again" in told["error"]["hint"]) is (outcome == "fail")
    for n, (earlier, (does, first)) in enumerate(DOUBT.items()):
        opened = counter.pay(does, f"c{n}")
        still = counter.pay(used, f"c{n}")
        assert (still["outcome"], still["request_id"]) == (earlier, opened["request_id"])
        check_row(counter.shop, opened["request_id"], earlier, (first, event))
        unclear = counter.pay(verdict(2, result_code="PAYMENT_FAIL"), f"c{n}")
        assert unclear["outcome"] == earlier
        closed = counter.pay(DECLINED, f"c{n}")
        assert (closed["outcome"], closed["request_id"]) == ("fail", opened["request_id"])


def test_an_id_that_somebody_gave(counter: Counter) -> None:
    """Under an id of the caller's own a used code may have been used by this very id, from a
    journal that is gone: unknown, by `result_status` 2 and by `isv.*`.
    """
    used = verdict(2, result_code="AUTH_CODE_INVALID", result_message="付款码无效")
    for n, body in enumerate((used, error(15, "isv.auth-code-invalid"))):
        own = counter.pay(body, f"own-{n}")
        assert own["outcome"] in ("fail", "rejected")
        given = counter.pay(body, f"given-{n}", request_id=f"order-2026-000{n}")
        assert (given["outcome"], given["exit_code"]) == ("unknown", 21)
        assert "pay again" not in given["error"]["hint"]


def test_an_answer_to_somebody_else(counter: Counter) -> None:
    """A model that names another payment, or whose numbers another checkout has, is no
    answer to this one: conflict, and nothing that it says is kept.
    """
    first = counter.pay(verdict(1, payment_order_id="PO1", channel_order_id="CH1"), "a1")
    assert first["outcome"] == "success"
    for n, named in enumerate(
        (
            {"request_id": "11111111-1111-4111-8111-111111111111"},
            {"checkout_id": "a1"},
            {"order_id": "a1"},
            {"payment_order_id": "PO1"},
            {"channel_order_id": "CH1"},
        )
    ):
        told = counter.pay(verdict(1, **named), f"b{n}")
        assert (told["outcome"], told["exit_code"]) == ("conflict", 22), named
        assert told["payment_order_id"] is None
        assert told["current_pay_fee"] is None
    asked = counter.pay(
        verdict(1, checkout_id="c1", order_id="c1", payment_order_id="PO2", remaining_fee=50), "c1"
    )
    assert asked["outcome"] == "success"
    again = counter.pay(verdict(1, payment_order_id="PO2"), "c1", pay_fee="50")
    assert again["outcome"] == "success", "two parts of one checkout may share a number"


def test_what_is_due_is_stated_by_a_success(counter: Counter) -> None:
    """Number fields of a failed or pending answer are defaults: a success says what is due."""
    nothing = counter.pay(verdict(2, remaining_fee=0, result_message="余额不足"), "d1")
    assert (nothing["outcome"], nothing["remaining_fee"]) == ("fail", None)
    part = counter.pay(verdict(1, remaining_fee=300), "d1")
    assert part["remaining_fee"] == 300
    counter.now_s += 90
    failed = counter.pay(verdict(2, remaining_fee=0, result_message="余额不足"), "d1")
    assert (failed["remaining_fee"], failed["current_pay_fee"]) == (300, None)
    counter.now_s += 90
    pending = counter.pay(verdict(3, remaining_fee=0, current_pay_fee=0), "d1")
    assert (pending["outcome"], pending["remaining_fee"]) == ("pending", 300)
    assert pending["current_pay_fee"] is None


WARNINGS: dict[str, tuple[dict[str, Any], str | None]] = {
    "another amount": ({"current_pay_fee": 99}, "charged another amount"),
    "another channel": ({"current_payment_channel": 1007}, "another payment channel"),
    "no remainder": ({"remaining_fee": None}, "did not say what is still due"),
    "an odd remainder": ({"remaining_fee": "x"}, "did not say what is still due"),
    "a negative remainder": ({"remaining_fee": -1}, "a negative amount due"),
    "nothing odd": ({}, None),
    "silence about the amount": ({"current_pay_fee": None}, None),
    "silence about the channel": ({"current_payment_channel": None}, None),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_what_is_odd_about_a_success_is_warned_of(counter: Counter, name: str) -> None:
    """It is a success, exit 0, closed; what was not as asked is told beside it, and kept."""
    odd, words = WARNINGS[name]
    told = counter.pay(verdict(1, **odd))
    assert (told["outcome"], told["exit_code"], told["error"]) == ("success", 0, None)
    check_row(counter.shop, told["request_id"], "success", ("paid",))
    if words is None:
        assert told["warnings"] == []
        assert payments(counter.shop)[0]["warnings"] is None
    else:
        (warning,) = told["warnings"]
        assert words in warning
        assert payments(counter.shop)[0]["warnings"]


def test_a_remainder_that_grows_is_warned_of(counter: Counter) -> None:
    """More is due after the second part than after the first: paid, and odd."""
    assert counter.pay(verdict(1, remaining_fee=300))["warnings"] == []
    counter.now_s += 90
    told = counter.pay(verdict(1, remaining_fee=350))
    assert (told["outcome"], told["remaining_fee"]) == ("success", 350)
    (warning,) = told["warnings"]
    assert "more is due than before" in warning
    counter.now_s += 90
    assert counter.pay(verdict(1, remaining_fee=250))["warnings"] == []


def test_warnings_reach_the_cashier(shop: Shop) -> None:
    """Through the real process: a success, exit 0, with all its warnings in JSON and on stderr."""
    odd = verdict(1, current_pay_fee=99, current_payment_channel=7, remaining_fee=-5)
    with FaultServer(answer(odd)) as server:
        shop.profile(server.url)
        ran = pay_once(shop)
        told = check_told(ran, "success")
        assert len(told["warnings"]) == 3
        assert (told["current_pay_fee"], told["pay_fee"]) == (99, 100)
        assert "another amount" in ran.err
        assert len(json.loads(payments(shop)[0]["warnings"])) == 3
        assert len(server.requests) == 1


@pytest.mark.parametrize("earlier", DOUBT)
def test_doubt_upon_doubt(counter: Counter, earlier: str) -> None:
    """A second try that proves nothing leaves the payment as it was: unknown, or still pending."""
    does, first = DOUBT[earlier]
    for name, row in ROWS.items():
        if row.outcome == "unknown":
            opened = counter.pay(does, "c-" + name.replace(" ", "-"))
            counter.connect(timeout=row.timeout)
            still = counter.retry(row.does, opened["request_id"])
            counter.connect()
            assert (still["outcome"], still["tries"]) == (earlier, 2), name
            check_row(counter.shop, opened["request_id"], earlier, (first, row.event))
            closed = counter.retry(PAID, opened["request_id"])
            assert (closed["outcome"], closed["tries"]) == ("success", 3)


ANOTHERS_ID = {"request_id": "00000000-0000-4000-8000-000000000000"}
ANOTHERS_NUMBER = {"payment_order_id": "PO-elsewhere"}


@pytest.mark.parametrize("model", [ANOTHERS_ID, ANOTHERS_NUMBER], ids=["named", "by its number"])
def test_of_another_payments_answer_no_word_is_kept(
    counter: Counter, shop: Shop, model: dict[str, Any]
) -> None:
    """Its words may hold another customer's payment code, which posctl cannot know."""
    theirs = "287777777777777777"
    paid_elsewhere = json.loads(verdict(1))
    inner = paid_elsewhere["alibaba_pos_order_pay_response"]["result"]["model"]
    inner |= ANOTHERS_NUMBER
    counter.pay(json.dumps(paid_elsewhere).encode(), "elsewhere")
    inner |= {"payment_order_id": "PO-ours"} | model | {"result_message": f"code {theirs}"}
    told = counter.pay(json.dumps(paid_elsewhere).encode(), "ours")
    assert told["outcome"] == "conflict"
    assert theirs not in json.dumps(told)
    counter.journal.close()
    files = b"".join(path.read_bytes() for path in shop.home.glob("journal.db*"))
    assert theirs.encode() not in files
