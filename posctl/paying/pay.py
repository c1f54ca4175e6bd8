"""One payment, straight down: open the row → sign → send → read → close the row.

The promise: never twice, never lost. The row and its try are committed before a byte leaves, and
what happens from then on can only bring the row closer to the truth. Whether something may be sent
is `admit`'s decision, what an answer means is `outcome`'s; this file only walks the road.
"""

from contextlib import suppress

from posctl.errors import JournalError
from posctl.gateway.exchange import Exchange
from posctl.hint import Hint, Say, said
from posctl.journal import Journal, Transaction
from posctl.messages import _
from posctl.money import advice
from posctl.money.admit import Block, Refuse, Tell, due
from posctl.money.codes import codes_of
from posctl.money.order import PayRequest
from posctl.money.outcome import (
    EVENT_TABLE,
    EXIT_OF,
    FROM_ANOTHER,
    Event,
    Exit,
    Outcome,
    ban_s,
    outcome_of,
)
from posctl.money.record import Payment, TryEnd
from posctl.money.result import Asked, Result
from posctl.paying.answer import Reading, close_row, read_exchange, unrecorded
from posctl.paying.desk import (
    FIRST_PAUSE_S,
    NEXT_PAUSE_S,
    Desk,
    Patience,
    after_sending,
    form_of,
    looks_again,
)
from posctl.paying.row import checkout_of, open_order, reopen


def pay(
    order: PayRequest, desk: Desk, waived: frozenset[Block], patience: Patience | None = None
) -> Result:
    """Take one payment, resume the same one, or tell what is known.

    Without `patience` it makes at most one HTTP try. Raises UsageError for a request_id that
    another payload has, JournalError before sending, AfterSending for a bug after it.
    """
    fresh_id = desk.new_id()
    since_s = desk.uptime_s()
    begun = desk.journal.transact(lambda tx: open_order(tx, order, fresh_id, desk, waived))
    if isinstance(begun, Refuse):
        return blocked(begun, order, desk)
    if isinstance(begun, Tell):
        return _used_up(told(begun.payment, desk), order, sent=False)
    resumed = begun.tries > 1
    set_aside = resumed and order.codes and order.codes != codes_of(begun.pay_request)
    notes = ("code_set_aside",) if set_aside else ()
    result = _until_settled(begun, since_s, desk, patience, notes, resumed=resumed)
    return _used_up(result, order, sent=True)


def retry(
    payment: Payment,
    desk: Desk,
    waived: frozenset[Block],
    patience: Patience | None = None,
    *,
    automatic: bool = False,
) -> Result:
    """Resend an open payment with its own request_id and payload, or tell how it was closed."""
    since_s = desk.uptime_s()
    begun = desk.journal.transact(
        lambda tx: reopen(tx, payment.request_id, desk, waived, automatic=automatic)
    )
    if isinstance(begun, Refuse):
        return blocked(begun, None, desk)
    if isinstance(begun, Tell):
        return told(begun.payment, desk)
    return _until_settled(begun, since_s, desk, patience, (), resumed=True)


def _until_settled(
    begun: Payment,
    since_s: float,
    desk: Desk,
    patience: Patience | None,
    notes: tuple[str, ...],
    *,
    resumed: bool,
) -> Result:
    """Send; with patience go on asking while the outcome is open. Holds the payment meanwhile.

    `since_s` is when the try was begun, before its record, by `Desk.uptime_s`.
    """
    try:
        result, end = _send(begun, since_s, desk, notes, resumed=resumed)
        if patience is None:
            return result
        deadline = patience.monotonic() + patience.wait_s
        pause_s = FIRST_PAUSE_S
        while result.outcome in (Outcome.PENDING, Outcome.UNKNOWN) and result.payment:
            left_s = deadline - patience.monotonic()
            ban = ban_s(end.event, end.code, end.message) or 0
            if left_s <= 0 or ban > left_s:
                return result
            try:
                patience.pause(min(max(pause_s, ban), left_s), result)
                since_s = desk.uptime_s()
                again = _ask_again(result.payment, desk)
            except (KeyboardInterrupt, JournalError):
                return result  # the last record says what is known, and so does the exit code
            if isinstance(again, Tell):
                return told(again.payment, desk)
            if isinstance(again, Refuse):
                return result
            result, end = _send(again, since_s, desk, notes, resumed=resumed)
            pause_s = NEXT_PAUSE_S
        return result
    finally:
        desk.journal.let_go(begun)


def told(payment: Payment, desk: Desk) -> Result:
    """What is recorded once more; nothing is sent."""
    # How its last try ended adds nothing to a success.
    is_success = outcome_of(payment.standing) is Outcome.SUCCESS
    last = None if is_success else desk.journal.last_try(payment)
    notes = () if payment.told or payment.open else ("told_late",)
    end, remaining_fee = last.end if last else None, due_if_known(payment, desk)
    return as_result(payment, end, notes, remaining_fee, resumed=True)


def _used_up(result: Result, order: PayRequest, *, sent: bool) -> Result:
    """A payment that closed without a charge under its own request_id: the same command again would
    tell it once more, and not pay.
    """
    closed = result.payment is not None and not result.payment.open
    if order.request_id is None or result.problem is None or not closed:
        return result
    if sent:
        new = Say(_("With a new request_id: this one is used up."))
        hint: Hint = (*result.problem.hint, new)
    else:
        hint = said(_("Nothing was sent: this request_id is used up. Pay with a new one."))
    return result._replace(problem=result.problem._replace(hint=hint))


