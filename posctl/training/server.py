"""The training gateway's sockets: HTTP/1.1 on loopback, a thread for each connection.

Not http.server: that leaves its loop only at a poll interval, and answers a broken request line in
HTML, where this gateway owes an answer that says why.
"""

from __future__ import annotations

import socket
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass

from posctl.training.answers import Answer, Delivery
from posctl.training.form import PATH, Unreadable
from posctl.training.gateway import TrainingGateway

HOST = "127.0.0.1"  # a name here, or a parameter, and it might one day be reached from elsewhere
MAX_HEAD = 64 * 1024
MAX_BODY = 1024 * 1024
_PIECE = 64 * 1024
_LINGER_S = 1.0
_ONCE = ("content-length", "content-type", "transfer-encoding")
_WORDS = {200: "OK", 502: "Bad Gateway"}


@dataclass(frozen=True, slots=True)
class _Request:
    verb: str
    target: bytes
    content_type: str
    body: bytes
    keep_alive: bool


class Server:
    """Serves `gateway` at `url` from the moment it is made until `stop`.

    Raises OSError for a port that cannot be used.
    """

    def __init__(self, gateway: TrainingGateway, port: int = 0) -> None:
        self._gateway = gateway
        self._listener = socket.create_server((HOST, port), backlog=128)
        host, port = self._listener.getsockname()
        self.url = f"http://{host}:{port}{PATH.decode()}"
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._talks: dict[socket.socket, threading.Thread] = {}
        self._acceptor = threading.Thread(target=self._accept, name="training", daemon=True)
        self._acceptor.start()

    def stop(self) -> None:
        """Cut every connection; a charge that is being written is finished first."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        with suppress(OSError):  # wakes the acceptor; closing the listener would not, everywhere
            socket.create_connection(self._listener.getsockname(), timeout=_LINGER_S).close()
        self._acceptor.join()
        self._listener.close()
        with self._lock:
            talks = dict(self._talks)
            for sock in talks:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
                if sys.platform == "win32":  # nobody who waits for bytes is woken by that
                    sock.close()
        for thread in talks.values():
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                sock, _address = self._listener.accept()
            except OSError:  # too many open files, or the client has gone again
                if self._stopping.wait(0.05):
                    return
                continue
            if self._stopping.is_set():
                sock.close()
                return
            thread = threading.Thread(target=self._talk, args=(sock,), daemon=True)
            with self._lock:
                self._talks[sock] = thread
            thread.start()

    def _talk(self, sock: socket.socket) -> None:
        try:
            with suppress(OSError):  # the client has gone, or `stop` has cut it
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._converse(sock)
        finally:
            with self._lock:  # so that `stop` meets no closed socket
                del self._talks[sock]
                sock.close()

    def _converse(self, sock: socket.socket) -> None:
        inbox = _Inbox(sock)
        keep_alive = True
        while keep_alive:
            try:
                request = inbox.request()
            except Unreadable as why:
                self._send(sock, self._gateway.unreadable(str(why)), keep_alive=False)
                _linger(sock)
                return
            if request is None:
                return
            answer = self._gateway.handle(
                request.verb, request.target, request.content_type, request.body
            )
            keep_alive = request.keep_alive and answer.delivery is Delivery.WHOLE
            if answer.delivery is Delivery.NEVER:
                inbox.wait_for_end()
            elif answer.delivery is not Delivery.CUT:
                self._send(sock, answer, keep_alive=keep_alive)

    def _send(self, sock: socket.socket, answer: Answer, *, keep_alive: bool) -> None:
        from email.utils import formatdate

        head = (
            f"HTTP/1.1 {answer.status} {_WORDS[answer.status]}\r\n"
            "Server: posctl-training\r\n"
            f"Date: {formatdate(self._gateway.clock(), usegmt=True)}\r\n"
            f"Content-Type: {answer.content_type}\r\n"
            f"Content-Length: {len(answer.body)}\r\n"
            f"Connection: {'keep-alive' if keep_alive else 'close'}\r\n\r\n"
        )
        body = answer.body
        if answer.delivery is Delivery.HALF:
            body = body[: len(body) // 2]
        sock.sendall(head.encode() + body)


class _Inbox:
    """The bytes of one connection, as requests."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._bytes = bytearray()

    def request(self) -> _Request | None:
        """The next request; None when the client has gone. Raises Unreadable."""
        head = self._head()
        if head is None:
            return None
        first, *lines = head.split(b"\r\n")
        verb, _space, rest = first.partition(b" ")
        target, _space, version = rest.rpartition(b" ")
        if version not in (b"HTTP/1.1", b"HTTP/1.0"):
            raise Unreadable("the request line is not HTTP/1.1")
        headers = _headers(lines)
        if headers.get("expect", "").lower() == "100-continue":
            self._sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection = headers.get("connection", "keep-alive" if version[-1:] == b"1" else "close")
        return _Request(
            verb.decode("latin-1"),
            target,
            headers.get("content-type", ""),
            self._body(verb, headers),
            connection.lower() != "close",
        )

    def wait_for_end(self) -> None:
        """Say nothing until the client goes or the server stops."""
        while self._sock.recv(_PIECE):
            pass

    def _head(self) -> bytes | None:
        while (end := self._bytes.find(b"\r\n\r\n")) < 0:
            if len(self._bytes) > MAX_HEAD:
                raise Unreadable("the head of the request is too long")
            if not self._receive():
                if not self._bytes:
                    return None
                raise Unreadable("the request ends in its head")
        return self._take(end + 4)[:-4]

    def _body(self, verb: bytes, headers: dict[str, str]) -> bytes:
        if "transfer-encoding" in headers or (verb == b"POST" and "content-length" not in headers):
            raise Unreadable("a POST comes with Content-Length here")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal() and len(length) < 12):
            raise Unreadable("Content-Length is no number")
        if int(length) > MAX_BODY:
            raise Unreadable("the body is too long")
        while len(self._bytes) < int(length):
            if not self._receive():
                raise Unreadable("the request ends in its body")
        return self._take(int(length))

    def _take(self, count: int) -> bytes:
        taken = bytes(self._bytes[:count])
        del self._bytes[:count]
        return taken

    def _receive(self) -> bool:
        piece = self._sock.recv(_PIECE)
        self._bytes += piece
        return bool(piece)


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        name = name.lower()
        if not colon or (name in headers and name in _ONCE):
            raise Unreadable("a header of the request is malformed or stands twice")
        headers[name] = value.strip()
    return headers


def _linger(sock: socket.socket) -> None:
    """Take in what is still coming: closing before that could reset the answer away."""
    sock.shutdown(socket.SHUT_WR)
    sock.settimeout(_LINGER_S)
    left = 4 * MAX_BODY
    while left > 0 and (piece := sock.recv(_PIECE)):
        left -= len(piece)
