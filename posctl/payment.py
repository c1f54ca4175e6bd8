"""One payment, straight down: open the row → sign → send → read → close the row.

The promise: never twice, never lost. The row and its try are committed before a byte leaves, and
what happens from then on can only bring the row closer to the truth. Whether something may be sent
is `admit`'s decision, what an answer means is `outcome`'s; this file only walks the road.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, suppress
from typing import NamedTuple, Protocol

from posctl import advice
from posctl.admit import (
    Ask,
    Block,
    Refuse,
    Resume,
    Start,
    Tell,
    admit,
    due,
    may_leave,
    may_resend,
)
from posctl.errors import AfterSending, Busy, JournalError
from posctl.exchange import Exchange, Sent
from posctl.hint import Hint, Say, said
from posctl.journal import Journal, NewPayment, Payment, Transaction, TryEnd, Verdict, Who
from posctl.messages import _
from posctl.order import (
    PayRequest,
    codes_of,
    on_training_sheet,
    one_time_code,
    wallet_codes_in,
    without_codes,
)
from posctl.outcome import (
    EVENT_TABLE,
    EXIT_OF,
    FROM_ANOTHER,
    Doubt,
    Event,
    Exit,
    Outcome,
    Standing,
    State,
    advance,
    ban_s,
    contradicts,
    outcome_of,
    read_event,
)
from posctl.profiles import Profile
from posctl.record import Checkout
from posctl.result import Asked, Result
from posctl.top import (
    PAY_METHOD,
    Answer,
    ErrorAnswer,
    Reply,
    Unreadable,
    read_reply,
    signed_form,
)

MAX_RAW = 16_384  # characters of an answer that the journal keeps


class Post(Protocol):
    """What payment needs of a gateway."""

    def post(self, form: bytes, sent: Sent) -> Exchange: ...

    def mistrust(self, connection: int) -> None: ...

    def trusts(self, connection: int) -> bool: ...


class Desk(NamedTuple):
    """Everything a payment needs besides itself, passed in: who, where, when, how.

    `profiles` are all of the configuration: what another one reaches is told with its name.
    `now_s` is the wall clock, `uptime_s` one that never goes back and counts the machine's sleep.
    `interruptible` is entered around the network: only there does Ctrl-C take effect, so that it
    can never fall between an answer and its record.
    """

    profile: Profile
    secret: str
    journal: Journal
    gateway: Post
    who: Callable[[str, str], Who]
    now_s: Callable[[], float]
    uptime_s: Callable[[], float]
    new_id: Callable[[], str]
    interruptible: Callable[[], AbstractContextManager[None]]
    profiles: Sequence[Profile] = ()

    def now_ms(self) -> int:
        return int(self.now_s() * 1000)

    def __repr__(self) -> str:
        return f"Desk({self.profile.name})"


class Patience(NamedTuple):
    """How long `--wait` goes on asking. `pause(seconds, result)` sleeps, and may show it; it lets
    a KeyboardInterrupt through.
    """

    wait_s: float
    monotonic: Callable[[], float]
    pause: Callable[[float, Result], None]


FIRST_PAUSE_S = 2.0
NEXT_PAUSE_S = 5.0


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
    last = desk.journal.last_try(payment)
    notes = () if payment.told or payment.open else ("told_late",)
    return as_result(payment, last.end if last else None, notes, desk, resumed=True)


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


def checkout_of(order: PayRequest, profile: Profile) -> Checkout:
    """What the checkout of `order` is known by."""
    return Checkout(*profile.merchant, order.shop_id, order.checkout_id)


# ── the row ──────────────────────────────────────────────────────────────────────────────────


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
    checkout = checkout_of(order, desk.profile)
    request_id = order.request_id or fresh_id
    wire = order.wire(request_id)
    ask = Ask(checkout, order.request_id, wire, order.pay_fee, waived, desk.now_ms())
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


def vanished(request_id: str) -> JournalError:
    """What to tell of a payment that was in the journal a moment ago."""
    return JournalError(
        "journal_replaced",
        _("The journal does not hold the payment {request_id} any more.").format(
            request_id=request_id
        ),
        _("Put it back, or restore a backup, before anything is paid."),
    )


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
        payment, end, recorded = _record(payment, reading, desk)
        if not recorded:
            notes = (*notes, "not_recorded")
        result = as_result(payment, end, notes, desk, resumed=resumed)
    except Exception as bug:
        raise after_sending(payment.request_id, advice.next_step(payment)) from bug
    if interrupted and result.outcome is Outcome.NOT_SENT:
        result = result._replace(exit_code=Exit.INTERRUPTED)
    return result, end


def looks_again(payment: Payment, since_s: float, desk: Desk) -> Sent:
    """The `Sent` of a try begun at `since_s`: between the commit and the first byte lies whatever
    a machine can do, such as a closed lid, and a payment that somebody else may have now must not
    leave.
    """
    return Sent(lambda: may_leave(payment, desk.uptime_s() - since_s, desk.now_ms()))


def after_sending(request_id: str, hint: Hint) -> AfterSending:
    """What to tell of a bug met when a request may have left."""
    return AfterSending(
        request_id,
        _("posctl met an error of its own after sending. The customer may have been charged."),
        hint,
    )


def form_of(payment: Payment, desk: Desk) -> bytes:
    """The signed form of one try: the recorded payload, a fresh timestamp."""
    return signed_form(
        PAY_METHOD,
        {"shop_id": payment.checkout.shop_id, "pay_request": payment.pay_request},
        app_key=desk.profile.app_key,
        secret=desk.secret,
        sign_method=desk.profile.sign_method,
        session=desk.profile.session,
        now_s=desk.now_s(),
    )


class Reading(NamedTuple):
    """What one exchange says about a payment, before it is written down."""

    end: TryEnd
    verdict: Verdict
    connection: int = 0  # that it came over


def read_exchange(
    payment: Payment, exchange: Exchange, now_ms: int, declines: Collection[str] = ()
) -> Reading:
    """Read what came back, or how nothing came back; `declines` are the profile's."""
    codes = codes_of(payment.pay_request)
    reply = read_reply(exchange.body, PAY_METHOD) if exchange.body is not None else None
    if reply is not None:
        codes += _others_codes(exchange.body, reply, payment)
        reply = forget_codes(reply, codes)
    end = try_end(exchange, reply, payment, now_ms, declines, codes)
    anothers = end.event is Event.ANOTHERS
    return Reading(end, payment.verdict if anothers else _verdict(reply, payment))


