"""What a recorded payment says of itself: what was charged, what is due, how it was booked."""

from __future__ import annotations

import pytest
from scenes import payment

from posctl.money.outcome import Doubt, Event, Standing, State
from posctl.money.record import Payment, Verdict

PAID = Verdict(result_status=1, remaining_fee=50, current_pay_fee=90)
DECLINED = Verdict(result_status=2, remaining_fee=50, current_pay_fee=90)
BY_HAND = Standing(State.RESOLVED, paid=True)
LOST = payment(Event.READ_TIMEOUT, fee=100, verdict=PAID)

# What it says: `fee`, `charged_fee`, `remaining_fee`.
FEES: dict[str, tuple[Payment, int, int | None, int | None]] = {
    "paid": (payment(Event.PAID, fee=100, verdict=PAID), 90, 90, 50),
    "paid, and no fee was said": (
        payment(Event.PAID, fee=100, verdict=PAID._replace(current_pay_fee=None)), 100, None, 50,
    ),
    "declined, with numbers": (payment(Event.FAILED, fee=100, verdict=DECLINED), 100, None, None),
    "declined, and the platform says paid": (
        payment(Event.FAILED, fee=100, verdict=PAID), 100, 90, None,
    ),
    "open": (LOST, 100, 90, None),
    "a person says paid": (payment(None, fee=100, standing=BY_HAND), 100, None, None),
    "a person says paid, against a decline": (
        payment(None, fee=100, standing=BY_HAND, verdict=DECLINED), 100, None, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("one", "fee", "charged", "rest"), FEES.values(), ids=FEES)
def test_what_was_charged_and_what_is_due(
    one: Payment, fee: int, charged: int | None, rest: int | None
) -> None:
    """Numbers count where the platform said "paid", and what is due where that was believed."""
    assert (one.fee, one.charged_fee, one.remaining_fee) == (fee, charged, rest)


def test_a_payment_is_open_until_it_is_closed() -> None:
    """Whatever its state is called: the time it was closed decides."""
    assert LOST.open
    assert not LOST._replace(closed_ms=LOST.updated_ms).open
    assert LOST.live
    assert not payment(None, live=False).live


def test_a_corrected_payment_as_it_was_booked() -> None:
    """A closed shift has a payment for ever as it was closed; one that nobody corrected is that."""
    booked = Standing(State.FAIL, Doubt.UNKNOWN, paid=False)
    corrected = payment(None, standing=BY_HAND)._replace(booked=booked)
    assert corrected.as_booked == corrected._replace(standing=booked)
    assert LOST.as_booked is LOST


def test_a_payment_names_no_code_when_it_is_printed() -> None:
    """Its id and its state, in case it ends up in an error."""
    assert repr(LOST) == f"Payment({LOST.request_id}, unknown)"