def _ask_again(payment: Payment, desk: Desk) -> Payment | Tell | Refuse:
    return desk.journal.transact(
        lambda tx: reopen(tx, payment.request_id, desk, frozenset(), automatic=True)
    )


# ── the wire ─────────────────────────────────────────────────────────────────────────────────


def _send(
    payment: Payment, since_s: float, desk: Desk, notes: tuple[str, ...], *, resumed: bool
) -> tuple[Result, TryEnd]:
    """One HTTP try of a payment whose row says `sending`, its record, and what to tell."""
    form = form_of(payment, desk)
    sent = looks_again(payment, since_s, desk)
    interrupted = False
    try:
        with desk.interruptible():
            exchange = desk.gateway.post(form, sent)
    except KeyboardInterrupt:
        # It may come at any point, even when the answer is just in: only `sent` knows.
        interrupted = True
        event = Event.INTERRUPTED if sent.may_have_left else Event.INTERRUPTED_UNSENT
        exchange = Exchange(event, sent.may_have_left)
    try:
        reading = read_exchange(payment, exchange, desk.now_ms(), desk.profile.decline_codes)
        reading = reading._replace(connection=sent.connection)
        recorded = _record(payment, reading, desk)
        if recorded is None:
            notes = (*notes, "not_recorded")
            payment, end = unrecorded(payment, reading), reading.end
            remaining_fee = payment.remaining_fee
        else:
            payment, end, remaining_fee = recorded
        result = as_result(payment, end, notes, remaining_fee, resumed=resumed)
    except Exception as bug:
        raise after_sending(payment.request_id, advice.next_step(payment)) from bug
    if interrupted and result.outcome is Outcome.NOT_SENT:
        result = result._replace(exit_code=Exit.INTERRUPTED)
    return result, end


def _record(
    payment: Payment, reading: Reading, desk: Desk
) -> tuple[Payment, TryEnd, int | None] | None:
    """Write the answer down; the row, the answer as it counts and what is still due. None when that
    failed: the verdict is worth telling even then, and the row still reads as unknown.
    """

    def close(tx: Transaction) -> tuple[Payment, Reading, int | None]:
        closed, counted = close_row(tx, payment, reading)
        return closed, counted, still_due(closed, tx)

    try:
        closed, counted, remaining_fee = desk.journal.transact(close)
    except JournalError:
        return None
    if counted.end.event in FROM_ANOTHER:
        desk.gateway.mistrust(counted.connection)
    if not closed.open and codes_of(payment.pay_request):
        with suppress(JournalError):  # the next command that closes a payment catches up
            desk.journal.forget_codes()
    return closed, counted.end, remaining_fee


# ── what to tell ─────────────────────────────────────────────────────────────────────────────


def as_result(
    payment: Payment,
    end: TryEnd | None,
    notes: tuple[str, ...],
    remaining_fee: int | None,
    *,
    resumed: bool,
) -> Result:
    """What to tell of a payment; `end` is how its latest try ended, `remaining_fee` what its
    checkout still needs, in fen.
    """
    outcome = outcome_of(payment.standing)
    warnings = [advice.warning(code) for code in (*payment.warnings, *notes)]
    if outcome is Outcome.PENDING and end and EVENT_TABLE[end.event] is not Outcome.PENDING:
        warnings.append(advice.try_warning(end))
    return Result(
        exit_code=EXIT_OF[outcome],
        outcome=outcome,
        payment=payment,
        resumed=resumed,
        remaining_fee=remaining_fee,
        warnings=tuple(warnings),
        problem=advice.problem_of(payment, end),
    )


def still_due(payment: Payment, journal: Journal | Transaction) -> int | None:
    """Fen: what is due is stated by a success only, this one or the last one on this checkout.

    Raises JournalError.
    """
    if payment.standing.paid:
        return payment.remaining_fee
    return due(journal.payments_of(payment.checkout)).remaining_fee


def due_if_known(payment: Payment, desk: Desk) -> int | None:
    """The same outside a transaction: None, too, where the journal does not say."""
    with suppress(JournalError):
        return still_due(payment, desk.journal)
    return None


def blocked(refuse: Refuse, order: PayRequest | None, desk: Desk) -> Result:
    by = refuse.payment
    # Another checkout's payment may stand in the way: it has the code.
    checkout = checkout_of(order, desk.profile) if order else by.checkout
    already = due(desk.journal.payments_of(checkout))
    return Result(
        exit_code=Exit.BLOCKED,
        outcome=Outcome.BLOCKED,
        asked=Asked(
            request_id=order.request_id if order else by.request_id,
            shop_id=checkout.shop_id,
            checkout_id=checkout.checkout_id,
            order_id=str(order.members["order_id"]) if order else by.order_id,
            pay_fee=order.pay_fee if order else by.pay_fee,
        ),
        remaining_fee=already.remaining_fee,
        blocked_by=by,
        problem=advice.blocked(
            refuse.block,
            by,
            holder=desk.journal.last_try(by),
            due_fee=already.remaining_fee,
            profiles=desk.profiles,
        ),
    )
