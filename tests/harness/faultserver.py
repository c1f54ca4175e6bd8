"""A gateway made of faults: raw sockets on loopback that do to a client what networks do.

    with FaultServer(answer(b"{}"), cut_after_reading) as server:
        post_to(server.url)          # the first request is answered,
        post_to(server.url)          # the second and all later ones are cut
        assert len(server.requests) == 2

A behaviour is a function of one `Talk`, the server's end of a connection. The behaviours are taken
in turn, the last one for ever after: a fresh connection takes one as it is accepted, a kept one
when the first byte of its next request is there. `server.requests` holds every request that
arrived, whole or not, as raw bytes. `on_first_byte` is called when the first byte of a request is
there and nothing was answered yet: the moment to look into the journal.

Nothing here sleeps: whoever hangs waits until the client or the server goes.
"""

from __future__ import annotations

import datetime as dt
import gzip
import select
import socket
import ssl
import struct
import sys
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import trustme

PAID = (
    b'{"alibaba_pos_order_pay_response":{"result":{"is_success":true,"msg_code":"SUCCESS",'
    b'"model":{"result_status":1,"remaining_fee":0,"current_pay_fee":100,'
    b'"current_payment_channel":1006,'
    b'"result_code":"OPERATION_SUCCESS","success":true}},"request_id":"trace-1"}}'
)
HTML = b"<html><body><h1>Please log in to the shop's WiFi</h1></body></html>"


class Talk:
    """The server's end of one connection."""

    def __init__(self, server: FaultServer, sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self.open = True
        self._ahead = b""
        self._plain = server.tls is None

    def start_tls(self) -> None:
        if not self._plain:
            assert self.server.tls
            self.sock = self.server.tls.wrap_socket(self.sock, server_side=True)
            self.server.holds(self.sock)
            self._plain = True

    def look_ahead(self) -> bool:
        """Wait for the first byte of a request; False when the client has gone."""
        self.start_tls()
        if not self._ahead:
            self._ahead = self.sock.recv(1)
            if self._ahead:
                self.server.on_first_byte()
        return bool(self._ahead)

    def read_request(self) -> bytes:
        """The next request, recorded; b"" when the client has gone."""
        if not self.look_ahead():
            return b""
        got, self._ahead = self._ahead, b""
        record = self.server.record(got)
        while not _is_whole(got):
            more = self.sock.recv(65536)
            if not more:
                break
            got += more
            record(got)
        return got

    def send(self, data: bytes) -> None:
        self.start_tls()
        with suppress(OSError):  # the client may have had enough
            self.sock.sendall(data)

    def close(self) -> None:
        self.open = False
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.open = False
        self.sock.close()

    def hang(self) -> None:
        """Say nothing more until the client or the server goes."""
        with suppress(OSError):
            while self.sock.recv(65536):
                pass
        self.close()

    def pause(self, seconds: float) -> bool:
        """Wait; True when the server is being stopped."""
        return self.server.stopping.wait(seconds)


def _is_whole(request: bytes) -> bool:
    head, blank, body = request.partition(b"\r\n\r\n")
    if not blank:
        return False
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    return len(body) >= length


Behaviour = Callable[[Talk], None]


class FaultServer:
    """Listens on a free loopback port until it is left; see the module."""

    def __init__(
        self,
        *behaviours: Behaviour,
        tls: ssl.SSLContext | None = None,
        on_first_byte: Callable[[], None] = lambda: None,
    ) -> None:
        self.tls = tls
        self.on_first_byte = on_first_byte
        self.requests: list[bytes] = []
        self.connections = 0
        self.stopping = threading.Event()
        self._behaviours = list(behaviours)
        self._lock = threading.Lock()
        self._held: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/router/rest"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        with self._lock:
            held = [self._listener, *self._held]
        for sock in held:  # wakes whoever waits on it
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        if sys.platform == "win32":  # there a shutdown wakes no `accept`
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 5).close()
        for thread in self._threads:
            thread.join(5)
        for sock in held:
            sock.close()

    def then(self, *behaviours: Behaviour) -> None:
        """From now on, in turn, these."""
        with self._lock:
            self._behaviours = list(behaviours)

    def bodies(self) -> list[bytes]:
        """The bodies of the requests that arrived."""
        return [request.partition(b"\r\n\r\n")[2] for request in self.requests]

    def record(self, got: bytes) -> Callable[[bytes], None]:
        """Record a request that begins; the result replaces it as more of it comes."""
        with self._lock:
            index = len(self.requests)
            self.requests.append(got)

        def update(more: bytes) -> None:
            self.requests[index] = more

        return update

    def holds(self, sock: socket.socket) -> None:
        with self._lock:
            self._held.append(sock)

    def _next(self) -> Behaviour:
        with self._lock:
            return self._behaviours.pop(0) if len(self._behaviours) > 1 else self._behaviours[0]

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was shut down
            while not self.stopping.is_set():
                sock, _ = self._listener.accept()
                if self.stopping.is_set():
                    sock.close()
                    return
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                self.holds(sock)
                self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        talk = Talk(self, sock)
        with suppress(OSError):  # the client went, which is its right
            self._next()(talk)
            while talk.open and talk.look_ahead():
                self._next()(talk)
        talk.close()


