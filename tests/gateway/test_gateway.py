"""One POST, one try, and the truth about it: the gateway over real sockets, against every fault."""

from __future__ import annotations

import errno
import gzip
import hashlib
import logging
import signal
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import faultserver as fault
import pytest
from cryptography import x509
from faultserver import PAID, Certificates, FaultServer, Talk, answer

from posctl import __version__
from posctl.errors import ConfigError
from posctl.gateway import connection
from posctl.gateway.client import (
    MAX_BODY,
    Gateway,
    _hashed_certificates,
    _is_trustworthy,
    proxy_for,
    trusting,
)
from posctl.gateway.connection import MAX_RECEIVED, Adapter, Failed, Flight, here
from posctl.gateway.exchange import Exchange, Sent, Timeout
from posctl.money.outcome import Event
from posctl.shell import as_text
from posctl.text import is_loopback

PRIVATE = "4A1FC0DE5161"  # stands for the sign, the code and the fee: it must not be told
FORM = f"pay_request=%7B%22pay_fee%22%3A100%7D&sign={PRIVATE}".encode()

# Nothing but a fault comes near the patient one; the hasty one makes a fault of waiting.
PATIENT = Timeout(connect_s=20, read_s=20, total_s=20)
HASTY_READ = Timeout(connect_s=20, read_s=0.2, total_s=20)
HASTY_CONNECT = Timeout(connect_s=0.2, read_s=20, total_s=20)
HASTY_TOTAL = Timeout(connect_s=20, read_s=20, total_s=0.5)

