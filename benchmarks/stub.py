"""A gateway that says "paid" to everything, after a latency: fast enough to measure others by.

    python benchmarks/stub.py PORT_FILE [LATENCY_MS [pays|cuts|truncates]]

One that cuts closes the connection instead of answering, one that truncates after half an answer;
after SIGUSR1 it pays. It writes its port to PORT_FILE, reads requests with Content-Length only, and
keeps connections.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

MODEL = {
    "result_status": 1,
    "remaining_fee": 0,
    "current_pay_fee": 100,
    "current_payment_channel": 1006,
    "result_code": "OPERATION_SUCCESS",
    "result_message": "ok",
    "is_success": True,
}


def answer(number: int) -> bytes:
    ids = {"payment_order_id": f"STUB-{number}", "channel_order_id": f"2026{number:012}"}
    model = MODEL | ids
    result = {"model": model, "msg_code": "SUCCESS", "is_success": True}
    body = json.dumps({"alibaba_pos_order_pay_response": {"result": result}}).encode()
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: text/javascript;charset=UTF-8\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Stub(asyncio.Protocol):
    number = 0
    latency_s = 0.0
    kind = "pays"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._got = b""

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) < length:
            return
        self._got = body[length:]
        Stub.number += 1
        loop = asyncio.get_running_loop()
        loop.call_later(Stub.latency_s, self._speak, answer(Stub.number))

    def _speak(self, whole: bytes) -> None:
        if self.kind != "cuts":
            self._transport.write(whole if self.kind == "pays" else whole[: -len(whole) // 4])
        if self.kind != "pays":
            self._transport.close()


def pay() -> None:
    Stub.kind = "pays"


async def main() -> None:
    Stub.latency_s = float(sys.argv[2]) / 1000 if len(sys.argv) > 2 else 0.0
    Stub.kind = sys.argv[3] if len(sys.argv) > 3 else "pays"
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, pay)
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0)
    port_file = Path(sys.argv[1])
    port_file.with_suffix(".part").write_text(str(server.sockets[0].getsockname()[1]))
    port_file.with_suffix(".part").rename(port_file)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