def _others_codes(body: bytes | None, reply: Reply, payment: Payment) -> tuple[str, ...]:
    """What looks like a wallet's code in an answer, and is none of the numbers that it may name: it
    can be the answer to a payment that this journal does not know, and so another customer's.
    """
    names = {payment.request_id, payment.order_id, payment.checkout.checkout_id}
    if isinstance(reply, Answer):
        names |= {str(reply.text(name)) for name in _NUMBERS}
    return tuple(wallet_codes_in((body or b"").decode("utf-8", "replace")) - names)


_NUMBERS = ("payment_order_id", "channel_order_id")
_KEPT_TEXTS = ("payment_order_id", "channel_order_id", "result_code", "result_message")


def forget_codes(reply: Reply, codes: tuple[str, ...]) -> Reply:
    """`reply` without the payment codes that it may echo in any text that is kept or shown."""
    if not codes or isinstance(reply, Unreadable):
        return reply
    if isinstance(reply, ErrorAnswer):
        return reply._replace(
            code=None if str(reply.code) in codes else reply.code,
            msg=clean(reply.msg, codes),
            sub_code=clean(reply.sub_code, codes),
            sub_msg=clean(reply.sub_msg, codes),
            trace_id=clean(reply.trace_id, codes),
        )
    kept = {name: clean(reply.text(name), codes) for name in _KEPT_TEXTS}
    model = reply.model or {}
    numbers = {name: None for name in model if str(reply.number(name)) in codes}
    return reply._replace(
        model=None if reply.model is None else {**model, **numbers, **kept},
        msg_code=clean(reply.msg_code, codes),
        msg_info=clean(reply.msg_info, codes),
        trace_id=clean(reply.trace_id, codes),
    )


def close_row(tx: Transaction, payment: Payment, reading: Reading) -> tuple[Payment, Reading]:
    """Write down how a try of `payment` ended, inside a transaction; what counts of `reading`."""
    current = tx.payment(payment.request_id)
    if current is None:
        raise vanished(payment.request_id)
    reading = _against_others(tx, current, reading)
    end = reading.end
    if not current.open:  # somebody closed it while we were on the wire
        tx.end_try(current, end)
        if not contradicts(current.standing, end.event):
            return current, reading
        tx.raise_alarm(current, end.event, advice.what_happened(end), end.finished_ms)
        # The record of the first stays; this run tells what it has seen: two answers.
        return current._replace(standing=Standing(State.CONFLICT)), reading
    standing = advance(current.standing, end.event, own_id=current.own_id)
    warnings = _verdict_warnings(payment, reading.verdict, tx) if standing.paid else ()
    return tx.finish_try(current, end, standing, reading.verdict, warnings), reading