MakeGateway = Callable[..., Gateway]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def gateway() -> Iterator[MakeGateway]:
    """Makes gateways, and closes them when the test is over."""
    made: list[Gateway] = []

    def make(
        url: str,
        timeout: Timeout = PATIENT,
        *,
        proxy: str | None = None,
        ca: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Gateway:
        made.append(
            Gateway(
                url,
                timeout=timeout,
                proxy=proxy,
                ca=ca,
                environ=environ or {},
                monotonic=time.monotonic,
            )
        )
        return made[-1]

    yield make
    for one in made:
        one.close()


def post(through: Gateway, form: bytes = FORM) -> Exchange:
    """Post, and check what holds for every post: `sent` agrees, nothing private is told."""
    sent = Sent()
    exchange = through.post(form, sent)
    assert exchange.may_have_left is sent.may_have_left
    assert (exchange.event is None) is (exchange.body is not None)
    for private in (PRIVATE, "router", "://", "pay_request"):
        assert private not in exchange.detail
    assert len(exchange.detail) < 100
    return exchange


def secure(url: str) -> str:
    """The same place, asked for TLS."""
    return url.replace("http://", "https://")


# ── what travels ─────────────────────────────────────────────────────────────────────────────


def test_the_request_is_these_bytes(
    gateway: MakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One POST with each header once and the true length; no cookies, no .netrc, nothing added."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with FaultServer(answer(headers={"Set-Cookie": "a=b; Path=/"})) as server:
        through = gateway(server.url)
        assert post(through).body == PAID
        assert post(through).body == PAID
    expected = (
        "POST /router/rest HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        "Content-Type: application/x-www-form-urlencoded;charset=UTF-8",
        "Accept-Encoding: identity",
        f"User-Agent: posctl/{__version__}",
        f"Content-Length: {len(FORM)}",
    )
    for request in server.requests:
        head, _, body = request.partition(b"\r\n\r\n")
        first, *rest = head.decode("ascii").split("\r\n")
        assert first == expected[0]
        assert sorted(rest) == sorted(expected[1:])
        assert body == FORM


@pytest.mark.parametrize("form", [b"", b"a=%E4%B8%AD", b"a=" + b"1" * 3_000_000], ids=len)
def test_forms_of_any_size_arrive_whole(gateway: MakeGateway, form: bytes) -> None:
    """The body is the form to the byte, once, whatever its length."""
    with FaultServer(answer()) as server:
        assert post(gateway(server.url), form).event is None
        assert server.bodies() == [form]


def test_a_sent_is_for_one_post(gateway: MakeGateway) -> None:
    """A `Sent` that was used cannot be posted with again: it would tell of the wrong try."""
    sent = Sent()
    with FaultServer(answer()) as server:
        through = gateway(server.url)
        through.post(FORM, sent)
        with pytest.raises(ValueError, match="one post"):
            through.post(FORM, sent)
        assert len(server.requests) == 1


def test_the_servers_date_comes_along(gateway: MakeGateway) -> None:
    """The answer's Date is passed on for a look at the clock, at most 64 characters of it."""
    date = "Fri, 01 Jan 2016 04:00:00 GMT"
    with FaultServer(answer(headers={"Date": date}), answer(headers={"Date": "9" * 99})) as server:
        through = gateway(server.url)
        assert post(through).server_date == date
        assert post(through).server_date == "9" * 64


@pytest.mark.parametrize(
    "url",
    [
        *("", "http://", "ftp://127.0.0.1/", "https://[::1/", "gateway", "https://*.test/"),
        *("https://.test/", "https://[v1.x]/", "https://gateway.test:0/", "http://h.test/a?b=c"),
        *(
            "https://gateway.test/a/../router/rest",
            "https://gateway.test/./rest",
            "http://h.test#a",
        ),
    ],
)
def test_an_url_that_cannot_be_used_is_refused(gateway: MakeGateway, url: str) -> None:
    """A gateway that is no http(s) URL is a configuration error, before anything is posted."""
    with pytest.raises(ConfigError) as refused:
        gateway(url)
    assert refused.value.code == "gateway"


# ── answers ──────────────────────────────────────────────────────────────────────────────────

JUST_FITS = b" " * MAX_BODY

ANSWERS = {
    "plain": (answer(), 200, PAID),
    "chunked": (answer(chunked=True), 200, PAID),
    "until the end": (answer(length=-1, keep=False), 200, PAID),
    "http/1.0": (fault.reply(b"HTTP/1.0 200 OK\r\n\r\n" + PAID), 200, PAID),
    "after 100": (
        fault.reply(fault.http("100 Continue") + fault.http(body=PAID)),
        200,
        PAID,
    ),
    "after 103 and 102": (
        fault.reply(
            fault.http("103 Early Hints", "Link: </a>")
            + fault.http("102 Processing")
            + fault.http("200 OK", f"Content-Length: {len(PAID)}", body=PAID)
        ),
        200,
        PAID,
    ),
    "after an empty line": (
        fault.reply(b"\r\n" + fault.http("200 OK", f"Content-Length: {len(PAID)}", body=PAID)),
        200,
        PAID,
    ),
    "empty": (answer(b""), 200, b""),
    "cut in the headers": (fault.reply(b"HTTP/1.1 200 OK\r\nX-Odd: a"), 200, b""),
    "204": (fault.reply(fault.http("204 No Content")), 204, b""),
    "gzip": (fault.gzipped, 200, PAID),
    "x-gzip": (answer(gzip.compress(PAID), headers={"Content-Encoding": "X-Gzip"}), 200, PAID),
    "deflate": (fault.deflated, 200, PAID),
    "raw deflate": (fault.deflated_raw, 200, PAID),
    "identity": (answer(headers={"Content-Encoding": "identity"}), 200, PAID),
    "1 MiB": (answer(JUST_FITS), 200, JUST_FITS),
    "1 MiB in chunks": (answer(JUST_FITS, chunked=True), 200, JUST_FITS),
    "1 MiB gzipped": (
        answer(gzip.compress(JUST_FITS), headers={"Content-Encoding": "gzip"}),
        200,
        JUST_FITS,
    ),
    "404": (answer(fault.HTML, status="404 Not Found"), 404, fault.HTML),
    "500": (answer(PAID, status="500 Internal Server Error"), 500, PAID),
    "502": (answer(b"", status="502 Bad Gateway"), 502, b""),
    "503, later": (
        answer(b"busy", status="503 Busy", headers={"Retry-After": "0"}),
        503,
        b"busy",
    ),
    "429, later": (answer(b"busy", status="429 Slow", headers={"Retry-After": "0"}), 429, b"busy"),
    "408": (answer(b"slow", status="408 Request Timeout", keep=False), 408, b"slow"),
    "captive portal": (answer(fault.HTML, headers={"Content-Type": "text/html"}), 200, fault.HTML),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_whole_answer_is_given_whatever_its_status(gateway: MakeGateway, name: str) -> None:
    """A body that came whole is handed over, decoded, with its status, after exactly one POST."""
    behaviour, status, body = ANSWERS[name]
    with FaultServer(behaviour) as server:
        exchange = post(gateway(server.url))
        assert exchange == Exchange(None, may_have_left=True, http_status=status, body=body)
        assert server.bodies() == [FORM]
        assert server.connections == 1


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
def test_redirects_are_never_followed(gateway: MakeGateway, status: str) -> None:
    """No redirect makes a second request, neither at its target nor at the gateway itself."""
    with FaultServer(answer()) as target:
        for location in (target.url, "/router/rest", ""):
            with FaultServer(fault.redirect(status, location)) as server:
                exchange = post(gateway(server.url))
                assert (exchange.event, exchange.http_status) == (None, int(status[:3]))
                assert exchange.body == b"moved"
                assert (server.connections, len(server.requests)) == (1, 1)
        assert target.connections == 0


# ── faults once the request is on its way ────────────────────────────────────────────────────

OPENED = fault.http("200 OK", f"Content-Length: {len(PAID)}", body=PAID[:50])

# name → behaviour, event, the status as far as it was read
FAULTS: dict[str, tuple[fault.Behaviour, Event, int | None]] = {
    "close before reading": (fault.close_before_reading, Event.CUT, None),
    "reset before reading": (fault.reset_before_reading, Event.CUT, None),
    "close after reading": (fault.cut_after_reading, Event.CUT, None),
    "reset after reading": (fault.reset_after_reading, Event.CUT, None),
    "close in the status line": (fault.reply(b"HTTP/1.1 2"), Event.GARBAGE, None),
    "garbage status line": (fault.garbage_status, Event.GARBAGE, None),
    "garbage headers": (fault.garbage_headers, Event.GARBAGE, None),
    "no http": (fault.reply(PAID), Event.GARBAGE, None),
    "http/2": (fault.reply(b"HTTP/2 200\r\n\r\n" + PAID), Event.GARBAGE, None),
    "status 99": (fault.reply(fault.http("99 Odd", body=PAID)), Event.GARBAGE, None),
    "two lengths": (fault.two_lengths, Event.GARBAGE, None),
    "200 headers": (fault.endless_headers, Event.GARBAGE, None),
    "a long header": (fault.reply(fault.http("200 OK", "X: " + "x" * 70_000)), Event.GARBAGE, None),
    "103 again and again": (
        fault.reply(fault.http("103 Early Hints") * 20 + fault.http(body=PAID)),
        Event.GARBAGE,
        None,
    ),
    "empty lines": (fault.reply(b"\r\n\r\n" + fault.http(body=PAID)), Event.GARBAGE, None),
    "100 for ever": (fault.reply(fault.http("100 Continue") * 100_000), Event.OVERSIZED, None),
    "shorter than its length": (fault.truncated_length, Event.TRUNCATED, 200),
    "cut in a chunk": (fault.truncated_chunked, Event.TRUNCATED, 200),
    "no last chunk": (fault.chunked_without_end, Event.TRUNCATED, 200),
    "broken chunks": (fault.broken_chunks, Event.TRUNCATED, 200),
    "endless chunk size": (fault.endless_chunk_size, Event.TRUNCATED, 200),
    "a huge length": (
        fault.reply(fault.http("200 OK", "Content-Length: 99999999999", body=PAID)),
        Event.TRUNCATED,
        200,
    ),
    "not gzip": (fault.broken_gzip, Event.UNDECODABLE, 200),
    "half a gzip": (fault.half_gzip, Event.UNDECODABLE, 200),
    "gzip and a rest": (
        answer(gzip.compress(PAID) + PAID, headers={"Content-Encoding": "gzip"}),
        Event.UNDECODABLE,
        200,
    ),
    "gzip twice": (
        answer(gzip.compress(PAID), headers={"Content-Encoding": "gzip, gzip"}),
        Event.UNDECODABLE,
        200,
    ),
    "unknown encoding": (fault.unknown_encoding, Event.UNDECODABLE, 200),
    "over 1 MiB": (fault.oversized, Event.OVERSIZED, 200),
    "over 1 MiB in chunks": (fault.oversized_chunked, Event.OVERSIZED, 200),
    "over 1 MiB, no length": (
        fault.reply(fault.http(body=b" " * (MAX_BODY + 1))),
        Event.OVERSIZED,
        200,
    ),
    "over 1 MiB once decoded": (
        answer(gzip.compress(b" " * (MAX_BODY + 1)), headers={"Content-Encoding": "gzip"}),
        Event.OVERSIZED,
        200,
    ),
    "gzip bomb": (fault.gzip_bomb(), Event.OVERSIZED, 200),
    "tiny chunks, more frame than body": (
        fault.reply(
            fault.http("200 OK", "Transfer-Encoding: chunked")
            + (b"1;" + b"x" * 4000 + b"\r\n \r\n") * (MAX_RECEIVED // 4000)
        ),
        Event.OVERSIZED,
        200,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_after_the_first_byte_may_have_charged(gateway: MakeGateway, name: str) -> None:
    """Each fault has its event, says that bytes may have left, and gives no body; one connection
    is made and at most one request arrives.
    """
    behaviour, event, status = FAULTS[name]
    with FaultServer(behaviour, answer()) as server:
        exchange = post(gateway(server.url))
        assert (exchange.event, exchange.http_status) == (event, status)
        assert exchange.may_have_left
        assert server.connections == 1
        assert len(server.requests) == (0 if "before reading" in name else 1)


# Up to 3.12 ssl leaves a socket that is reset before its handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <posctl.gateway.connection._TLSSocket")
def test_a_reset_at_once_is_told_as_it_was_met(
    gateway: MakeGateway, certificates: Certificates
) -> None:
    """A reset that comes before the first byte went out says so; after it, it is a cut."""
    with FaultServer(fault.reset_at_once) as server:
        for _ in range(50):
            exchange = post(gateway(server.url))
            assert exchange.event is (Event.CUT if exchange.may_have_left else Event.UNSENT)
            exchange = post(gateway(secure(server.url), ca=certificates.ca))
            assert exchange.event in (Event.HANDSHAKE_CUT, Event.UNSENT)
            assert not exchange.may_have_left


def test_without_tls_nothing_is_sent_where_tls_was_asked_for(
    gateway: MakeGateway, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket that calls itself unconnected before the handshake, as Windows' do after a reset,
    gets no TLS of `ssl`, and no request.
    """

    def unconnected(*_: object) -> None:
        raise OSError(errno.ENOTCONN, "not connected")

    for name in ("getpeername", "recv"):
        monkeypatch.setattr(connection._TLSSocket, name, unconnected)
    with FaultServer(answer()) as server:
        exchange = post(gateway(secure(server.url), ca=certificates.ca))
        assert (exchange.event, exchange.may_have_left) == (Event.HANDSHAKE_CUT, False)
        assert server.requests == []


def test_a_bomb_is_never_unfolded(gateway: MakeGateway) -> None:
    """Of 50 MB in 48 KB of gzip no more is unpacked than the limit."""
    bomb = fault.gzip_bomb()
    with FaultServer(bomb) as server:
        through = gateway(server.url)
        tracemalloc.start()
        exchange = post(through)
        _now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert exchange.event is Event.OVERSIZED
    assert peak < 8 * MAX_BODY


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        (fault.hang, None),
        (fault.stall(b"HTTP/1.1 200"), None),
        (fault.stall(b"HTTP/1.1 200 OK\r\nDate: x\r\n"), None),
        (fault.stall(OPENED), 200),
    ],
    ids=["at once", "status line", "headers", "body"],
)
def test_silence_is_a_read_timeout(
    gateway: MakeGateway, behaviour: fault.Behaviour, status: int | None
) -> None:
    """Wherever the answer stops coming, the wait ends, and bytes may have left."""
    with FaultServer(behaviour, answer()) as server:
        exchange = post(gateway(server.url, HASTY_READ))
        assert (exchange.event, exchange.http_status) == (Event.READ_TIMEOUT, status)
        assert exchange.may_have_left
        assert (server.connections, server.bodies()) == (1, [FORM])


@pytest.mark.parametrize(
    "raw",
    [
        fault.http("200 OK", *(f"X-{n}: {n}" for n in range(90)), body=PAID),
        fault.http("200 OK", f"Content-Length: {len(PAID)}", body=PAID),
        fault.http("200 OK", "Transfer-Encoding: chunked", body=b"1\r\n \r\n" * 100),
    ],
    ids=["headers", "body", "chunks"],
)
def test_a_slow_drip_meets_the_deadline(gateway: MakeGateway, raw: bytes) -> None:
    """Bytes that keep coming never trip the read timeout; the total deadline ends it all."""
    with FaultServer(fault.drip(raw)) as server:
        exchange = post(gateway(server.url, HASTY_TOTAL))
        assert (exchange.event, exchange.may_have_left) == (Event.DEADLINE, True)
        assert len(server.requests) == 1


@pytest.mark.parametrize("tls", [False, True])
def test_a_server_that_reads_nothing(
    gateway: MakeGateway, certificates: Certificates, tls: bool
) -> None:
    """A form that does not go out whole counts as sent: its first bytes are on their way."""

    def behave(talk: Talk) -> None:
        talk.start_tls()
        fault.read_nothing(talk)

    with FaultServer(behave, tls=certificates.good if tls else None) as server:
        through = gateway(server.url, HASTY_READ, ca=certificates.ca)
        exchange = post(through, FORM + b"1" * 20_000_000)
        assert exchange.may_have_left
        assert exchange.event in (Event.CUT, Event.READ_TIMEOUT)
        assert (server.connections, server.requests) == (1, [])


def test_an_answer_before_the_form_was_read_is_read(gateway: MakeGateway) -> None:
    """A server may refuse a form without reading it; what it says is not lost, nor sent again."""

    def behave(talk: Talk) -> None:
        talk.look_ahead()
        talk.send(fault.http("413 Too Large", "Content-Length: 3", body=b"big"))
        fault.read_nothing(talk)

    with FaultServer(behave) as server:
        exchange = post(gateway(server.url))
        assert (exchange.event, exchange.http_status, exchange.body) == (None, 413, b"big")
        assert server.connections == 1


# ── faults before the first byte ─────────────────────────────────────────────────────────────


def test_a_name_that_does_not_resolve(gateway: MakeGateway) -> None:
    """DNS says no: nothing left."""
    exchange = post(gateway(f"http://{fault.NO_SUCH_NAME}/router/rest"))
    assert (exchange.event, exchange.may_have_left) == (Event.DNS_FAILED, False)


@pytest.mark.parametrize("host", ["a" * 64, "a..b", ".".join(["a" * 60] * 6)])
def test_a_name_that_cannot_be_one(gateway: MakeGateway, host: str) -> None:
    """What no resolver can be asked for is a name that does not resolve, or a refused URL."""
    try:
        through = gateway(f"http://{host}/router/rest")
    except ConfigError as refused:
        assert refused.code == "gateway"
        return
    exchange = post(through)
    assert (exchange.event, exchange.may_have_left) == (Event.DNS_FAILED, False)


def test_a_resolver_that_hangs_is_given_up(
    gateway: MakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a dead network the resolver waits for 10 s and more, without a timeout of its own."""
    released = threading.Event()

    def resolver(*args: object) -> object:
        if args[-1] == socket.AI_NUMERICHOST:
            raise socket.gaierror
        released.wait()
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    exchange = post(gateway("http://gateway.test/router/rest", HASTY_CONNECT))
    released.set()
    assert (exchange.event, exchange.may_have_left) == (Event.DNS_FAILED, False)
    assert exchange.detail == "TimeoutError"


def addresses(*pairs: tuple[str, int]) -> Callable[..., list[object]]:
    """A resolver that knows one name, with these addresses."""

    def resolver(*args: object) -> list[object]:
        if args[-1] == socket.AI_NUMERICHOST:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", pair) for pair in pairs]

    return resolver


def test_every_address_is_tried_before_anything_left(
    gateway: MakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead address of the gateway's name is no failure while another one answers."""
    with fault.refusing_port() as dead, FaultServer(answer()) as server:
        pairs = [(fault.NO_ROUTE, 9), ("127.0.0.1", dead), ("127.0.0.1", server.port)]
        monkeypatch.setattr(socket, "getaddrinfo", addresses(*pairs))
        assert post(gateway("http://gateway.test/router/rest")).body == PAID
        assert server.connections == 1


def test_an_address_that_swallows_costs_a_head_start(
    gateway: MakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where IPv6 is broken nothing comes back, not even a refusal: the next address is tried long
    before the connect timeout, and hears the one request.
    """
    with fault.full_port() as silent, FaultServer(answer()) as server:
        pairs = [("127.0.0.1", silent), ("127.0.0.1", silent), ("127.0.0.1", server.port)]
        monkeypatch.setattr(socket, "getaddrinfo", addresses(*pairs))
        through = gateway("http://gateway.test/router/rest", Timeout(20, 20, 10))
        assert post(through).body == PAID
        assert (server.connections, server.bodies()) == (1, [FORM])


def test_who_looks_at_the_certificate_is_no_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    """`doctor` connects as a payment does, past an address that never answers; where none does it
    is a timeout, and a socket that waits for the profile's time only.
    """
    with fault.full_port() as silent, FaultServer(answer()) as server:
        pairs = [("127.0.0.1", silent), ("127.0.0.1", server.port)]
        monkeypatch.setattr(socket, "getaddrinfo", addresses(*pairs))
        with connection.connected(("gateway.test", 1), Timeout(20, 20, 10)) as sock:
            assert sock.getpeername() == pairs[1]
            assert (type(sock), sock.gettimeout()) == (socket.socket, 20)
        monkeypatch.setattr(socket, "getaddrinfo", addresses(pairs[0]))
        for timeout in (HASTY_CONNECT, Timeout(20, 20, 0.01)):
            with pytest.raises(TimeoutError):
                connection.connected(("gateway.test", 1), timeout)


def test_of_two_that_connect_one_hears_the_request(
    gateway: MakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever connects besides the first is left again without a byte."""
    monkeypatch.setattr(connection, "_HEAD_START_S", 0)
    with FaultServer(answer()) as one, FaultServer(answer()) as other:
        pairs = [("127.0.0.1", one.port), ("127.0.0.1", other.port)]
        monkeypatch.setattr(socket, "getaddrinfo", addresses(*pairs))
        for _turn in range(9):
            through = gateway("http://gateway.test/router/rest")
            assert post(through).body == PAID
        assert one.bodies() + other.bodies() == [FORM] * 9


def test_an_address_of_a_family_that_is_not_there(
    gateway: MakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No socket can be made for the first address: the second is as good."""
    with FaultServer(answer()) as server:
        dead = (socket.AF_APPLETALK, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 9))
        good = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [dead, good])
        assert post(gateway("http://gateway.test/router/rest")).body == PAID


@pytest.mark.parametrize(
    ("places", "event"),
    [
        ("silent silent", Event.CONNECT_TIMEOUT),
        ("refusing silent", Event.CONNECT_TIMEOUT),
        ("unrouted silent", Event.CONNECT_TIMEOUT),
        ("silent refusing", Event.REFUSED),
        ("unrouted refusing", Event.REFUSED),
        ("silent unrouted", Event.NO_ROUTE),
    ],
)
@pytest.mark.parametrize("through_proxy", [False, True])
def test_where_no_address_answers_the_last_one_tells(
    gateway: MakeGateway,
    monkeypatch: pytest.MonkeyPatch,
    places: str,
    event: Event,
    *,
    through_proxy: bool,
) -> None:
    """All of a name's addresses fail, the gateway's or the proxy's: the last one tells."""
    with fault.full_port() as silent, fault.refusing_port() as refusing:
        pairs = {
            "silent": ("127.0.0.1", silent),
            "refusing": ("127.0.0.1", refusing),
            "unrouted": (fault.NO_ROUTE, 9),
        }
        resolver = addresses(*(pairs[place] for place in places.split()))
        monkeypatch.setattr(socket, "getaddrinfo", resolver)
        proxy = "http://proxy.test:1" if through_proxy else None
        exchange = post(gateway("http://gateway.test/router/rest", HASTY_CONNECT, proxy=proxy))
    wanted = Event.PROXY_REFUSED if through_proxy else event
    assert (exchange.event, exchange.may_have_left) == (wanted, False)


def test_families_take_turns() -> None:
    """However many dead IPv6 addresses a name has, the other kind is tried second."""
    six, four = socket.AF_INET6, socket.AF_INET
    assert connection._by_turns([]) == []
    assert connection._by_turns([(four, 1), (four, 2)]) == [(four, 1), (four, 2)]
    mixed = [(six, 1), (six, 2), (six, 3), (four, 1)]
    assert connection._by_turns(mixed) == [(six, 1), (four, 1), (six, 2), (six, 3)]
    assert connection._by_turns(mixed[::-1]) == [(four, 1), (six, 3), (six, 2), (six, 1)]


def test_once_bytes_left_no_other_address_is_tried(
    gateway: MakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cut at the first address is the end, however many there are."""
    with FaultServer(fault.cut_after_reading) as server, FaultServer(answer()) as spare:
        pairs = [("127.0.0.1", server.port), ("127.0.0.1", spare.port)]
        monkeypatch.setattr(socket, "getaddrinfo", addresses(*pairs))
        assert post(gateway("http://gateway.test/router/rest")).event is Event.CUT
        assert spare.connections == 0


def test_the_shortest_patience_is_kept_too(gateway: MakeGateway) -> None:
    """Of a deadline that has almost passed, the rest is waited for, not for ever."""
    with fault.full_port() as port:
        exchange = post(gateway(f"http://127.0.0.1:{port}/router/rest", Timeout(0.01, 5, 5)))
    assert (exchange.event, exchange.may_have_left) == (Event.CONNECT_TIMEOUT, False)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_places_that_cannot_be_reached(gateway: MakeGateway, scheme: str) -> None:
    """Refused, no route, and a connect that hangs: nothing left."""
    with fault.refusing_port() as port:
        refused = post(gateway(f"{scheme}://127.0.0.1:{port}/router/rest"))
    with fault.full_port() as port:
        hung = post(gateway(f"{scheme}://127.0.0.1:{port}/router/rest", HASTY_CONNECT))
        late = post(gateway(f"{scheme}://127.0.0.1:{port}/router/rest", HASTY_TOTAL))
    unrouted = post(gateway(f"{scheme}://{fault.NO_ROUTE}/router/rest"))
    assert [exchange.event for exchange in (refused, hung, late, unrouted)] == [
        Event.REFUSED,
        Event.CONNECT_TIMEOUT,
        Event.DEADLINE_UNSENT,
        Event.NO_ROUTE,
    ]
    assert not any(e.may_have_left for e in (refused, hung, late, unrouted))


def test_too_late_to_begin_is_not_sent(certificates: Certificates) -> None:
    """A deadline that passes during the handshake stops the request before its first byte."""
    now_s = 0.0

    def handshake_late(talk: Talk) -> None:
        nonlocal now_s
        talk.sock.recv(1, socket.MSG_PEEK)  # the client waits for us, and looks at no clock
        now_s = 1e6
        talk.start_tls()
        talk.read_request()

    with FaultServer(handshake_late, tls=certificates.good) as server:
        through = Gateway(
            server.url,
            timeout=PATIENT,
            proxy=None,
            ca=certificates.ca,
            environ={},
            monotonic=lambda: now_s,
        )
        exchange = post(through)
        through.close()
        assert (exchange.event, exchange.may_have_left) == (Event.DEADLINE_UNSENT, False)
        assert server.requests == []


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────


def test_tls_to_a_server_we_trust(gateway: MakeGateway, certificates: Certificates) -> None:
    """The certificate of a trusted CA, for this name: the answer comes back."""
    with FaultServer(answer(), tls=certificates.good) as server:
        for host in ("127.0.0.1", "localhost"):
            through = gateway(server.url.replace("127.0.0.1", host), ca=certificates.ca)
            assert post(through).body == PAID
        assert server.bodies() == [FORM, FORM]


@pytest.mark.parametrize("name", ["other_name", "unknown_ca", "expired", "old_tls"])
def test_tls_to_a_server_we_do_not_trust(
    gateway: MakeGateway, certificates: Certificates, name: str
) -> None:
    """A certificate for another name, of an unknown CA, out of date, or TLS 1.1: nothing left."""
    with FaultServer(answer(), tls=getattr(certificates, name)) as server:
        exchange = post(gateway(server.url, ca=certificates.ca))
        assert (exchange.event, exchange.may_have_left) == (Event.TLS_REFUSED, False)
        assert exchange.detail
        assert (server.connections, server.requests) == (1, [])


@pytest.mark.parametrize(
    ("behaviour", "timeout", "event"),
    [
        (fault.close_before_reading, PATIENT, Event.HANDSHAKE_CUT),
        (fault.reset_before_reading, PATIENT, Event.HANDSHAKE_CUT),
        (fault.handshake_cut, PATIENT, Event.HANDSHAKE_CUT),
        (fault.handshake_reset, PATIENT, Event.HANDSHAKE_CUT),
        (fault.handshake_hang, HASTY_CONNECT, Event.HANDSHAKE_CUT),
        (fault.handshake_drip, HASTY_CONNECT, Event.HANDSHAKE_CUT),
        (fault.handshake_hang, HASTY_TOTAL, Event.DEADLINE_UNSENT),
        (fault.handshake_drip, HASTY_TOTAL, Event.DEADLINE_UNSENT),
        (fault.speaks_no_tls, PATIENT, Event.TLS_REFUSED),
    ],
)
def test_a_handshake_that_breaks_sent_nothing(
    gateway: MakeGateway,
    certificates: Certificates,
    behaviour: fault.Behaviour,
    timeout: Timeout,
    event: Event,
) -> None:
    """Cut, reset, hanging, dripping, or no TLS at all: no byte of the request left, provably."""
    with FaultServer(behaviour) as server:
        exchange = post(gateway(secure(server.url), timeout, ca=certificates.ca))
        assert (exchange.event, exchange.may_have_left) == (event, False)
        assert server.connections == 1


def test_a_refusal_after_the_handshake_is_no_proof(
    gateway: MakeGateway, certificates: Certificates
) -> None:
    """A server that wants our certificate says so, in TLS 1.3, when the request is on its way."""
    with FaultServer(answer(), tls=certificates.wants_certificate) as server:
        exchange = post(gateway(server.url, ca=certificates.ca))
        assert (exchange.event, exchange.may_have_left) == (Event.CUT, True)
        assert server.connections == 1


@pytest.mark.parametrize(
    "name", ["close after reading", "garbage status line", "shorter than its length", "gzip bomb"]
)
def test_faults_over_tls_are_the_same_faults(
    gateway: MakeGateway, certificates: Certificates, name: str
) -> None:
    """TLS hides no fault and adds none."""
    behaviour, event, status = FAULTS[name]
    with FaultServer(behaviour, tls=certificates.good) as server:
        exchange = post(gateway(server.url, ca=certificates.ca))
        assert (exchange.event, exchange.http_status) == (event, status)
        assert (server.connections, server.bodies()) == (1, [FORM])


def test_silence_and_drip_over_tls(gateway: MakeGateway, certificates: Certificates) -> None:
    """Over TLS, too, neither silence nor a drip holds the till."""
    body = fault.http("200 OK", f"Content-Length: {len(PAID)}", body=PAID)
    for behaviour, timeout, event in (
        (fault.hang, HASTY_READ, Event.READ_TIMEOUT),
        (fault.drip(body), HASTY_TOTAL, Event.DEADLINE),
    ):
        with FaultServer(behaviour, tls=certificates.good) as server:
            exchange = post(gateway(server.url, timeout, ca=certificates.ca))
            assert (exchange.event, exchange.may_have_left) == (event, True)


# ── whom to trust ────────────────────────────────────────────────────────────────────────────


def hashed(pem: Path, folder: Path) -> Path:
    """`pem` in `folder` under the name that OpenSSL looks it up by, as `openssl rehash` does."""
    certificate = x509.load_pem_x509_certificate(pem.read_bytes())
    canonical = b""
    for rdn in certificate.subject.rdns:
        parts = b""
        for attribute in rdn:
            words = " ".join(str(attribute.value).lower().split())
            oid = attribute.oid.dotted_string.split(".")
            encoded = bytes([int(oid[0]) * 40 + int(oid[1]), *map(int, oid[2:])])
            parts += _der(0x30, _der(0x06, encoded) + _der(0x0C, words.encode()))
        canonical += _der(0x31, parts)
    digest = hashlib.sha1(canonical, usedforsecurity=False).digest()
    folder.mkdir(exist_ok=True)
    name = f"{int.from_bytes(digest[:4], 'little'):08x}.0"
    (folder / name).write_bytes(pem.read_bytes())
    return folder


def _der(tag: int, content: bytes) -> bytes:
    assert len(content) < 128
    return bytes([tag, len(content)]) + content


def test_trust_comes_from_the_first_place_named(
    gateway: MakeGateway, certificates: Certificates, tmp_path: Path
) -> None:
    """`ca`, a file or a hashed folder, and else SSL_CERT_FILE or SSL_CERT_DIR; never a sum."""
    good = hashed(certificates.ca, tmp_path / "good")
    other = hashed(certificates.stranger, tmp_path / "other")
    trusted: list[tuple[Path | None, dict[str, str]]] = [
        (certificates.ca, {}),
        (good, {}),
        (None, {"SSL_CERT_FILE": str(certificates.ca)}),
        (None, {"SSL_CERT_DIR": str(good)}),
        (None, {"SSL_CERT_FILE": str(certificates.stranger), "SSL_CERT_DIR": str(good)}),
        (certificates.ca, {"SSL_CERT_FILE": str(certificates.stranger)}),
    ]
    refused: list[tuple[Path | None, dict[str, str]]] = [
        (None, {}),
        (None, {"REQUESTS_CA_BUNDLE": str(certificates.ca)}),
        (None, {"CURL_CA_BUNDLE": str(certificates.ca)}),
        (certificates.stranger, {"SSL_CERT_FILE": str(certificates.ca)}),
        (other, {"SSL_CERT_DIR": str(good)}),
        (None, {"SSL_CERT_DIR": str(other)}),
    ]
    with FaultServer(answer(), tls=certificates.good) as server:
        for ca, environ in trusted:
            assert post(gateway(server.url, ca=ca, environ=environ)).body == PAID, (ca, environ)
        server.requests.clear()
        for ca, environ in refused:
            exchange = post(gateway(server.url, ca=ca, environ=environ))
            assert exchange.event is Event.TLS_REFUSED, (ca, environ)
        assert server.requests == []


def test_a_refused_certificate_tells_what_was_set(
    gateway: MakeGateway, certificates: Certificates
) -> None:
    """Who has set certificates to trust is told which are, and which variable is not read."""
    set_one = {"REQUESTS_CA_BUNDLE": "/r.pem", "SSL_CERT_FILE": str(certificates.stranger)}
    with FaultServer(answer(), tls=certificates.good) as server:
        detail = post(gateway(server.url, environ=set_one)).detail
        own = post(gateway(server.url, ca=certificates.stranger, environ=set_one)).detail
    assert detail.endswith("; SSL_CERT_FILE is trusted; REQUESTS_CA_BUNDLE is not read")
    assert own.endswith("certificate; REQUESTS_CA_BUNDLE is not read")


def test_the_processs_own_environment_is_not_read(
    gateway: MakeGateway, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the environment that is passed in counts, for trust and for proxies."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(certificates.ca))
    with (
        FaultServer(answer(), tls=certificates.unknown_ca) as server,
        FaultServer(fault.proxy_refuses()) as proxy,
    ):
        for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "http_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert post(gateway(server.url)).event is Event.TLS_REFUSED
        assert post(gateway(server.url, ca=certificates.stranger)).body == PAID
        assert proxy.connections == 0


@pytest.mark.parametrize("kind", ["missing", "garbage", "empty", "folder", "bare folder"])
def test_certificates_that_cannot_be_used_are_refused(
    certificates: Certificates, tmp_path: Path, kind: str
) -> None:
    """A `ca` that trusts nobody is a configuration error, not a till that never connects."""
    path = tmp_path / "ca"
    if kind == "garbage":
        path.write_text("-----BEGIN CERTIFICATE-----\nnope\n-----END CERTIFICATE-----\n")
    elif kind == "empty":
        path.write_text("")
    elif kind == "folder":
        path.mkdir()
    elif kind == "bare folder":  # without the names that `openssl rehash` gives
        path.mkdir()
        (path / "ca.pem").write_bytes(certificates.ca.read_bytes())
    with pytest.raises(ConfigError) as refused:
        trusting(path, {})
    assert refused.value.code == "ca"
    assert str(path) in refused.value.message
    if "folder" in kind:
        assert "openssl rehash" in as_text(refused.value.hint)
    else:
        with pytest.raises(ConfigError):
            trusting(None, {"SSL_CERT_FILE": str(path)})


def test_without_a_word_the_platform_is_trusted() -> None:
    """With nothing named there is still a store to verify against, and verification is on."""
    context = trusting(None, {})
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    paths = ssl.get_default_verify_paths()
    assert context.cert_store_stats()["x509_ca"] or _is_trustworthy(paths.openssl_capath)


def test_a_platform_folder_counts_when_it_is_full_and_the_owners(tmp_path: Path) -> None:
    """Two certificates that somebody added are no store; nor is what others can write."""
    folder = tmp_path / "certs"
    assert not _is_trustworthy(str(folder))
    folder.mkdir(mode=0o755)
    for n in range(49):
        (folder / f"{n:08x}.0").touch()
        (folder / f"{n}.pem").touch()
    assert _hashed_certificates(str(folder)) == 49
    assert not _is_trustworthy(str(folder))
    (folder / "ffffffff.1").touch()
    assert _is_trustworthy(str(folder))
    folder.chmod(0o775)
    assert not _is_trustworthy(str(folder))


# ── connections that are kept ────────────────────────────────────────────────────────────────


def test_posts_share_a_connection(gateway: MakeGateway, certificates: Certificates) -> None:
    """One connection, and one handshake, carries many posts."""
    for tls in (None, certificates.good):
        with FaultServer(answer(), tls=tls) as server:
            through = gateway(server.url, ca=certificates.ca)
            for _ in range(5):
                assert post(through).body == PAID
            assert (server.connections, server.bodies()) == (1, [FORM] * 5)


def test_a_connection_closed_in_between_is_made_anew(gateway: MakeGateway) -> None:
    """A kept connection that is seen to be gone costs nothing: nothing left over it."""
    closed = threading.Event()

    def answer_and_close(talk: Talk) -> None:
        answer()(talk)
        talk.close()
        closed.set()

    with FaultServer(answer_and_close, answer()) as server:
        through = gateway(server.url)
        assert post(through).body == PAID
        closed.wait()
        assert post(through).body == PAID
        assert (server.connections, len(server.requests)) == (2, 2)


@pytest.mark.parametrize(
    "fate", [fault.close_before_reading, fault.reset_before_reading, fault.cut_after_reading]
)
def test_a_kept_connection_that_dies_under_a_post_is_not_tried_again(
    gateway: MakeGateway, fate: fault.Behaviour
) -> None:
    """Once a byte went out over it, a stale connection is a cut: never silently sent again."""
    with FaultServer(answer(), fate, answer()) as server:
        through = gateway(server.url)
        assert post(through).body == PAID
        exchange = post(through)
        assert (exchange.event, exchange.may_have_left) == (Event.CUT, True)
        assert server.connections == 1
        assert post(through).body == PAID
        assert server.connections == 2


def test_nothing_above_can_send_twice(gateway: MakeGateway) -> None:
    """Whatever a library believes, a connection refuses a second request of the same exchange."""
    with FaultServer(answer()) as server:
        adapter = Adapter(None)
        connection = adapter.pool(urlsplit(server.url), None)._get_conn()
        here.flight = Flight(PATIENT, time.monotonic, Sent())
        connection.request("POST", "/router/rest", body=FORM)
        connection.getresponse().read()
        with pytest.raises(Failed) as refused:
            connection.request("POST", "/router/rest", body=FORM)
        assert refused.value.event is Event.CUT
        connection.close()
        adapter.close()
        assert server.bodies() == [FORM]


def test_what_is_said_unasked_is_no_answer(gateway: MakeGateway) -> None:
    """A second answer to one request is never read as the answer to the next."""
    spoken = threading.Event()
    asked = threading.Event()

    def answer_twice(talk: Talk) -> None:
        answer(b'{"first":1}')(talk)
        asked.wait()
        talk.send(fault.http("200 OK", "Content-Length: 2", body=b"no"))
        spoken.set()

    with FaultServer(answer_twice, answer()) as server:
        through = gateway(server.url)
        assert post(through).body == b'{"first":1}'
        asked.set()
        spoken.wait()
        assert post(through).body == PAID
        assert server.connections == 2


@pytest.mark.parametrize("by_proxy", [False, True])
def test_what_is_left_of_a_record_is_no_answer(
    gateway: MakeGateway, certificates: Certificates, *, by_proxy: bool
) -> None:
    """What came with an answer, decrypted and unread, ends the connection."""

    def answer_and_more(talk: Talk) -> None:
        if talk.read_request():
            body = PAID + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno" + b"x" * 15_000
            talk.send(fault.http("200 OK", f"Content-Length: {len(PAID)}", body=body))

    with (
        FaultServer(answer_and_more, answer(), tls=certificates.everywhere) as server,
        FaultServer(*[fault.proxy_tunnels(server.port)] * 2) as proxy,
    ):
        if by_proxy:
            through = gateway(NAMED, proxy=proxy_url(proxy), ca=certificates.ca)
        else:
            through = gateway(f"https://127.0.0.1:{server.port}/", ca=certificates.ca)
        for _ in range(2):
            assert post(through).body == PAID
        assert [request[:8] for request in proxy.requests] == [b"CONNECT "] * (2 * by_proxy)


@pytest.mark.parametrize("status", ["302 Found", "404 Not Found", "502 Bad Gateway"])
def test_a_connection_that_gave_no_200_is_not_kept(gateway: MakeGateway, status: str) -> None:
    """Nobody knows who spoke there: the next post goes over a connection of its own."""
    with FaultServer(answer(b"odd", status=status), answer()) as server:
        through = gateway(server.url)
        assert post(through).body == b"odd"
        assert post(through).body == PAID
        assert server.connections == 2


def test_after_a_fault_the_next_post_starts_afresh(gateway: MakeGateway) -> None:
    """What is left of a broken answer is never taken for the next one."""
    with FaultServer(fault.stall(OPENED), answer(b" " * 2 * MAX_BODY), answer()) as server:
        through = gateway(server.url, HASTY_READ)
        assert post(through).event is Event.READ_TIMEOUT
        assert post(through).event is Event.OVERSIZED
        assert post(through).body == PAID
        assert server.connections == 3


def test_closing_closes_the_connections_that_are_kept(gateway: MakeGateway) -> None:
    """After `close` the server sees the end, though the gateway itself is still there."""
    ended = threading.Event()

    def answer_and_watch(talk: Talk) -> None:
        answer()(talk)
        if not talk.sock.recv(1):
            ended.set()
        talk.close()

    with FaultServer(answer_and_watch) as server:
        through = gateway(server.url)
        assert post(through).body == PAID
        through.close()
        assert ended.wait(10)


def test_threads_share_a_gateway(gateway: MakeGateway) -> None:
    """Each of many posts at once gets its own answer, after one POST."""

    def echo(talk: Talk) -> None:
        body = talk.read_request().partition(b"\r\n\r\n")[2]
        if body:
            talk.send(fault.http("200 OK", f"Content-Length: {len(body)}", body=body))
        else:
            talk.close()

    forms = [f"n={n}".encode() for n in range(200)]
    with FaultServer(echo) as server:
        through = gateway(server.url)
        with ThreadPoolExecutor(8) as pool:
            exchanges = list(pool.map(lambda form: post(through, form), forms))
        assert [exchange.body for exchange in exchanges] == forms
        assert sorted(server.bodies()) == sorted(forms)
        assert server.connections <= 8


# ── Ctrl-C ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """Press Ctrl-C, from any thread."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    main = threading.main_thread().ident
    assert main is not None
    yield lambda: signal.pthread_kill(main, signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_after_the_first_byte(gateway: MakeGateway, ctrl_c: Callable[[], None]) -> None:
    """Ctrl-C comes through, and `sent` says that bytes may have left."""
    sent = Sent()
    with FaultServer(fault.hang, answer(), on_first_byte=ctrl_c) as server:
        through = gateway(server.url)
        with pytest.raises(KeyboardInterrupt):
            through.post(FORM, sent)
        assert sent.may_have_left
        assert server.connections == 1


def test_ctrl_c_in_the_body(gateway: MakeGateway, ctrl_c: Callable[[], None]) -> None:
    """Ctrl-C while the answer comes in: bytes left, and its rest is not the next post's answer."""

    def half(talk: Talk) -> None:
        talk.read_request()
        talk.send(OPENED)
        ctrl_c()
        talk.hang()

    sent = Sent()
    with FaultServer(half, answer()) as server:
        through = gateway(server.url)
        with pytest.raises(KeyboardInterrupt):
            through.post(FORM, sent)
        assert sent.may_have_left
        assert post(through).body == PAID
        assert (server.connections, len(server.requests)) == (2, 2)


def test_ctrl_c_in_the_handshake(
    gateway: MakeGateway, certificates: Certificates, ctrl_c: Callable[[], None]
) -> None:
    """Ctrl-C before the first byte: `sent` proves that nothing left."""

    def hello(talk: Talk) -> None:
        talk.sock.recv(1)
        ctrl_c()
        talk.hang()

    sent = Sent()
    with FaultServer(hello) as server:
        through = gateway(secure(server.url), ca=certificates.ca)
        with pytest.raises(KeyboardInterrupt):
            through.post(FORM, sent)
        assert not sent.may_have_left


# ── proxies ──────────────────────────────────────────────────────────────────────────────────

NAMED = f"https://{fault.NO_SUCH_NAME}/router/rest"  # a name that only the proxy knows


def proxy_url(proxy: FaultServer, user: str = "") -> str:
    return f"http://{user}127.0.0.1:{proxy.port}"


@pytest.mark.parametrize("given", ["profile", "https_proxy", "HTTPS_PROXY", "all_proxy", "bare"])
def test_a_tunnel_through_a_proxy(
    gateway: MakeGateway, certificates: Certificates, given: str
) -> None:
    """The proxy sees a CONNECT and nothing of the form; the tunnel is kept for the next post."""
    with (
        FaultServer(answer(), tls=certificates.other_name) as server,
        FaultServer(fault.proxy_tunnels(server.port)) as proxy,
    ):
        url = proxy_url(proxy, "till:s3cret@")
        environ = {} if given in ("profile", "bare") else {given: url}
        if given == "bare":
            url = url.removeprefix("http://")
        through = gateway(
            NAMED,
            proxy=None if environ else url,
            ca=certificates.ca,
            environ=environ,
        )
        assert through.proxy == proxy_url(proxy)
        assert post(through).body == PAID
        assert post(through).body == PAID
        (connect,) = proxy.requests
        assert connect.startswith(f"CONNECT {fault.NO_SUCH_NAME}:443 ".encode())
        assert b"Proxy-Authorization: Basic dGlsbDpzM2NyZXQ=\r\n" in connect
        assert server.bodies() == [FORM, FORM]
        assert not any(b"Proxy-" in request for request in server.requests)


@pytest.mark.parametrize(
    ("behaviour", "detail"),
    [
        (fault.proxy_refuses(), "403"),
        (fault.proxy_refuses("407 Proxy Authentication Required"), "407"),
        (fault.proxy_refuses("502 Bad Gateway"), "502"),
        (fault.redirect("302 Found", "https://portal.test/"), "302"),
        (fault.close_before_reading, ""),
        (fault.reset_before_reading, ""),
        (fault.cut_after_reading, ""),
        (fault.garbage_status, "BadStatusLine"),
        (fault.reply(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * (MAX_RECEIVED // 6)), ""),
    ],
)
def test_a_proxy_that_refuses_sent_nothing(
    gateway: MakeGateway, certificates: Certificates, behaviour: fault.Behaviour, detail: str
) -> None:
    """Whatever the proxy says instead of opening a tunnel, no byte of the form left."""
    with FaultServer(behaviour) as proxy:
        url = proxy_url(proxy, "till:s3cret@")
        exchange = post(gateway(NAMED, proxy=url, ca=certificates.ca))
        assert exchange.may_have_left is False
        assert exchange.event is Event.PROXY_REFUSED
        assert detail in exchange.detail
        assert "s3cret" not in exchange.detail
        assert proxy.connections == 1
        assert not any(b"sign=" in request for request in proxy.requests)


def test_a_proxy_that_hangs(gateway: MakeGateway) -> None:
    """A proxy that takes the CONNECT and says nothing holds nobody, and nothing left."""
    with FaultServer(fault.hang) as proxy:
        hung = post(gateway(NAMED, HASTY_CONNECT, proxy=proxy_url(proxy)))
        late = post(gateway(NAMED, HASTY_TOTAL, proxy=proxy_url(proxy)))
    assert (hung.event, hung.may_have_left) == (Event.PROXY_REFUSED, False)
    assert (late.event, late.may_have_left) == (Event.DEADLINE_UNSENT, False)


def test_a_proxy_that_cannot_be_reached(gateway: MakeGateway) -> None:
    """A proxy that is down, or unknown, is the proxy's fault, and nothing left."""
    with fault.refusing_port() as port:
        for proxy in (f"http://127.0.0.1:{port}", f"http://{fault.NO_SUCH_NAME}:3128"):
            exchange = post(gateway(NAMED, proxy=proxy))
            assert (exchange.event, exchange.may_have_left) == (Event.PROXY_REFUSED, False)


def test_certificates_are_checked_through_a_tunnel(
    gateway: MakeGateway, certificates: Certificates
) -> None:
    """A proxy that answers in the gateway's place, with a certificate of its own, gets nothing."""
    for tls in (certificates.good, certificates.unknown_ca, certificates.expired):
        with (
            FaultServer(answer(), tls=tls) as server,
            FaultServer(fault.proxy_tunnels(server.port)) as proxy,
        ):
            exchange = post(gateway(NAMED, proxy=proxy_url(proxy), ca=certificates.ca))
            assert (exchange.event, exchange.may_have_left) == (Event.TLS_REFUSED, False)
            assert server.requests == []


def test_faults_in_a_tunnel_are_the_gateways(
    gateway: MakeGateway, certificates: Certificates
) -> None:
    """Once the tunnel stands, a cut is no refusal of the proxy's: bytes may have left."""
    with (
        FaultServer(fault.cut_after_reading, tls=certificates.other_name) as server,
        FaultServer(fault.proxy_tunnels(server.port)) as proxy,
    ):
        exchange = post(gateway(NAMED, proxy=proxy_url(proxy), ca=certificates.ca))
        assert (exchange.event, exchange.may_have_left) == (Event.CUT, True)
        assert (proxy.connections, server.bodies()) == (1, [FORM])


def test_no_proxy_for_loopback_nor_where_none_is_wanted(
    gateway: MakeGateway, certificates: Certificates
) -> None:
    """The environment's proxy is left alone for loopback; "none" turns off any."""
    with FaultServer(fault.proxy_refuses()) as proxy:
        environ = {"https_proxy": proxy_url(proxy), "http_proxy": proxy_url(proxy)}
        environ["all_proxy"] = proxy_url(proxy)
        for tls in (None, certificates.good):
            with FaultServer(answer(), tls=tls) as server:
                through = gateway(server.url, ca=certificates.ca, environ=environ)
                assert through.proxy is None
                assert post(through).body == PAID
        assert post(gateway(NAMED, proxy="none", environ=environ)).event is Event.DNS_FAILED
        environ["no_proxy"] = "localhost,.invalid"
        assert post(gateway(NAMED, environ=environ)).event is Event.DNS_FAILED
        assert proxy.connections == 0


def test_a_profiles_proxy_is_obeyed_even_for_loopback(
    gateway: MakeGateway, certificates: Certificates
) -> None:
    """What the profile names was meant: no_proxy and loopback do not overrule it."""
    with (
        FaultServer(answer(), tls=certificates.good) as server,
        FaultServer(fault.proxy_tunnels(server.port)) as proxy,
    ):
        environ = {"no_proxy": "*"}
        through = gateway(server.url, proxy=proxy_url(proxy), ca=certificates.ca, environ=environ)
        assert post(through).body == PAID
        assert proxy.connections == 1


ENVIRONMENTS: list[tuple[dict[str, str], str | None]] = [
    ({}, None),
    ({"https_proxy": "http://p:1"}, "http://p:1"),
    ({"HTTPS_PROXY": "p:1"}, "http://p:1"),
    ({"all_proxy": "http://p:1"}, "http://p:1"),
    ({"ALL_PROXY": "http://p:1"}, "http://p:1"),
    ({"http_proxy": "http://p:1", "HTTP_PROXY": "http://p:1"}, None),
    ({"https_proxy": "http://p:1", "all_proxy": "http://q:1"}, "http://p:1"),
    ({"https_proxy": "", "all_proxy": "http://q:1"}, "http://q:1"),
    ({"https_proxy": "http://p:1", "no_proxy": "*"}, None),
    ({"https_proxy": "http://p:1", "NO_PROXY": "eco.taobao.com"}, None),
    ({"https_proxy": "http://p:1", "no_proxy": ".taobao.com"}, None),
    ({"https_proxy": "http://p:1", "no_proxy": "taobao.com"}, None),
    ({"https_proxy": "http://p:1", "no_proxy": "obao.com"}, "http://p:1"),
    ({"https_proxy": "http://p:1", "no_proxy": "localhost, 10.0.0.0/8"}, "http://p:1"),
]


@pytest.mark.parametrize(("environ", "proxy"), ENVIRONMENTS, ids=str)
def test_the_environments_proxy(environ: dict[str, str], proxy: str | None) -> None:
    """https_proxy, then all_proxy, unless no_proxy names the gateway."""
    url = "https://eco.taobao.com/router/rest"
    assert proxy_for(url, None, environ) == proxy
    assert proxy_for(url, "none", environ) is None
    assert proxy_for(url, "http://mine:1", environ) == "http://mine:1"
    for loopback in ("https://localhost/", "https://127.0.0.9:1/", "https://[::1]/", "http://x/"):
        assert proxy_for(loopback, None, environ) is None


@pytest.mark.parametrize(
    "proxy",
    [
        *("https://p:1", "socks5://p:1", "http://", "http://:80", "http://p:x", "http://p:0", "//"),
        *("http://p q:1", "http://p\tq:1", "http://p\n:1", "http://u:密码@p:1", "http://\udcc4:1"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused(proxy: str) -> None:
    """Only http:// proxies; what cannot be one is a configuration error that repeats no secret."""
    with pytest.raises(ConfigError) as refused:
        proxy_for("https://eco.taobao.com/", proxy, {})
    assert refused.value.code == "proxy"
    with pytest.raises(ConfigError):
        proxy_for("https://eco.taobao.com/", None, {"https_proxy": proxy})


@pytest.mark.parametrize("around", ["{}\r", "{}\r\n", " {}", "{} ", "\t{}\n"])
def test_blanks_around_the_environments_proxy_are_left_out(around: str) -> None:
    """A variable with blanks or line ends around it names the proxy inside; blanks alone, none."""
    url = "https://eco.taobao.com/router/rest"
    assert proxy_for(url, None, {"HTTPS_PROXY": around.format("http://p:1")}) == "http://p:1"
    behind = {"https_proxy": around.format(""), "ALL_PROXY": "http://q:2"}
    assert proxy_for(url, None, behind) == "http://q:2"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("till.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("128.0.0.1", False),
        ("0.0.0.0", False),
        ("", False),
    ],
)
def test_what_loopback_is(host: str, loopback: bool) -> None:
    """The machine itself and no other: plain http and no proxy go only there."""
    assert is_loopback(host) is loopback


def test_nothing_private_is_logged(
    gateway: MakeGateway, caplog: pytest.LogCaptureFixture, certificates: Certificates
) -> None:
    """Not even at the lowest level do the libraries underneath write down the form."""
    caplog.set_level(logging.DEBUG)
    with FaultServer(fault.garbage_headers, fault.hang, answer()) as server:
        through = gateway(server.url, HASTY_READ)
        for _ in range(3):
            post(through)
    assert PRIVATE not in caplog.text