# ── behaviours: honest answers ───────────────────────────────────────────────────────────────


def answer(
    body: bytes = PAID,
    *,
    status: str = "200 OK",
    headers: Mapping[str, str] | None = None,
    chunked: bool = False,
    length: int | None = None,
    keep: bool = True,
) -> Behaviour:
    """A whole answer, on a connection that stays open when `keep`.

    `length` lies about Content-Length; without `keep` and with `length` -1 there is none.
    """
    fields = {"Content-Type": "text/javascript;charset=UTF-8", "Connection": "keep-alive"}
    if not keep:
        fields["Connection"] = "close"
    if chunked:
        fields["Transfer-Encoding"] = "chunked"
    elif length != -1:
        fields["Content-Length"] = str(len(body) if length is None else length)
    fields.update(headers or {})
    head = f"HTTP/1.1 {status}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items()) + "\r\n"
    payload = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    return reply(head.encode() + payload, keep=keep)


def reply(raw: bytes, *, keep: bool = False) -> Behaviour:
    """These very bytes after the request, then the end unless `keep`."""

    def behave(talk: Talk) -> None:
        if not talk.read_request():
            talk.close()
            return
        talk.send(raw)
        if not keep:
            talk.close()

    return behave


def redirect(status: str, location: str) -> Behaviour:
    return answer(b"moved", status=status, headers={"Location": location})


# ── behaviours: faults ───────────────────────────────────────────────────────────────────────


def close_before_reading(talk: Talk) -> None:
    talk.close()


def reset_at_once(talk: Talk) -> None:
    """The client may meet it in `connect` already."""
    talk.reset()


def reset_before_reading(talk: Talk) -> None:
    """Reset when the client has sent something."""
    talk.sock.recv(1, socket.MSG_PEEK)
    talk.reset()


def cut_after_reading(talk: Talk) -> None:
    talk.read_request()
    talk.close()


def reset_after_reading(talk: Talk) -> None:
    talk.read_request()
    talk.reset()


def hang(talk: Talk) -> None:
    """Take the request and never answer."""
    talk.read_request()
    talk.hang()


def stall(raw: bytes) -> Behaviour:
    """These bytes after the request, and then silence."""

    def behave(talk: Talk) -> None:
        talk.read_request()
        talk.send(raw)
        talk.hang()

    return behave


def read_nothing(talk: Talk) -> None:
    """Take the connection and leave what comes over it in the system's buffers."""
    talk.server.stopping.wait()
    talk.close()


def drip(raw: bytes, every_s: float = 0.02) -> Behaviour:
    """These bytes after the request, one at a time."""

    def behave(talk: Talk) -> None:
        talk.read_request()
        for i in range(len(raw)):
            talk.send(raw[i : i + 1])
            if talk.pause(every_s):
                break
        talk.close()

    return behave


def http(status: str = "200 OK", *fields: str, body: bytes = b"") -> bytes:
    """The bytes of an answer, for `reply` and `drip`."""
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode() + body


garbage_status = reply(b"\x16\x03\x01 no HTTP at all\r\n\r\n")
garbage_headers = reply(http("200 OK", "this is no header", "Content-Length: 2", body=b"{}"))
two_lengths = reply(http("200 OK", "Content-Length: 2", "Content-Length: 9", body=b"{}"))
endless_headers = reply(http("200 OK", *(f"X-{n}: {n}" for n in range(200)), body=b"{}"))
truncated_length = answer(PAID, length=len(PAID) + 10, keep=False)
truncated_chunked = reply(
    http("200 OK", "Transfer-Encoding: chunked", body=b"%x\r\n" % len(PAID) + PAID[:50])
)
chunked_without_end = reply(
    http("200 OK", "Transfer-Encoding: chunked", body=b"%x\r\n%b\r\n" % (len(PAID), PAID))
)
broken_chunks = reply(http("200 OK", "Transfer-Encoding: chunked", body=b"zz\r\n{}\r\n0\r\n\r\n"))
endless_chunk_size = reply(
    http("200 OK", "Transfer-Encoding: chunked", body=b"0" * 4 * 1024 * 1024)
)
oversized = answer(b" " * (1024 * 1024 + 1))
oversized_chunked = answer(b" " * (1024 * 1024 + 1), chunked=True)
gzipped = answer(gzip.compress(PAID), headers={"Content-Encoding": "gzip"})
deflated = answer(zlib.compress(PAID), headers={"Content-Encoding": "deflate"})
deflated_raw = answer(zlib.compress(PAID)[2:-4], headers={"Content-Encoding": "deflate"})
broken_gzip = answer(b"\x1f\x8b not gzip", headers={"Content-Encoding": "gzip"})
half_gzip = answer(gzip.compress(PAID)[:-20], headers={"Content-Encoding": "gzip"})
unknown_encoding = answer(PAID, headers={"Content-Encoding": "br"})