# So little tells no payment from another.
_NO_VOUCHERS = frozenset({"0", "-", "null", "none"})


def _against_others(tx: Transaction, payment: Payment, reading: Reading) -> Reading:
    """`reading`, unless its voucher belongs to a payment of another checkout: a stale answer on a
    kept connection, or a cache. Then nothing that it says counts.
    """
    told, known = reading.verdict, payment.verdict
    vouchers = {told.payment_order_id, told.channel_order_id} - {
        known.payment_order_id,
        known.channel_order_id,
    }
    news = [one for one in vouchers if one and one.lower() not in _NO_VOUCHERS]
    if not news or not tx.voucher_elsewhere(payment.checkout, news):
        return reading
    end = reading.end._replace(event=Event.VOUCHER_ELSEWHERE)
    return reading._replace(end=_without_words(end), verdict=known)


def believed(payment: Payment, reading: Reading, desk: Desk) -> Reading:
    """`reading`, unless it came over a connection that gave another payment's answer before: then
    this one is, likely, one of another payment, too, and it is as if none had come.
    """
    if desk.gateway.trusts(reading.connection):
        return reading
    end = _without_words(reading.end)._replace(event=Event.CUT)
    return reading._replace(end=end, verdict=payment.verdict)


def _without_words(end: TryEnd) -> TryEnd:
    """`end` of an answer that is another payment's: its words may hold another customer's code."""
    return end._replace(code=None, sub_code=None, message=None, raw=None)


def unrecorded(payment: Payment, reading: Reading) -> Payment:
    """How to tell of `payment` when the journal could not take the answer in.

    Its row stays open and may be resent. So nobody is told "not charged", which must stay true.
    """
    standing = advance(payment.standing, reading.end.event, own_id=payment.own_id)
    if standing.paid is False:
        standing = Standing(State.UNKNOWN, Doubt.UNKNOWN)
    return payment._replace(standing=standing, verdict=reading.verdict)


def _record(payment: Payment, reading: Reading, desk: Desk) -> tuple[Payment, TryEnd, bool]:
    """Write the answer down; False when that failed.

    The verdict is worth telling even then, and the row still reads as unknown.
    """
    try:
        closed, reading = desk.journal.transact(lambda tx: close_row(tx, payment, reading))
    except JournalError:
        return unrecorded(payment, reading), reading.end, False
    if reading.end.event in FROM_ANOTHER:
        desk.gateway.mistrust(reading.connection)
    if not closed.open and codes_of(payment.pay_request):
        with suppress(JournalError):  # the next command that closes a payment catches up
            desk.journal.forget_codes()
    return closed, reading.end, True


def try_end(
    exchange: Exchange,
    reply: Reply | None,
    payment: Payment,
    now_ms: int,
    declines: Collection[str] = (),
    codes: tuple[str, ...] = (),
) -> TryEnd:
    """How a try ended, with the other side's words, which are kept without `codes`."""
    event = exchange.event
    if event is None and reply is not None and exchange.http_status is not None:
        event = read_event(
            reply,
            exchange.http_status,
            payment.verdict.payment_order_id,
            ids={
                "request_id": payment.request_id,
                "checkout_id": payment.checkout.checkout_id,
                "order_id": payment.order_id,
            },
            declines=declines,
        )
    code = sub_code = message = None
    if isinstance(reply, ErrorAnswer):
        code = None if reply.code is None else str(reply.code)
        sub_code, message = reply.sub_code, reply.sub_msg or reply.msg
    elif isinstance(reply, Answer) and event is not Event.PAID:
        code = reply.text("result_code") or reply.msg_code
        message = reply.text("result_message") or reply.msg_info
    elif exchange.detail:
        message = exchange.detail
    raw = exchange.body.decode("utf-8", "replace") if exchange.body else None
    end = TryEnd(
        event=event or Event.CUT,
        finished_ms=now_ms,
        http_status=exchange.http_status,
        code=code,
        sub_code=sub_code,
        message=message,
        raw=clean(raw, codes),
    )
    return _without_words(end) if event is Event.ANOTHERS else end


