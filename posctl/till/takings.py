"""What was paid at this till: the receipts, and the sum of the running shift or of today."""

from __future__ import annotations

from contextlib import suppress

from posctl.errors import JournalError
from posctl.money.outcome import Outcome
from posctl.money.record import RUNNING_SHIFT, Payment
from posctl.paying.desk import Desk
from posctl.till.cashier import Cashier
from posctl.times import DAY_MS, date, day_span

_LONGEST_SHIFT_MS = 7 * DAY_MS  # what was paid earlier is not counted again at each start


class Takings:
    """Fees in fen. `in_shift` is whether the sum is the running shift's, or today's."""

    def __init__(self, desk: Desk, cashier: Cashier) -> None:
        self._desk, self._cashier = desk, cashier
        self.receipts: list[Payment] = []  # what was paid here, the latest last
        self.paid_fee = 0
        self._paid: dict[str, int] = {}  # fen by request_id
        self._span: tuple[str, int] = ("", 0)  # the day, and the shift that was closed last

    @property
    def in_shift(self) -> bool:
        """Whether a shift was ever closed."""
        return self._span[1] > 0

    @property
    def paid(self) -> int:
        """How many payments the sum is of."""
        return len(self._paid)

    def recent(self) -> list[Payment]:
        """The payments of this till since yesterday, oldest first."""
        since_ms = self._desk.now_ms() - DAY_MS
        return list(self._desk.journal.history(self._cashier.here(since_ms)))[::-1]

    def last_operator(self) -> str | None:
        """Who took the last payment of the running shift that is settled, since yesterday."""
        since_ms = self._desk.now_ms() - DAY_MS
        which = self._cashier.here(since_ms)._replace(shift=RUNNING_SHIFT)
        last = next(iter(self._desk.journal.history(which)), None)
        return last.operator_id if last else None

    def paid_before(self, recent: list[Payment]) -> None:
        """These were paid here before the till began, and told then."""
        told_now = {payment.request_id for payment in self.receipts}
        paid = [p for p in recent if p.standing.paid and p.request_id not in told_now]
        self.receipts = [*paid, *self.receipts]

    def take(self, payment: Payment) -> None:
        """Count a paid payment, once."""
        self.receipts = [p for p in self.receipts if p.request_id != payment.request_id]
        self.receipts.append(payment)
        self.paid_fee += payment.fee - self._paid.get(payment.request_id, 0)
        self._paid[payment.request_id] = payment.fee

    def bring_up(self) -> None:
        """Count anew when the day or the shift is another one, or the first."""
        day = date(self._desk.now_ms())
        with suppress(JournalError):  # then it is counted later
            closed = self._desk.journal.shift(self._desk.profile.merchant)
            span = (day, closed.number if closed else 0)
            if span != self._span:
                self._count(day, in_shift=closed is not None)
                self._span = span

    def _count(self, day: str, *, in_shift: bool) -> None:
        midnight_ms, _end = day_span(day, self._desk.now_s())
        which = self._cashier.here(midnight_ms)
        if in_shift:
            since_ms = midnight_ms - _LONGEST_SHIFT_MS
            which = self._cashier.here(since_ms)._replace(shift=RUNNING_SHIFT)
        found = self._desk.journal.history(which._replace(outcome=Outcome.SUCCESS))
        self._paid = {payment.request_id: payment.fee for payment in found}
        self.paid_fee = sum(self._paid.values())
