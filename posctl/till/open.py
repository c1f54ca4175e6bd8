"""What is open at a till, when it is to be asked about, and what is part-paid. By number; pure."""

from __future__ import annotations

from collections.abc import Container, Iterator
from math import inf
from typing import NamedTuple

from posctl.money.admit import Due
from posctl.money.outcome import Outcome, outcome_of
from posctl.money.record import Checkout, Payment
from posctl.paying.desk import FIRST_PAUSE_S, NEXT_PAUSE_S

LATER_PAUSE_S = 15.0
MANY_ASKS = 12  # a minute of questions; then they come less often


class Open(NamedTuple):
    """An open payment. `number` is its own as long as the till runs; `asks` is how often it was
    answered; `next_s` is when it is asked about, inf for never, in seconds of the till's clock.
    """

    number: int
    payment: Payment
    asks: int = 0
    next_s: float = inf


class OpenPayments:
    """The list, oldest number first."""

    def __init__(self) -> None:
        self._by_id: dict[str, Open] = {}
        self._last_number = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Open]:
        return iter(list(self._by_id.values()))

    def get(self, request_id: str | None) -> Open | None:
        """The open payment with this id."""
        return self._by_id.get(request_id or "")

    def find(self, number: int | None) -> Open | None:
        """The open payment with this number; without one, the latest."""
        if number is None:
            return next(reversed(self._by_id.values()), None)
        return next((one for one in self if one.number == number), None)

    def enter(self, payment: Payment) -> Open:
        """Give a number to a payment that is on its way: how it stands, its answer will say."""
        self._last_number += 1
        one = self._by_id[payment.request_id] = Open(self._last_number, payment)
        return one

    def put(self, payment: Payment, now_s: float, ban_s: float = 0) -> None:
        """Take in how a payment stands now: it was just asked about. `ban_s` is a rate limit's."""
        if not payment.open:
            self._by_id.pop(payment.request_id, None)
            return
        before = self._by_id.get(payment.request_id)
        if before is None:
            before = self.enter(payment)
        pause_s = (
            FIRST_PAUSE_S
            if before.asks == 0
            else NEXT_PAUSE_S
            if before.asks < MANY_ASKS
            else LATER_PAUSE_S
        )
        conflict = outcome_of(payment.standing) is Outcome.CONFLICT
        next_s = inf if conflict else now_s + max(pause_s, ban_s)
        self._by_id[payment.request_id] = before._replace(
            payment=payment, asks=before.asks + 1, next_s=next_s
        )

    def ask_at(self, request_id: str, next_s: float) -> None:
        """Ask about it then."""
        if request_id in self._by_id:
            self._by_id[request_id] = self._by_id[request_id]._replace(next_s=next_s)

    def due(self, now_s: float, on_their_way: Container[str]) -> list[Payment]:
        """Whose turn it is."""
        return [
            one.payment
            for one in self
            if one.next_s <= now_s and one.payment.request_id not in on_their_way
        ]

    def next_s(self, on_their_way: Container[str]) -> float:
        """When the next one's turn is."""
        times = (one.next_s for one in self if one.payment.request_id not in on_their_way)
        return min(times, default=inf)


class Rest(NamedTuple):
    """A part-paid checkout. `number` is its own as long as the till runs; fees in fen."""

    number: int
    checkout: Checkout
    paid_fee: int
    remaining_fee: int


class Rests:
    """The part-paid checkouts, in the order in which they became so."""

    def __init__(self) -> None:
        self._by_checkout: dict[Checkout, Rest] = {}
        self._last_number = 0

    def __len__(self) -> int:
        return len(self._by_checkout)

    def __iter__(self) -> Iterator[Rest]:
        return iter(list(self._by_checkout.values()))

    def __contains__(self, checkout: Checkout) -> bool:
        return checkout in self._by_checkout

    def find(self, number: int | None) -> Rest | None:
        """The one with this number; without one, the latest."""
        if number is None:
            return next(reversed(self._by_checkout.values()), None)
        return next((one for one in self if one.number == number), None)

    def of(self, checkout_id: str) -> Rest | None:
        """The one of this checkout."""
        return next((one for one in self if one.checkout.checkout_id == checkout_id), None)

    def put(self, checkout: Checkout, due: Due) -> None:
        """Take in what a checkout still needs."""
        if due.rest is None:
            self._by_checkout.pop(checkout, None)
            return
        known = self._by_checkout.get(checkout)
        if known is None:
            self._last_number += 1
        number = known.number if known else self._last_number
        self._by_checkout[checkout] = Rest(number, checkout, due.paid_fee, due.rest)
