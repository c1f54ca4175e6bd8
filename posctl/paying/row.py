"""The row of a payment and its try: decided by `admit`, and committed before a byte leaves."""

import hashlib
import hmac
from collections.abc import Sequence

from posctl.config.profile import Profile
from posctl.errors import Busy, JournalError
from posctl.journal import Ahead, Journal, Transaction
from posctl.messages import _
from posctl.money.admit import Ask, Block, Refuse, Resume, Start, Tell, Unsure, admit, may_resend
from posctl.money.codes import on_training_sheet, one_time_code
from posctl.money.order import PayRequest
from posctl.money.outcome import State
from posctl.money.record import Checkout, NewPayment, Payment
from posctl.paying.desk import Desk


def checkout_of(order: PayRequest, profile: Profile) -> Checkout:
    """What the checkout of `order` is known by."""
    return Checkout(*profile.merchant, order.shop_id, order.checkout_id)


def _new(
    order: PayRequest, ask: Ask, request_id: str, code_hash: str | None, desk: Desk
) -> NewPayment:
    return NewPayment(
        request_id=request_id,
        profile=desk.profile.name,
        gateway=desk.profile.gateway,
        app_key=desk.profile.app_key,
        checkout=ask.checkout,
        order_id=str(order.members["order_id"]),
        operator_id=str(order.members["operator_id"]),
        machine_id=str(order.members["machine_id"]),
        pay_channel=str(order.members["pay_channel"]),
        pay_fee=order.pay_fee,
        pay_request=ask.wire,
        created_ms=ask.now_ms,
        own_id=order.request_id is None,
        code_hash=code_hash,
    )


def open_order(
    tx: Transaction, order: PayRequest, fresh_id: str, desk: Desk, waived: frozenset[Block]
) -> Payment | Tell | Refuse:
    """Open a row for `order` and its try, or those of the open payment that it resumes.

    `fresh_id` is for an order without a request_id. Raises UsageError for a request_id that
    another payload has.
    """
    begun = open_near(tx, order, fresh_id, desk, waived, ())
    assert not isinstance(begun, Unsure)  # noqa: S101  nothing is near
    return begun


def open_near(
    tx: Transaction,
    order: PayRequest,
    fresh_id: str,
    desk: Desk,
    waived: frozenset[Block],
    near: Sequence[Payment],
) -> Payment | Tell | Refuse | Unsure:
    """As `open_order`, at a till whose payments `near`, oldest first, may be this very one."""
    checkout = checkout_of(order, desk.profile)
    request_id = order.request_id or fresh_id
    wire = order.wire(request_id)
    ask = Ask(checkout, order.request_id, wire, order.pay_fee, waived, desk.now_ms(), near)
    read_ahead(tx, (order,), desk.profile)
    known = tx.payment(order.request_id) if order.request_id else None
    code_hash = _code_hash(tx, order, desk.profile)
    with_code = tx.with_code(code_hash) if code_hash else []
    decision = admit(ask, known, tx.payments_of(checkout), tx.alarmed(checkout), with_code)
    if isinstance(decision, Start):
        begun = _begin(tx, tx.insert(_new(order, ask, request_id, code_hash, desk)), desk)
        if isinstance(begun, Refuse):  # somebody holds the number of a row that was rolled back
            raise Busy(
                "held",
                _("Another posctl keeps this journal busy."),
                _("Run the same command again."),
            )
        return begun
    if isinstance(decision, Resume):
        return _begin(tx, decision.payment, desk)
    return decision


def read_ahead(
    tx: Transaction, orders: Sequence[PayRequest], profile: Profile, *, to_send: bool = False
) -> None:
    """Ask for all that opening rows for `orders` asks for; with `to_send`, claim those that are
    open.
    """
    hashes = [_code_hash(tx, order, profile) for order in orders]
    tx.ahead(
        Ahead(
            request_ids=[order.request_id for order in orders if order.request_id],
            checkouts=[checkout_of(order, profile) for order in orders],
            code_hashes=[one for one in hashes if one],
            new=len(orders),
            to_send=to_send,
        )
    )


def _code_hash(tx: Transaction, order: PayRequest, profile: Profile) -> str | None:
    """What the journal knows a wallet's code by. Training never meets live."""
    code = one_time_code(order.members)
    if code is None or (not profile.live and on_training_sheet(code)):
        return None
    told_apart = f"{'live' if profile.live else 'training'} {code}"
    return hmac.new(tx.code_key(), told_apart.encode(), hashlib.sha256).hexdigest()


def _begin(tx: Transaction, payment: Payment, desk: Desk) -> Payment | Refuse:
    """Claim the payment and write its try; from this commit on it counts as sent."""
    if not tx.hold(payment):
        return Refuse(Block.HELD, payment)
    who = desk.who(payment.machine_id, payment.operator_id)
    return tx.start_try(payment, who, desk.now_ms())


def reopen(
    tx: Transaction, request_id: str, desk: Desk, waived: frozenset[Block], *, automatic: bool
) -> Payment | Tell | Refuse:
    """Claim a payment that was open a moment ago for one more try. Raises JournalError."""
    current = tx.payment(request_id)
    if current is None:
        raise vanished(request_id)
    if not current.open:
        return Tell(current)
    if current.checkout.merchant != desk.profile.merchant:
        return Refuse(Block.OTHER_PROFILE, current)
    refused = may_resend(current, desk.now_ms(), waived, automatic=automatic)
    return Refuse(refused, current) if refused else _begin(tx, current, desk)


def is_being_sent(payment: Payment, journal: Journal) -> bool:
    """Whether another process is sending `payment` at this moment: what anybody sees or hears of it
    now is older than what that may charge. Raises JournalError.
    """
    if payment.standing.state is not State.SENDING:
        return False
    if not journal.transact(lambda tx: tx.hold(payment)):
        return True
    journal.let_go(payment)
    return False


def vanished(request_id: str) -> JournalError:
    """What to tell of a payment that was in the journal a moment ago."""
    return JournalError(
        "journal_replaced",
        _("The journal does not hold the payment {request_id} any more.").format(
            request_id=request_id
        ),
        _("Put it back, or restore a backup, before anything is paid."),
    )
