"""Many open payments at once, sent and recorded by the crew: what `retry --all` and `--due` do."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from posctl.errors import PosctlError
from posctl.journal import Ahead, Transaction
from posctl.money.admit import Block, Refuse, Tell
from posctl.money.outcome import ban_s
from posctl.money.record import Payment, Try
from posctl.money.result import Result
from posctl.paying.desk import Desk
from posctl.paying.many import Done, Watch, send_all
from posctl.paying.pay import blocked, told
from posctl.paying.row import reopen, vanished

BAN_TRIES = 3  # so often one payment waits out a rate limit in one sweep

FIRST_BACKOFF_MS = 5_000
MAX_BACKOFF_MS = 120_000


def due_at_ms(payment: Payment, last: Try | None) -> int:
    """When `retry --due` resends an open payment: doubling, bounded, with jitter.

    The jitter (down to half) comes from the payment and the number of its try, so that tills that
    lost the network together do not come back together.
    """
    backoff_ms = min(FIRST_BACKOFF_MS << min(payment.tries, 10), MAX_BACKOFF_MS)
    seed = hashlib.sha256(f"{payment.request_id} {payment.tries}".encode()).digest()
    jittered_ms = backoff_ms // 2 + backoff_ms // 2 * seed[0] // 255
    ban_ms = 0
    if last is not None and last.end is not None:
        ban_ms = 1000 * (ban_s(last.end.event, last.end.code, last.end.message) or 0)
    return payment.updated_ms + max(jittered_ms, ban_ms)


class Sweep(NamedTuple):
    """How a sweep runs."""

    desk: Desk
    waived: frozenset[Block]
    automatic: bool
    watch: Watch


def sweep(request_ids: Iterable[str], how: Sweep) -> Iterator[Result]:
    """Resend open payments and yield each result once it is recorded. Ids are all that is held of
    those that wait and those that are done: there may be thousands.

    After a KeyboardInterrupt nothing new is claimed, and what is on its way is still recorded;
    after a second one it is left, unknown. Either way every payment is told as it stands, up to one
    that the journal cannot tell. Raises JournalError then.
    """
    work = _Resends(request_ids, how)
    try:
        for group in send_all(work, how.desk, how.watch):
            for done in group:
                if not work.again(done):
                    yield done.result
    except PosctlError:
        yield from work.turned_away.values()  # sent once, whatever kept them from going again
        raise
    for request_id in work.left:
        payment = how.desk.journal.payment(request_id)
        if payment is None:
            raise vanished(request_id)
        yield told(payment, how.desk)


class _Resends:
    """Open payments, by their request_ids, as work for the crew."""

    def __init__(self, request_ids: Iterable[str], how: Sweep) -> None:
        self.left = deque(request_ids)
        self.turned_away: dict[str, Result] = {}  # by a rate limit, and not sent again since
        self._bans: Counter[str] = Counter()  # how often each payment met a rate limit
        self._how = how

    def waiting(self) -> bool:
        return bool(self.left)

    def take(self, most: int) -> list[str]:
        return [self.left.popleft() for _n in range(min(most, len(self.left)))]

    def read_ahead(self, tx: Transaction, jobs: Sequence[str]) -> None:
        tx.ahead(Ahead(request_ids=jobs, to_send=True))

    def open(self, tx: Transaction, job: str) -> Payment | Tell | Refuse:
        return reopen(tx, job, self._how.desk, self._how.waived, automatic=self._how.automatic)

    def refused(self, _job: str, why: Refuse) -> Result:
        return blocked(why, None, self._how.desk)

    def again(self, done: Done[str]) -> bool:
        """Send it once more, before all others, after the ban that it met; False when it met none,
        or met one too often.
        """
        self.turned_away.pop(done.job, None)
        payment = done.result.payment
        if not done.ban_s or payment is None or not payment.open:
            return False
        self._bans[done.job] += 1
        if self._bans[done.job] > BAN_TRIES:
            return False
        self.turned_away[done.job] = done.result
        self.left.appendleft(done.job)
        return True
