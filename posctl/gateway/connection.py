"""The connection under the gateway: it knows whether a byte left, and it never waits too long.

requests and urllib3 tell neither (docs/outcomes.md, traps): "refused" and "closed after our body
was sent" are one exception, a slow drip never trips a read timeout, the resolver has none at all.
So the few methods that wait or send are overridden here, at the bottom, where the truth is plain:

- of a name's addresses the first to answer is taken, a dead one costs a quarter of a second;
- every wait on a socket ends at the exchange's deadline, and an exchange receives only so much;
- `Connection.send` marks the exchange before the first byte of the request goes out;
- a failure is named where it happens, as `Failed(event)`. That is no OSError and no urllib3
  error, so no layer above swallows it, wraps it, or tries again.

Only `client.py` imports this file, and only to send: requests takes 100 ms to load.
"""

from __future__ import annotations

import errno
import itertools
import re
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from http.client import HTTPException, HTTPResponse, RemoteDisconnected
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import SplitResult

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import InvalidHeader
from urllib3.poolmanager import PoolManager

from posctl.gateway.exchange import Sent, Timeout
from posctl.money.outcome import Event

MAX_RECEIVED = 2 * 1024 * 1024  # bytes of one answer on the wire: the body, its headers and frames
_HEAD_START_S = 0.25  # of one address before the next: RFC 8305, 8
_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})


class Failed(Exception):
    """An exchange is over without an answer. `detail` is short and safe to show."""

    def __init__(self, event: Event, detail: str = "") -> None:
        super().__init__(event)
        self.event = event
        self.detail = detail


class Flight:
    """One exchange on its way: how long it may still wait, and whether a byte may have left."""

    def __init__(
        self, timeout: Timeout, monotonic: Callable[[], float], sent: Sent, generation: int = 0
    ) -> None:
        self.sent = sent
        self.generation = generation  # connections of an earlier one are not used any more
        self.connecting = False
        self._timeout = timeout
        self.monotonic = monotonic
        self._deadline_s = monotonic() + timeout.total_s
        self._received = 0

    def leaves(self) -> None:
        """The next bytes belong to the request. Raises Failed when it is too late to begin."""
        if not self.sent.may_have_left:
            self.patience_s()
            if not self.sent.may_leave():
                raise Failed(Event.TOO_LATE)
            self.sent.may_have_left = True

    def receives(self, count: int) -> None:
        """Raises Failed when it is more than anybody needs."""
        self._received += count
        if self._received > MAX_RECEIVED:
            raise Failed(Event.OVERSIZED)

    def patience_s(self) -> float:
        """How long the next wait may take. Raises Failed when the deadline has passed."""
        left_s = self._deadline_s - self.monotonic()
        if left_s <= 0:
            raise self.failed(Event.DEADLINE)
        return min(left_s, self._timeout.connect_s if self.connecting else self._timeout.read_s)

    def failed(self, event: Event, detail: str = "") -> Failed:
        """How the exchange failed: once the deadline has passed, that is the cause."""
        if self.monotonic() >= self._deadline_s:
            event = Event.DEADLINE if self.sent.may_have_left else Event.DEADLINE_UNSENT
        return Failed(event, detail)

    def failure(self, error: Exception) -> Failed:
        """Any exception as a failure. Its class says enough: its text has the URL."""
        if isinstance(error, Failed):
            return error
        event = Event.CUT if self.sent.may_have_left else Event.UNSENT
        if self.sent.may_have_left and isinstance(error, InvalidHeader):  # two lengths, say
            event = Event.GARBAGE
        return self.failed(event, type(error).__name__)


class _Here(threading.local):
    """The flight of this thread: sockets outlive exchanges, so they look here for their own."""

    flight: Flight


here = _Here()


# ── sockets that never wait past the deadline ────────────────────────────────────────────────


def _be_patient(sock: socket.socket) -> None:
    """Let the next wait end with the flight's patience, give or take 20 ms.

    Each change lets go of the interpreter's lock, and among a hundred threads that is a wait.
    """
    patience_s = here.flight.patience_s()
    present_s = sock.gettimeout()
    if present_s is None or abs(present_s - patience_s) > 0.02:
        socket.socket.settimeout(sock, patience_s)


def _receive(sock: socket.socket, recv_into: Callable[..., int], args: tuple[Any, ...]) -> int:
    flight = here.flight
    _be_patient(sock)
    try:
        count = recv_into(*args)
    except TimeoutError:
        raise flight.failed(Event.READ_TIMEOUT) from None
    except OSError as error:
        raise flight.failed(Event.CUT, type(error).__name__) from None
    flight.receives(count)
    return count