def clean(text: str | None, codes: tuple[str, ...]) -> str | None:
    """The other side's text as the journal keeps it: without payment codes, then capped."""
    return None if text is None else without_codes(text, codes)[:MAX_RAW]


def _verdict(reply: Reply | None, payment: Payment) -> Verdict:
    """What the business said; of an answer without a model the earlier word stays."""
    if isinstance(reply, ErrorAnswer):
        return payment.verdict._replace(trace_id=reply.trace_id or payment.verdict.trace_id)
    if not isinstance(reply, Answer) or reply.model is None:
        return payment.verdict
    known, voucher = payment.verdict.payment_order_id, reply.text("payment_order_id")
    if known and voucher and known != voucher:
        return payment.verdict  # the record of the first stays; the event tells the conflict
    return Verdict(
        result_status=reply.number("result_status"),
        remaining_fee=_fen(reply, "remaining_fee"),
        current_pay_fee=_fen(reply, "current_pay_fee"),
        current_payment_channel=reply.number("current_payment_channel"),
        payment_order_id=known or voucher,
        channel_order_id=reply.text("channel_order_id"),
        result_code=reply.text("result_code"),
        result_message=reply.text("result_message"),
        trace_id=reply.trace_id or payment.verdict.trace_id,
    )


def _fen(reply: Answer, name: str) -> int | None:
    """An amount of the answer; one that no fee could be is as good as none."""
    fee = reply.number(name)
    return None if fee is None or abs(fee) >= 10**12 else fee


def _verdict_warnings(payment: Payment, verdict: Verdict, tx: Transaction) -> tuple[str, ...]:
    """What is odd about a success; it stays one."""
    asked_channel = json.loads(payment.pay_request).get("payment_channel")
    odd = []
    if verdict.current_pay_fee not in (None, payment.pay_fee):
        odd.append("fee_differs")
    if verdict.current_payment_channel not in (None, asked_channel):
        odd.append("channel_differs")
    if verdict.remaining_fee is None:
        odd.append("remaining_missing")
    elif verdict.remaining_fee < 0:
        odd.append("remaining_negative")
    elif verdict.remaining_fee > 0:
        before = due([p for p in tx.payments_of(payment.checkout) if p.seq != payment.seq])
        if before.remaining_fee is not None and verdict.remaining_fee > before.remaining_fee:
            odd.append("remaining_grew")
    return tuple(odd)


# ── what to tell ─────────────────────────────────────────────────────────────────────────────


def as_result(
    payment: Payment, end: TryEnd | None, notes: tuple[str, ...], desk: Desk, *, resumed: bool
) -> Result:
    """What to tell of a payment; `end` is how its latest try ended."""
    outcome = outcome_of(payment.standing)
    warnings = [advice.warning(code) for code in (*payment.warnings, *notes)]
    if outcome is Outcome.PENDING and end and EVENT_TABLE[end.event] is not Outcome.PENDING:
        warnings.append(advice.try_warning(end))
    return Result(
        exit_code=EXIT_OF[outcome],
        outcome=outcome,
        payment=payment,
        resumed=resumed,
        remaining_fee=_still_due(payment, desk),
        warnings=tuple(warnings),
        problem=advice.problem_of(payment, end),
    )


def _still_due(payment: Payment, desk: Desk) -> int | None:
    """Fen: what is due is stated by a success only, this one or the last one on this checkout."""
    if payment.standing.paid:
        return payment.remaining_fee
    with suppress(JournalError):
        return due(desk.journal.payments_of(payment.checkout)).remaining_fee
    return None


def blocked(refuse: Refuse, order: PayRequest | None, desk: Desk) -> Result:
    by = refuse.payment
    already = due(desk.journal.payments_of(by.checkout))
    return Result(
        exit_code=Exit.BLOCKED,
        outcome=Outcome.BLOCKED,
        asked=Asked(
            request_id=order.request_id if order else by.request_id,
            shop_id=by.checkout.shop_id,
            checkout_id=by.checkout.checkout_id,
            order_id=str(order.members["order_id"]) if order else by.order_id,
            pay_fee=order.pay_fee if order else by.pay_fee,
        ),
        remaining_fee=already.remaining_fee,
        blocked_by=by,
        problem=advice.blocked(
            *(refuse.block, by, desk.journal.last_try(by), already.remaining_fee), desk.profiles
        ),
    )
