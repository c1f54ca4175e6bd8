"""Checkouts of which a part is paid: the one place for the till and the report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from posctl.money.admit import Due, due

if TYPE_CHECKING:
    from posctl.journal import Journal, Transaction
    from posctl.money.record import Checkout, Payment


def part_paid(
    payments: Iterable[Payment], journal: Journal | Transaction
) -> Iterator[tuple[Checkout, Due]]:
    """The checkouts of `payments` that still need something, whoever has paid a part of them.
    Raises JournalError.
    """
    found = [one.checkout for one in payments if one.standing.paid and one.remaining_fee]
    for checkout in dict.fromkeys(found):
        now = due(journal.payments_of(checkout))
        if now.rest is not None:
            yield checkout, now