def gzip_bomb() -> Behaviour:
    """48 KB that grow to 50 MB."""
    return answer(gzip.compress(bytes(50_000_000)), headers={"Content-Encoding": "gzip"})


# ── behaviours: before and instead of HTTP ───────────────────────────────────────────────────


def handshake_cut(talk: Talk) -> None:
    """Close when the client's hello is there."""
    talk.sock.recv(1)
    talk.close()


def handshake_reset(talk: Talk) -> None:
    talk.sock.recv(1)
    talk.reset()


def handshake_hang(talk: Talk) -> None:
    """Read the client's hello and never answer it."""
    talk.hang()


def handshake_drip(talk: Talk) -> None:
    """Answer the hello with a large record that arrives a byte at a time."""
    talk.sock.recv(65536)
    for byte in b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc" + bytes(16_000):
        with suppress(OSError):
            talk.sock.sendall(bytes([byte]))
        if talk.pause(0.02):
            break
    talk.close()


def speaks_no_tls(talk: Talk) -> None:
    talk.sock.recv(65536)
    talk.sock.sendall(http("400 Bad Request"))
    talk.close()


# ── behaviours: proxies ──────────────────────────────────────────────────────────────────────


def proxy_refuses(status: str = "403 Forbidden") -> Behaviour:
    return reply(http(status, "Content-Length: 0"))


def proxy_tunnels(port: int) -> Behaviour:
    """An honest CONNECT proxy, in whose network every name is this loopback port."""

    def behave(talk: Talk) -> None:
        if not talk.read_request():
            return
        with socket.create_connection(("127.0.0.1", port)) as beyond:
            beyond.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            talk.server.holds(beyond)
            talk.send(http("200 Connection established"))
            _pass_bytes(talk.sock, beyond)
        talk.close()

    return behave


def _pass_bytes(one: socket.socket, two: socket.socket) -> None:
    """Both ways, until one side ends."""
    other = {one: two, two: one}
    while True:
        for sock in select.select([one, two], [], [])[0]:
            data = sock.recv(65536)
            if not data:
                return
            other[sock].sendall(data)


# ── addresses that cannot be reached ─────────────────────────────────────────────────────────

NO_SUCH_NAME = "gateway.invalid"  # RFC 6761: never resolves
NO_ROUTE = "255.255.255.255"  # no TCP goes to the broadcast address


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port that refuses: held, so that nobody else gets it, but not listening."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@contextmanager
def full_port() -> Iterator[int]:
    """A port whose queue is full, so that connecting to it hangs."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


# ── certificates ─────────────────────────────────────────────────────────────────────────────


class Certificates:
    """A private CA and the servers it knows; `ca` is its file, for the client to trust.

    `stranger` is another CA's file; it knows the server `unknown_ca`.
    """

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self._stranger = trustme.CA()
        self.ca = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(self.ca)
        self.stranger = folder / "stranger.pem"
        self._stranger.cert_pem.write_to_path(self.stranger)
        self.good = self._context(self._authority.issue_cert("127.0.0.1", "localhost"))
        self.everywhere = self._context(
            self._authority.issue_cert("127.0.0.1", NO_SUCH_NAME, NO_ROUTE)
        )
        self.other_name = self._context(self._authority.issue_cert(NO_SUCH_NAME))
        self.wants_certificate = self._context(self._authority.issue_cert("127.0.0.1"))
        self.wants_certificate.verify_mode = ssl.CERT_REQUIRED
        self.wants_certificate.load_verify_locations(self.ca)
        self.unknown_ca = self._context(self._stranger.issue_cert("127.0.0.1"))
        self.expired = self._context(
            self._authority.issue_cert(
                "127.0.0.1",
                not_before=dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
                not_after=dt.datetime(2021, 1, 1, tzinfo=dt.UTC),
            )
        )
        self.old_tls = self._context(self._authority.issue_cert("127.0.0.1"))
        self.old_tls.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings(action="ignore"):  # old is the point
            self.old_tls.minimum_version = ssl.TLSVersion.TLSv1
            self.old_tls.maximum_version = ssl.TLSVersion.TLSv1_1

    def _context(self, certificate: trustme.LeafCert) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return context
