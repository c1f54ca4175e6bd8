"""Whether a `pay` or a `retry` may be sent now: pure, and decided inside one transaction.

What a checkout's rows allow is settled here and nowhere else. Nothing here knows a clock, a
terminal or a database.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from posctl.errors import UsageError
from posctl.hint import Say, Type
from posctl.messages import _
from posctl.money.codes import has_one_time_code
from posctl.money.order import intent
from posctl.money.outcome import State
from posctl.money.record import Checkout, Payment

AUTOMATIC_MS = 15 * 60_000  # so long posctl resends by itself (docs/outcomes.md)
BY_HAND_MS = 24 * 3_600_000  # so long a person may resend; later only a person closes it
LEAVE_WITHIN_MS = 30_000  # a shared journal's claim lasts as long, and the longest try besides
CODE_MS = 10 * 60_000  # so long after it paid a wallet's code pays nothing else
TELL_AGAIN_MS = 24 * 3_600_000  # what nobody was told is told so long; checkout numbers come round
REPEAT_MS = 60_000  # the same fee so soon again is more often Up and Enter than a second part
YOUNG_MS = 60_000  # so long after a customer's payment the next one may be the same customer's


class Block(StrEnum):
    """Why nothing is sent."""

    HELD = "held"  # another live process is sending it
    OPEN = "open_payment"  # the checkout's open payment is another one
    CONFLICT = "conflict"  # a person decides
    PAID = "already_paid"
    CODE_USED = "code_used"  # another payment carries the very code: a wallet's pays once
    OVER_DUE = "more_than_due"
    REPEAT = "same_fee_again"
    CUSTOMER_GONE = "customer_gone"  # no code in it: a late resend is a live charge
    TOO_OLD = "too_old"
    OTHER_PROFILE = "other_profile"
    RESTORED = "restored"  # a journal put back or taken over cannot know what became of it
    ALARM = "alarm"  # the platform contradicts our record of a payment: a person decides


ANOTHER = frozenset({Block.PAID, Block.OVER_DUE, Block.REPEAT})
"""What `--another` waives."""


class Ask(NamedTuple):
    """A `pay` that asks to be sent. `waived` are the blocks a person has answered for; `near` are
    the till's other payments, open or just paid, where nothing but the person at the counter can
    tell one customer from the next.
    """

    checkout: Checkout
    request_id: str | None
    wire: str
    pay_fee: int
    waived: frozenset[Block]
    now_ms: int
    near: Sequence[Payment] = ()

    def __repr__(self) -> str:
        return f"Ask({self.checkout})"  # no payment code


class Start:
    """Send it as a new payment."""


class Resume(NamedTuple):
    """Send the open payment again, under its own request_id and with its own payload."""

    payment: Payment


class Tell(NamedTuple):
    """Send nothing; tell the recorded outcome."""

    payment: Payment


class Refuse(NamedTuple):
    """Send nothing; `payment` is the one that stands in the way."""

    block: Block
    payment: Payment


class Unsure(NamedTuple):
    """Send nothing before somebody has said that this is another customer than `payment`'s."""

    payment: Payment


Decision = Start | Resume | Tell | Refuse | Unsure


def admit(
    ask: Ask,
    known: Payment | None,
    payments: Sequence[Payment],
    alarmed: Payment | None = None,
    with_code: Sequence[Payment] = (),
) -> Decision:
    """What becomes of `ask`. `known` already bears its request_id; `payments` are the checkout's;
    `with_code` those of whatever checkout that carried its wallet's code.

    Raises UsageError when its request_id belongs to another payload.
    """
    if known is not None:
        if known.checkout != ask.checkout or intent(known.pay_request) != intent(ask.wire):
            raise UsageError(
                "request_id_taken",
                _("The request_id {request_id} belongs to another payment.").format(
                    request_id=known.request_id
                ),
                (Say(_("See it:")), Type(("show", known.request_id))),
            )
        return _resume(known, ask) if known.open else Tell(known)

    for payment in payments:
        if payment.open:
            if ask.request_id is not None or intent(payment.pay_request) != intent(ask.wire):
                return Refuse(Block.OPEN, payment)
            return _resume(payment, ask)

    if ask.request_id is None and (untold := _untold(ask, payments)) is not None:
        return untold
    if alarmed is not None:
        return Refuse(Block.ALARM, alarmed)
    decision = _against_paid(ask, payments, _code_used(with_code, ask.now_ms))
    if isinstance(decision, Start) and (same := _same_customer(ask)) is not None:
        return Unsure(same)
    return decision


def _same_customer(ask: Ask) -> Payment | None:
    """Whose payment this one may well be once more: where the till numbers the checkouts itself, a
    second try of the same customer looks like the next customer. An open payment comes first.
    """
    for payment in reversed(ask.near):
        young = ask.now_ms - payment.created_ms < YOUNG_MS
        if payment.open and (payment.pay_fee == ask.pay_fee or young):
            return payment
    for payment in reversed(ask.near):
        just_paid = payment.standing.paid and ask.now_ms - payment.updated_ms < YOUNG_MS
        if just_paid and payment.pay_fee == ask.pay_fee:
            return payment
    return None


def _untold(ask: Ask, payments: Sequence[Payment]) -> Tell | Refuse | None:
    """What is to be said of the latest such payment that nobody was told of, if there is one.

    Whoever comes next says it again, also at another till or after a change of operator.
    """
    asked = _but_who(ask.wire)
    for payment in reversed(payments):
        if not payment.told and _but_who(payment.pay_request) == asked:
            if abs(ask.now_ms - (payment.closed_ms or 0)) <= TELL_AGAIN_MS:
                return Tell(payment)
            if payment.standing.paid and Block.PAID not in ask.waived:
                return Refuse(Block.PAID, payment)
            return None
    return None


