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
SYNC, QUERY = b"S\0\0\0\4", b"Q"  # what a client sends when it waits for an answer
MANY = 40


class Counting(Between):
    """Counts how often somebody waits."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.waits: list[bytes] = []

    def asked(self, data: bytes) -> bool:
        self.waits += [data] * (data.count(SYNC) + data.startswith(QUERY))
        return True

    def told(self) -> bool:
        return True


@pytest.fixture
def counting(database: Database) -> Iterator[Counting]:
    with Counting(database.port) as one:
        yield one


def test_waits_for_each_payment(database: Database, counting: Counting, tmp_path: Path) -> None:
    """A `pay`, connection and all; a payment of many in `batch`, and one in `retry --all`."""
    url = database.url()
    with Merciless() as gateway:
        one = till(
            tmp_path, url.replace(f":{database.port}", f":{counting.port}"), gateway.url, "till-a"
        )
        assert one.run(*PAY, "first", "--json").code == 0

        def waits(*words: str, code: int) -> int:
            counting.waits.clear()
            assert one.run(*words, "--json").code == code
            return len(counting.waits)

        assert waits(*PAY, "second", code=0) <= 13
        lines = (json.dumps({"checkout_id": f"m-{n}", "pay_fee": 100}) for n in range(MANY))
        (one.home / "many.jsonl").write_text("\n".join(lines))
        gateway.answer = lambda _members: None
        assert waits("batch", "many.jsonl", code=21) <= 10 * MANY
        gateway.answer = paid
        database.execute("DELETE FROM claims", url)
        assert waits("retry", "--all", code=0) <= 6 * MANY