class _Socket(socket.socket):
    def settimeout(self, _seconds: float | None) -> None:
        """Nothing: the layers above set what is not the flight's."""

    def sendall(self, *args: Any) -> None:
        _be_patient(self)  # for the whole of it
        super().sendall(*args)

    def recv_into(self, *args: Any) -> int:
        return _receive(self, super().recv_into, args)


class _TLSSocket(ssl.SSLSocket):
    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002  ssl's signature
        try:
            _be_patient(self)  # for the whole of it
            super().do_handshake(block)
        except BaseException:  # ssl closes the socket of an OSError, not of Ctrl-C
            self.close()
            raise

    def send(self, *args: Any) -> int:
        _be_patient(self)
        return super().send(*args)

    def recv_into(self, *args: Any) -> int:
        return _receive(self, super().recv_into, args)


def tls_context() -> ssl.SSLContext:
    """TLS 1.2 or newer, certificate and name always verified; it trusts nobody yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _TLSSocket
    return context


def _resolve(host: str, port: int, wait_s: float) -> list[Any]:
    """getaddrinfo, given up after `wait_s`: on a dead network it hangs for 10 s and more.

    Raises OSError, or UnicodeError for what cannot be a name.
    """
    try:
        return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass  # a name
    answers: SimpleQueue[list[Any] | Exception] = SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=look_up, daemon=True).start()
    try:
        answer = answers.get(timeout=wait_s)
    except Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _by_turns(addresses: Iterable[Any]) -> list[Any]:
    """One of each family in turn: where IPv6 is broken, that costs one head start, not several."""
    families: dict[int, list[Any]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    turns = itertools.zip_longest(*families.values())
    return [address for turn in turns for address in turn if address]


def _begin(family: int, kind: int, protocol: int, _name: str, address: Any) -> socket.socket:
    """A socket on its way to `address`. Raises OSError when that is over already."""
    sock = _Socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        socket.socket.settimeout(sock, 0)
        sock.connect(address)
    except BlockingIOError:
        pass
    except BaseException:
        sock.close()
        raise
    return sock


def _first_to_connect(addresses: list[Any]) -> socket.socket:
    """A connection to the address that answers first; the others are closed, and heard nothing.

    Each is tried as soon as one before it has failed, or after a head start: one that swallows
    whatever is sent there must not cost a connect timeout. Raises what the last of `addresses`
    met, TimeoutError when it met nothing; Failed at the deadline.
    """
    flight = here.flight
    codes = [errno.ETIMEDOUT] * len(addresses)  # not the errors: they hold on to these frames
    left = list(enumerate(addresses))
    ends_s = 0.0
    sock: socket.socket
    with selectors.DefaultSelector() as waiting:
        try:
            while left or waiting.get_map():
                if left:
                    number, address = left.pop(0)
                    ends_s = flight.monotonic() + flight.patience_s()
                    try:
                        sock = _begin(*address)
                    except OSError as error:
                        codes[number] = error.errno or 0
                        continue
                    waiting.register(sock, selectors.EVENT_WRITE, (number, sock))
                wait_s = max(0.0, ends_s - flight.monotonic())
                ready = waiting.select(min(wait_s, _HEAD_START_S) if left else wait_s)
                if not ready and not left:
                    break
                for key, _events in ready:
                    number, sock = key.data
                    waiting.unregister(sock)
                    codes[number] = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not codes[number]:
                        socket.socket.settimeout(sock, None)
                        return sock
                    sock.close()
        finally:
            for key in waiting.get_map().values():
                key.data[1].close()
    raise OSError(codes[-1], "")


def connected(place: tuple[str, int], timeout: Timeout) -> socket.socket:
    """A connection for who looks around and pays nothing. Raises OSError, or UnicodeError."""
    here.flight = Flight(timeout, time.monotonic, Sent())
    here.flight.connecting = True
    try:
        found = _first_to_connect(_by_turns(_resolve(*place, timeout.connect_s)))
    except Failed:
        raise TimeoutError from None
    sock = socket.socket(fileno=found.detach())  # without the deadline of payments
    sock.settimeout(timeout.connect_s)
    return sock


# ── the connection ───────────────────────────────────────────────────────────────────────────


_INTERIM = (102, 103)  # "processing", "early hints"; http.client itself passes over 100
_MOST_INTERIM = 16


class _Answer(HTTPResponse):
    def begin(self) -> None:
        self._begin()
        for _more in range(_MOST_INTERIM):
            if self.status not in _INTERIM:
                break
            self.headers = self.msg = None  # type: ignore[assignment]  # or it would not begin anew
            self._begin()
        if self.status < 200:  # the answer is still to come, and must not be the next one's
            raise here.flight.failed(Event.GARBAGE, str(self.status))
        if self.status != 200:  # nobody knows who spoke: talk to somebody else next time
            self.will_close = True

    def _begin(self) -> None:
        try:
            if self.fp.peek(1)[:1] in (b"\r", b"\n"):  # one empty line before it says nothing
                self.fp.readline(2)
            super().begin()
        except RemoteDisconnected:
            raise here.flight.failed(Event.CUT, "closed") from None
        except HTTPException as error:
            raise here.flight.failed(Event.GARBAGE, type(error).__name__) from None
        if self.headers.defects:
            raise here.flight.failed(Event.GARBAGE, type(self.headers.defects[0]).__name__)


_numbers = itertools.count(1)


class Connection(HTTPConnection):
    """One try each time it is asked, and the truth about it."""

    response_class = _Answer
    _generation = _number = 0
    # Of the request that is being put together: headers and body leave in one write.
    _pieces: list[bytes] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether the pool may use it again. Not with bytes that nobody asked for, already
        decrypted: they are not the next answer's. Nor when it gave somebody another's answer.
        """
        if self._generation != here.flight.generation:
            return False
        return super().is_connected and not getattr(self.sock, "pending", int)()

    def request(self, *args: Any, **kwargs: Any) -> None:
        # Whatever a library above believes: what may have left is never sent again.
        if here.flight.sent.may_have_left:
            raise here.flight.failed(Event.CUT, "resend refused")
        self._pieces = []
        try:
            super().request(*args, **kwargs)
            whole = b"".join(self._pieces)
        finally:
            self._pieces = None
        self.send(whole)

    def send(self, data: Any) -> None:
        if self._pieces is not None:
            self._pieces.append(data)
            return
        if self.sock is None:
            self.connect()
        if not here.flight.connecting:  # else it is the CONNECT to a proxy, which charges nobody
            here.flight.leaves()
            here.flight.sent.connection = self._number
        super().send(data)

    def connect(self) -> None:
        flight = here.flight
        flight.connecting = True
        self._generation, self._number = flight.generation, next(_numbers)
        try:
            super().connect()
            # Of a socket that was reset meanwhile `ssl` may make one without TLS, and say nothing.
            if isinstance(self.sock, _TLSSocket) and self.sock.version() is None:
                raise ConnectionResetError
        except ssl.SSLCertVerificationError as error:
            raise flight.failed(Event.TLS_REFUSED, error.verify_message) from None
        except TimeoutError:
            raise flight.failed(Event.HANDSHAKE_CUT, "timed out") from None
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError) as error:
            raise flight.failed(Event.HANDSHAKE_CUT, type(error).__name__) from None
        except ssl.SSLError as error:  # no common version or cipher, or no TLS there at all
            raise flight.failed(Event.TLS_REFUSED, error.reason or "") from None
        finally:
            flight.connecting = False

    def _new_conn(self) -> socket.socket:
        """A TCP connection to the gateway, or to the proxy. Raises Failed."""
        flight = here.flight
        try:
            addresses = _resolve(self._dns_host, self.port, flight.patience_s())
        except (OSError, UnicodeError) as error:
            raise self._unreachable(Event.DNS_FAILED, type(error).__name__) from None
        try:
            return _first_to_connect(_by_turns(addresses))
        except TimeoutError:
            raise self._unreachable(Event.CONNECT_TIMEOUT, "timed out") from None
        except ConnectionRefusedError:
            raise self._unreachable(Event.REFUSED, "refused") from None
        except OSError as error:
            event = Event.NO_ROUTE if error.errno in _NO_ROUTE else Event.UNSENT
            detail = errno.errorcode.get(error.errno or 0, "")
            raise self._unreachable(event, detail) from None

    def _tunnel(self) -> None:
        try:
            super()._tunnel()
        except Failed as failed:
            raise here.flight.failed(Event.PROXY_REFUSED, failed.event.value) from None
        except (OSError, HTTPException) as error:
            status = re.search(r"\b[1-5]\d\d\b", str(error))  # 407: it wants a password
            detail = status[0] if status else type(error).__name__
            raise here.flight.failed(Event.PROXY_REFUSED, detail) from None

    def _unreachable(self, event: Event, detail: str) -> Failed:
        return here.flight.failed(Event.PROXY_REFUSED if self.proxy else event, detail)


class TLSConnection(Connection, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = TLSConnection


_POOLS = {"http": _Pool, "https": _TLSPool}


class Adapter(HTTPAdapter):
    """requests' adapter over these connections; `tls` is None for a gateway without TLS."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._tls, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, ssl_context=self._tls, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def pool(self, url: SplitResult, proxy: str | None) -> HTTPConnectionPool:
        """The connections to the host of `url`.

        Not through requests' `send`: it would load certifi's bundle for each connection, and some
        releases (2.32.2) set their own TLS context over ours.
        """
        manager: PoolManager = self.proxy_manager_for(proxy) if proxy else self.poolmanager
        host = f"[{url.hostname}]" if ":" in str(url.hostname) else url.hostname
        return manager.connection_from_host(host, url.port, url.scheme)
