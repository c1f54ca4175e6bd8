"""Many tills at work in this process, each with its own journal, note and gateway; what they were
told stands beside what the platform charged.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import closing, nullcontext
from pathlib import Path
from typing import NamedTuple, Self

from merciless import Merciless
from pgserver import Database
from road import SECRET
from test_postgres import till

from posctl.cli.run import new_request_id
from posctl.config.profiles import load
from posctl.errors import Busy, JournalError
from posctl.gateway.client import Gateway
from posctl.journal import postgres_whole
from posctl.journal.postgres import PostgresJournal
from posctl.money.order import Limits, check
from posctl.money.record import Who
from posctl.money.result import Result
from posctl.paying.desk import Desk
from posctl.paying.pay import pay, retry


class Told(NamedTuple):
    """What a till was told: an outcome, or the code of an error; when it asked, and for how long,
    in seconds.
    """

    checkout: str
    word: str
    request_id: str | None
    warnings: tuple[str, ...]
    at_s: float
    took_s: float


class Tills:
    """`count` tills that pay one checkout after another, each until it is told that it is paid."""

    def __init__(self, home: Path, url: str, gateway: Merciless, count: int) -> None:
        self.url, self.gateway = url, gateway
        self.told: list[Told] = []
        self.bugs: list[BaseException] = []
        self._stop = threading.Event()
        self._shop = till(home, url, gateway.url, "tills")
        self._profile = load(None, None, self._shop.env).profile
        self.notes = [self._shop.home / f"till-{n}" / "database.1.note" for n in range(count)]
        PostgresJournal(url, 5).close()
        self._threads = [threading.Thread(target=self._work, args=(n,)) for n in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert not self.bugs, self.bugs

    def wait_for(self, count: int, word: str = "success", since_s: float = 0.0) -> Told:
        """Until so many were told `word` of what was asked for after `since_s`; the last one."""
        until_s = time.monotonic() + 90
        while time.monotonic() < until_s:
            found = [one for one in list(self.told) if one.word == word and one.at_s >= since_s]
            if len(found) >= count:
                return found[count - 1]
            self._stop.wait(0.02)
        raise AssertionError(f"not told {word}: {Counter(one.word for one in self.told)}")

    def desk(self, journal: PostgresJournal) -> Desk:
        profile = self._profile
        return Desk(
            profile=profile,
            secret=SECRET,
            journal=journal,
            gateway=Gateway(
                *(profile.gateway,),
                timeout=profile.timeout,
                proxy=None,
                ca=None,
                environ={},
                monotonic=time.monotonic,
            ),
            who=lambda machine_id, operator_id: Who("host", 1, machine_id, operator_id),
            now_s=time.time,
            uptime_s=time.monotonic,
            new_id=new_request_id,
            interruptible=nullcontext,
        )

    def _work(self, n: int) -> None:
        journal: PostgresJournal | None = None
        desk: Desk | None = None
        try:
            k = 0
            while not self._stop.wait(0.01):
                since_s = time.monotonic()
                try:
                    if journal is None or desk is None:
                        journal = PostgresJournal(self.url, 5, note=self.notes[n])
                        desk = self.desk(journal)
                    result = self._pay(desk, f"{n}-{k}")
                except (JournalError, Busy) as error:
                    self._say(f"{n}-{k}", error.code, None, (), since_s)
                    continue
                payment = result.payment
                word = result.outcome.value if result.outcome else "none"
                request_id = payment.request_id if payment else None
                self._say(f"{n}-{k}", word, request_id, result.warnings, since_s)
                k += word == "success"
        except BaseException as bug:  # noqa: BLE001  the test tells it
            self.bugs.append(bug)
        finally:
            if journal is not None:
                journal.close()

    def _pay(self, desk: Desk, checkout: str) -> Result:
        members = {"pay_fee": "100", "checkout_id": checkout}
        order = check(members, {}, self._profile.defaults, Limits(self._profile.max_fee))
        return pay(order, desk, frozenset())

    def _say(
        self, checkout: str, word: str, rid: str | None, warnings: tuple[str, ...], since_s: float
    ) -> None:
        took_s = time.monotonic() - since_s
        self.told.append(Told(checkout, word, rid, warnings, since_s, took_s))

    # ── when they have stopped ───────────────────────────────────────────────────────────────

    def settle(self, database: Database, url: str) -> None:
        """What is open is retried, as `retry --all` would once the leases have ended."""
        database.execute("DELETE FROM claims", url)
        with closing(PostgresJournal(url, 5)) as journal:
            desk = self.desk(journal)
            for one in list(journal.open_payments(self._profile.merchant)):
                retry(one, desk, frozenset())

    def charged_twice(self) -> list[str]:
        """The checkouts for which the platform took money more than once."""
        counts = Counter(members["checkout_id"] for members in self.gateway.charges.values())
        return [checkout for checkout, count in counts.items() if count > 1]

    def not_in(self, database: Database, url: str) -> set[str]:
        """The request_ids that were charged, and that the journal does not hold as paid."""
        rows = database.execute("SELECT request_id FROM payments WHERE paid", url)
        return set(self.gateway.charges) - {request_id for (request_id,) in rows}

    def named(self) -> set[str]:
        """What the tills name as lost, all together."""
        return {
            one.request_id for note in self.notes for one in postgres_whole.lost(self.url, note)
        }