def _but_who(wire: str) -> dict[str, object]:
    """What a payment is for, whoever takes it and wherever."""
    return {k: v for k, v in intent(wire).items() if k not in ("operator_id", "machine_id")}


def _code_used(with_code: Sequence[Payment], now_ms: int) -> Payment | None:
    """The payment that a wallet's code is at, or has just paid. One that closed without a charge
    did not use it; later the wallet shows another code, and this one is nobody's.
    """
    for payment in reversed(with_code):
        just_paid = payment.standing.paid and now_ms - (payment.closed_ms or 0) < CODE_MS
        if payment.open or just_paid:
            return payment
    return None


def _resume(payment: Payment, ask: Ask) -> Decision:
    refused = may_resend(payment, ask.now_ms, ask.waived)
    return Refuse(refused, payment) if refused else Resume(payment)


def may_resend(
    payment: Payment,
    now_ms: int,
    waived: frozenset[Block] = frozenset(),
    *,
    automatic: bool = False,
) -> Block | None:
    """What forbids resending an open payment, or None.

    Nobody says for how long the gateway remembers a request_id. A scanned code lives a minute and
    works once, so a late repeat with one is nearly a pure question; without one it is a live
    charge. A clock that says "before it was made" is wrong by an unknown span: that is no age
    for an automatic resend either.
    """
    if payment.standing.state is State.CONFLICT:
        return Block.CONFLICT
    age_ms = abs(now_ms - payment.created_ms)
    if age_ms > BY_HAND_MS or (automatic and age_ms > AUTOMATIC_MS):
        return Block.TOO_OLD
    if payment.for_person and (automatic or Block.RESTORED not in waived):
        return Block.RESTORED
    if (
        age_ms > AUTOMATIC_MS
        and not has_one_time_code(payment.pay_request)
        and Block.CUSTOMER_GONE not in waived
    ):
        return Block.CUSTOMER_GONE
    return None


def may_leave(payment: Payment, waited_s: float, now_ms: int) -> bool:
    """Whether the try that `payment` has just begun may still be sent: asked before its first byte.

    `waited_s` is the time since before the try was recorded, by a clock that counts the machine's
    sleep. The wall clock is asked as well, since no machine counts everything. Who waited so long
    may have lost the payment to another till, or its customer.
    """
    waited_ms = max(waited_s * 1000, now_ms - payment.updated_ms)
    return waited_ms <= LEAVE_WITHIN_MS and abs(now_ms - payment.created_ms) <= BY_HAND_MS


class Due(NamedTuple):
    """What a checkout has had and still needs, in fen.

    `remaining_fee` is None when nothing was paid yet, or when no answer told.
    """

    paid_fee: int
    remaining_fee: int | None
    last_paid: Payment | None

    @property
    def rest(self) -> int | None:
        """What a part-paid checkout still needs; None for one that is not."""
        if self.last_paid is None or self.remaining_fee is None or self.remaining_fee <= 0:
            return None
        return self.remaining_fee


def due(payments: Sequence[Payment]) -> Due:
    """Add up the paid payments of one checkout, given oldest first."""
    paid_fee = 0
    remaining: int | None = None
    last: Payment | None = None
    for payment in payments:
        if not payment.standing.paid:
            continue
        told = payment.remaining_fee
        if told is None and remaining is not None and payment.standing.state is State.RESOLVED:
            told = max(0, remaining - payment.pay_fee)  # a person said "paid", without a rest
        paid_fee += payment.fee
        remaining, last = told, payment
    return Due(paid_fee, remaining, last)


def _against_paid(ask: Ask, payments: Sequence[Payment], code_used: Payment | None) -> Decision:
    """The guard against paying again what is paid, more than is due, or with a used code."""
    already = due(payments)
    last, rest = already.last_paid, already.remaining_fee
    if last is not None and _settled(already) and Block.PAID not in ask.waived:
        return Refuse(Block.PAID, last)
    if code_used is not None:  # nobody waives that: the customer shows a fresh one
        return Refuse(Block.CODE_USED, code_used)
    if last is None or rest is None or rest <= 0:
        return Start()
    block: Block | None = None
    if ask.pay_fee > rest:
        block = Block.OVER_DUE
    elif any(
        p.standing.paid
        and p.pay_fee == ask.pay_fee
        # A moment ago: closed, or told late; also when that lies ahead of the clock.
        and ask.now_ms - p.updated_ms < REPEAT_MS
        for p in payments
    ):
        block = Block.REPEAT
    if block is None or block in ask.waived:
        return Start()
    return Refuse(block, last)


def _settled(already: Due) -> bool:
    """Whether a checkout that was paid needs no more, as far as anybody has said."""
    return already.remaining_fee is None or already.remaining_fee <= 0


def refused_before(pay_fee: int, payments: Sequence[Payment]) -> Refuse | None:
    """Why a payment of `pay_fee` fen would be refused whatever code is scanned, as soon as its
    checkout is named. What is open or was not told yet is for `admit` to say.
    """
    already = due(payments)
    last, rest = already.last_paid, already.remaining_fee
    if last is None or any(payment.open or not payment.told for payment in payments):
        return None
    if _settled(already):
        return Refuse(Block.PAID, last)
    return Refuse(Block.OVER_DUE, last) if rest is not None and pay_fee > rest else None
