"""How often a payment waits for the database: a till a millisecond away from it feels each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from merciless import Merciless, paid
from pgserver import Between, Database
from test_postgres import till

PAY = ("pay", "--fee", "100", "--checkout")
MANY = 40


class Counting(Between):
    """Counts how often somebody waits, once connected: after Sync, or Query."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.waits: list[bytes] = []  # what each waited for
        self._read = self._said = b""

    def asked(self, data: bytes) -> bool:
        self._read += data
        while message := self._message():
            self._said += message
            if message[:1] in (b"S", b"Q"):
                self.waits.append(self._said)
                self._said = b""
        return True

    def _message(self) -> bytes:
        """The next one, when it is whole: a byte for its kind, but in the first, and its length."""
        kind = int(self._read[:1] != b"\0")
        size = kind + int.from_bytes(self._read[kind : kind + 4], "big")
        if len(self._read) < max(size, 5):
            return b""
        message, self._read = self._read[:size], self._read[size:]
        return message

    def told(self) -> bool:
        return True


@pytest.fixture
def counting(database: Database) -> Iterator[Counting]:
    with Counting(database.port) as one:
        yield one


def test_waits_for_each_payment(database: Database, counting: Counting, tmp_path: Path) -> None:
    """A `pay` waits for the database four times until its verdict is recorded, and five times more
    as a process; `batch` and `retry --all` wait once a payment at the most, with all around it. A
    batch that is run again when all is decided asks for no line by itself.
    """
    url = database.url()
    with Merciless() as gateway:
        one = till(
            tmp_path, url.replace(f":{database.port}", f":{counting.port}"), gateway.url, "till-a"
        )
        assert one.run(*PAY, "first", "--json").code == 0

        def waits(*words: str, code: int) -> list[bytes]:
            counting.waits.clear()
            assert one.run(*words, "--json").code == code
            return counting.waits

        of_pay = waits(*PAY, "second", code=0)
        begun = next(n for n, sent in enumerate(of_pay) if b"BEGIN" in sent)
        *_others, recorded = (n for n, sent in enumerate(of_pay) if b"COMMIT" in sent)
        assert recorded - begun + 1 <= 4
        assert begun <= 3
        assert len(of_pay) <= 9
        lines = (json.dumps({"checkout_id": f"m-{n}", "pay_fee": 100}) for n in range(MANY))
        (one.home / "many.jsonl").write_text("\n".join(lines))
        gateway.answer = lambda _members: None
        assert len(waits("batch", "many.jsonl", code=21)) <= MANY
        gateway.answer = paid
        database.execute("DELETE FROM claims", url)
        assert len(waits("retry", "--all", code=0)) <= MANY
        for results in ("say unknown", "say paid", "are lost"):
            if results == "are lost":
                (one.home / "many.jsonl.results.jsonl").unlink()
            assert len(waits("batch", "many.jsonl", code=0)) <= 12, results
