"""A gateway that charges every request_id it has not seen, and keeps count: nothing is forgiven.

It runs in a thread, over kept connections. `hold_at` stops the world: once so many are charged,
requests stay without an answer (every other one is charged all the same) until `let_go`.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import parse_qs

Members = dict[str, Any]


def paid(members: Members) -> bytes:
    """The answer to a payment that closes its checkout."""
    model = {
        "result_status": 1,
        "remaining_fee": 0,
        "current_pay_fee": members["pay_fee"],
        "current_payment_channel": 1006,
        "payment_order_id": f"V-{members['request_id']}",
        "result_code": "OPERATION_SUCCESS",
        "is_success": True,
    }
    return told(model)


def told(model: Members) -> bytes:
    """An answer with this model."""
    result = {"model": model, "msg_code": "SUCCESS", "is_success": True}
    return json.dumps({"alibaba_pos_order_pay_response": {"result": result}}).encode()


def refused(code: int, words: str) -> bytes:
    """An error_response."""
    return json.dumps({"error_response": {"code": code, "msg": "no", "sub_msg": words}}).encode()


class Merciless:
    """See the module. `charges` holds the members of each charge, by request_id; `requests` those
    of every request, in their order. `answer` may be replaced: None closes the connection, and a
    request that it refuses is not charged.
    """

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Members] = []
        self.charges: dict[str, Members] = {}
        self.connections = 0
        self.answer: Callable[[Members], bytes | None] = paid
        self.charge: Callable[[Members], bool] = lambda _members: True
        self.hold_at: int | None = None
        self.changed = threading.Condition()
        self.open: set[asyncio.Transport] = set()
        self._held: list[tuple[asyncio.Transport, Members]] = []
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(
            self._loop.create_server(lambda: _Connection(self), "127.0.0.1", port)
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/router/rest"
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join()
        self._loop.close()

    def _stop(self) -> None:
        self._server.close()
        for transport in self.open:
            transport.abort()
        self._loop.call_soon(self._loop.call_soon, self._loop.stop)  # after they are closed

    def wait_for(self, what: Callable[[], bool]) -> None:
        """Until `what` is so; it is looked at after every request."""
        with self.changed:
            assert self.changed.wait_for(what, 60)

    @property
    def held(self) -> int:
        """How many requests wait for an answer."""
        return len(self._held)

    def let_go(self) -> None:
        """Answer what was held, and hold nothing any more."""

        def release() -> None:
            self.hold_at = None
            held, self._held = self._held, []
            for transport, members in held:
                self._charge(members)
                self._answer(transport, members)

        self._loop.call_soon_threadsafe(release)

    def forget_held(self) -> None:
        """The clients of what was held are gone."""
        self._held = []

    def take(self, transport: asyncio.Transport, members: Members) -> None:
        with self.changed:
            self.requests.append(members)
            if self.hold_at is not None and len(self.charges) >= self.hold_at:
                if len(self._held) % 2:
                    self._charge(members)
                self._held.append((transport, members))
            else:
                self._charge(members)
                self._answer(transport, members)
            self.changed.notify_all()

    def _charge(self, members: Members) -> None:
        if self.charge(members):
            self.charges.setdefault(members["request_id"], members)

    def _answer(self, transport: asyncio.Transport, members: Members) -> None:
        body = self.answer(members)
        if body is None:
            transport.close()
        else:
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            transport.write(head + body)


class _Connection(asyncio.Protocol):
    def __init__(self, server: Merciless) -> None:
        self._gateway = server
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._gateway.connections += 1
        self._gateway.open.add(transport)

    def connection_lost(self, _why: Exception | None) -> None:
        self._gateway.open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
        if found and len(body) >= int(length):
            self._got = body[int(length) :]
            form = parse_qs(body[: int(length)].decode())
            self._gateway.take(self._transport, json.loads(form["pay_request"][0]))
