"""How verdicts, lists and records of payments look on a terminal."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from posctl.hint import Hint, Say, Type
from posctl.messages import N_, _
from posctl.money import advice
from posctl.money.codes import CODE_FIELDS, masked
from posctl.money.order import grouped
from posctl.money.outcome import Event, Exit, Outcome, State, outcome_of
from posctl.screen.brush import (
    LOOKS,
    STILL_OPEN,
    Canvas,
    draw_bar,
    draw_facts,
    draw_head,
    draw_hint,
    draw_pairs,
    draw_parts,
    draw_prose,
    draw_rows,
    draw_whose,
    in_seconds,
    named,
)
from posctl.screen.contract import plain
from posctl.times import age, date_time, when

if TYPE_CHECKING:
    from posctl.money.admit import Due
    from posctl.money.record import Alarm, Correction, Payment, StatusAnswer, Try
    from posctl.money.result import Result
    from posctl.screen.packed import Records


def draw_result(canvas: Canvas, result: Result, profile: str, *, live: bool) -> None:
    """The verdict of one payment: what happened, what is still due, which one, what to do."""
    draw_head(canvas, profile, live=live)
    outcome, payment, asked = result.outcome, result.payment, result.asked
    message = result.problem.message if result.problem else ""
    if outcome is not None:
        fee = payment.pay_fee if payment else asked.pay_fee
        word = _("INTERRUPTED") if result.exit_code is Exit.INTERRUPTED else None
        draw_verdict(canvas, outcome, payment, fee, word)
        message = message.replace(advice.money(outcome), "").strip()  # the verdict says it
    holding = payment or result.blocked_by
    if holding is not None and holding.open:
        draw_stop(canvas, holding)
    elif states_due(result):
        draw_due(canvas, result.remaining_fee)

    canvas.print()
    draw_facts(canvas, _facts_of(result))

    if result.resumed and payment is not None:
        again = _("Not a new payment: it was begun at {when}.")
        draw_prose(canvas, again.format(when=date_time(payment.created_ms)), gap=True)
    if outcome is Outcome.PENDING:
        message = _(advice.EVENT_WORDS[Event.STILL_PENDING])
    if message:
        draw_prose(canvas, message, gap=True)
    draw_hint(canvas, next_steps(result, profile), gap=True)


def _facts_of(result: Result) -> list[tuple[str, str | None]]:
    payment, asked, by = result.payment, result.asked, result.blocked_by
    facts: list[tuple[str, str | None]]
    if payment is not None:
        facts = [(_("checkout_id"), payment.checkout.checkout_id), *ids_of(payment)]
        facts.append((_("result_status"), status_in_words(payment)))
    else:
        facts = [(_("checkout_id"), asked.checkout_id), (_("request_id"), asked.request_id)]
    if by is not None and by.request_id != asked.request_id:
        facts.append((_("blocked by"), by.request_id))
    if result.remaining_fee is not None:  # stated by a success, this one or the last before it
        facts.append((_("remaining_fee"), advice.with_fen(result.remaining_fee)))
    return facts


def next_steps(result: Result, profile: str) -> Hint:
    """What to type after a verdict; nothing when there is nothing left to do."""
    payment = result.payment
    if result.problem is not None:
        return result.problem.hint
    if payment is None:
        return ()
    if payment.open:
        return advice.next_step(payment)
    if payment.standing.paid and (result.remaining_fee or 0) > 0:
        return advice.rest(payment, result.remaining_fee or 0, profile)
    return ()


def draw_results(
    canvas: Canvas, results: Records | Sequence[Mapping[str, Any]], profile: str, *, live: bool
) -> None:
    """The verdicts of several payments, as JSON has them, and how many there are of each."""
    if not results:
        draw_prose(canvas, _("Nothing is open."))
        return
    draw_head(canvas, profile, live=live)
    draw_rows(
        canvas,
        (_("Outcome"), _("Amount"), _("checkout_id"), _("request_id")),
        results,
        lambda one: (
            named(Outcome(one["outcome"]), one["state"]),
            f"￥{grouped(one['pay_fee'])}",
            one["checkout_id"],
            one["request_id"],
        ),
    )
    canvas.print()
    counts = Counter(one["outcome"] for one in results)
    parts = [f"{look.glyph} {_(look.word)} {counts[o]}" for o, look in LOOKS.items() if counts[o]]
    draw_parts(canvas, parts, "bold")
    if not STILL_OPEN.isdisjoint(counts):
        draw_bar(canvas, _("DO NOT CHARGE AGAIN"), "red")
        draw_hint(canvas, (Say(_("See what to do:")), Type(("pending",))))


def draw_status(
    canvas: Canvas,
    asked: StatusAnswer,
    checkout_id: str,
    payment: Payment | None,
    profile: str,
    *,
    live: bool,
    now_ms: int,
) -> None:
    """What the platform said, in its own word, and how the journal's payment stands after it."""
    draw_head(canvas, profile, live=live)
    if asked.word is None:
        draw_bar(canvas, _("NO ANSWER"), "yellow", gap=True)
    else:  # its own word, and so in no bar
        said = _("The platform says: {word}").format(word=asked.word)
        draw_prose(canvas, said, "bold", gap=True)
    canvas.print()
    facts = [
        (_("channel_name"), asked.channel_name and advice.channel(asked.channel_name)),
        (_("which means"), asked.meaning and _(_MEANINGS.get(asked.meaning, asked.meaning))),
        (_("checkout_id"), checkout_id),
    ]
    if payment is not None:
        stands = (
            f"{named(outcome_of(payment.standing), payment.standing.state)}  "
            f"{advice.amount(payment.pay_fee)}"
        )
        facts += [(_("request_id"), payment.request_id), (_("in the journal"), stands)]
    draw_facts(canvas, facts)
    if payment is not None and payment.open:
        draw_bar(canvas, _("DO NOT CHARGE AGAIN"), "red", gap=True)
        draw_hint(canvas, advice.still_to_do(payment, now_ms), gap=True)


def draw_dry_run(canvas: Canvas, call: Mapping[str, Any]) -> None:
    """The call as it would travel."""
    draw_bar(canvas, _("DRY RUN: nothing was sent or recorded"), "cyan")
    canvas.print()
    draw_pairs(canvas, plain(call))


def draw_payments(
    canvas: Canvas, payments: Sequence[Payment], profile: str, *, live: bool, now_ms: int
) -> None:
    """A list of payments: a table where it fits, else some lines for each. They may be of several
    profiles of one merchant; `profile` is the one that was asked.
    """
    if not payments:
        draw_prose(canvas, _("No payments."))
        return
    draw_head(canvas, profile, live=live)
    draw_list(canvas, payments, now_ms)


def draw_list(canvas: Canvas, payments: Sequence[Payment], now_ms: int) -> None:
    """As `draw_payments`, below a head that is there already."""
    whose = _differing(payments)
    short = short_ids([payment.request_id for payment in payments])
    names = (
        *(_("When"), _("Outcome"), _("Amount"), _("checkout_id")),
        *(_(name) for name, _value in whose),
        _("request_id"),
    )
    draw_rows(
        canvas,
        names,
        payments,
        lambda payment: (
            when(payment.created_ms, now_ms),
            named_of(payment),
            f"￥{grouped(payment.pay_fee)}",
            payment.checkout.checkout_id,
            *(value(payment) for _name, value in whose),
            short[payment.request_id],
        ),
    )


def named_of(payment: Payment) -> str:
    """Glyph and word of how it stands; one about which a person said both says so."""
    outcome = outcome_of(payment.standing)
    if payment.booked is None:
        return named(outcome, payment.standing.state)
    return named(outcome) + " " + _("(corrected)")


_WHOSE: tuple[tuple[str, Callable[[Payment], str]], ...] = (
    (N_("Shop"), lambda payment: payment.checkout.shop_id),
    (N_("Till"), lambda payment: payment.machine_id),
    (N_("Operator"), lambda payment: payment.operator_id),
)


def _differing(payments: Sequence[Payment]) -> list[tuple[str, Callable[[Payment], str]]]:
    """Shop, till and operator, each only where there is more than one."""
    return [(name, of) for name, of in _WHOSE if len({of(payment) for payment in payments}) > 1]


SHORT = 8  # characters of an id in a list; `posctl show` takes 6 or more


def short_ids(ids: Sequence[str]) -> dict[str, str]:
    """Each id's beginning, so long that it differs from all others."""
    ordered = sorted(set(ids))
    short = {}
    for before, one, after in zip(["", *ordered], ordered, [*ordered[1:], ""], strict=False):
        short[one] = one[: max(SHORT, 1 + max(_alike(one, before), _alike(one, after)))]
    return short


def _alike(one: str, other: str) -> int:
    """How many characters both begin with."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


# Words of the screen for which there is no value of the API's, and what a shop says besides.
_MEANT = {
    "open": "open",
    "未决": "open",
    "待核实": "open",
    "待确认": "open",
    "paid": Outcome.SUCCESS,
    "成功": Outcome.SUCCESS,
    "已付款": Outcome.SUCCESS,
    "失败": Outcome.FAIL,
    "付款失败": Outcome.FAIL,
    "failed": Outcome.FAIL,
    "not-paid": Outcome.FAIL,
    "未付款": Outcome.FAIL,
    "未发出": Outcome.NOT_SENT,
    "被拒绝": Outcome.REJECTED,
    "等待": Outcome.PENDING,
    "未知": Outcome.UNKNOWN,
    "矛盾": Outcome.CONFLICT,
}


def outcome_meant(word: str) -> Outcome | Literal["open"] | None:
    """What `word` means, the API's, the screen's or a shop's: an outcome, or "open" for all that
    is open.
    """
    wanted = word.strip().lower()
    for outcome in Outcome:
        said = {outcome.value, outcome.value.replace("_", "-"), outcome.value.replace("_", " ")}
        if outcome is not Outcome.BLOCKED:
            said |= {LOOKS[outcome].word.lower(), _(LOOKS[outcome].word).lower()}
            if wanted in said:
                return outcome
    found = _MEANT.get(wanted)
    return "open" if found == "open" else Outcome(found) if found else None


def draw_open(
    canvas: Canvas,
    payments: Sequence[Payment],
    tries: Mapping[str, Try | None],
    alarms: Sequence[Alarm],
    profile: str,
    *,
    live: bool,
    now_ms: int,
    older_than: str | None = None,
) -> None:
    """The open payments, oldest first: since when, how much, why, and what to type.

    `older_than` is the age, as it was typed, below which none is listed.
    """
    draw_head(canvas, profile, live=live)
    if not payments and not alarms:
        nothing = (
            _("Nothing is open.") if older_than is None else _("Nothing older than {age} is open.")
        )
        draw_prose(canvas, "√ " + nothing.format(age=older_than))
        return
    if payments:
        total = _("OPEN PAYMENTS: {count}, {money} in all")
        fee = sum(payment.pay_fee for payment in payments)
        draw_bar(canvas, total.format(count=len(payments), money=advice.amount(fee)), "yellow")
        draw_bar(canvas, _("DO NOT CHARGE AGAIN"), "red")
    name = _("checkout_id")
    for payment in payments:
        canvas.print()
        outcome = outcome_of(payment.standing)
        parts = (
            named(outcome, payment.standing.state),
            advice.amount(payment.pay_fee),
            age(now_ms - payment.created_ms),
            f"{name} {payment.checkout.checkout_id}",
        )
        draw_parts(canvas, parts, f"bold {LOOKS[outcome].color}")
        draw_prose(canvas, advice.what_happened_last(tries.get(payment.request_id)))
        draw_hint(canvas, advice.still_to_do(payment, now_ms))
    draw_alarms(canvas, alarms)


def draw_payment(
    canvas: Canvas,
    payment: Payment,
    tries: Sequence[Try],
    alarms: Sequence[Alarm],
    corrections: Sequence[Correction] = (),
    *,
    now_ms: int,
) -> None:
    """One payment with these tries, and what persons said of it."""
    verdict = payment.verdict
    draw_head(canvas, payment.profile, live=payment.live)
    draw_verdict(canvas, outcome_of(payment.standing), payment, payment.pay_fee)
    if payment.open:
        draw_stop(canvas, payment)
    elif payment.standing.paid:
        draw_due(canvas, payment.remaining_fee)
    canvas.print()
    charged = payment.charged_fee if payment.standing.paid else None
    draw_facts(
        canvas,
        [
            (_("checkout_id"), payment.checkout.checkout_id),
            *ids_of(payment),
            (_("shop_id"), payment.checkout.shop_id),
            (_("machine_id"), payment.machine_id),
            (_("operator_id"), payment.operator_id),
            (_("pay_channel"), advice.channel(payment.pay_channel)),
            (_("payment code"), masked_codes(payment)),
            (_("begun"), date_time(payment.created_ms)),
            (_("closed"), None if payment.closed_ms is None else date_time(payment.closed_ms)),
            (_("charged"), None if charged is None else advice.amount(charged)),
            (_("result_code"), verdict.result_code),
            (_("result_message"), verdict.result_message),
            *((_("warning"), _(advice.WARNINGS[code])) for code in payment.warnings),
            (_("closed by"), payment.resolved_by),
            (_("evidence"), payment.resolved_note),
        ],
    )
    for correction in corrections:
        canvas.print()
        _draw_correction(canvas, correction)
    for one in tries:
        canvas.print()
        _draw_try(canvas, one)
    if payment.open:
        draw_hint(canvas, advice.still_to_do(payment, now_ms), gap=True)
    draw_alarms(canvas, alarms)


def _draw_correction(canvas: Canvas, one: Correction) -> None:
    word = _("Corrected to paid") if one.paid else _("Corrected to not paid")
    draw_parts(canvas, (word, signed(one.fee), date_time(one.at_ms)), "bold")
    draw_prose(canvas, one.note)
    draw_prose(canvas, one.by, "dim")


def signed(fee: int) -> str:
    """A difference in fen as yuan."""
    return f"{'−' if fee < 0 else '+'}￥{grouped(abs(fee))}"


def _draw_try(canvas: Canvas, one: Try) -> None:
    title = _("Try {n}") if one.kind == "pay" else _("Question {n}")
    parts = [title.format(n=one.n), date_time(one.started_ms)]
    if one.end is None:
        sentence = _(advice.NO_END)
    else:
        parts.append(
            _("{seconds} s").format(seconds=in_seconds(one.end.finished_ms - one.started_ms))
        )
        sentence = advice.what_happened(one.end)
    draw_parts(canvas, parts, "bold")
    draw_prose(canvas, sentence)
    who = _("operator {operator} · till {till} · {host}, process {pid}").format(
        operator=one.who.operator_id, till=one.who.machine_id, host=one.who.host, pid=one.who.pid
    )
    draw_prose(canvas, who, "dim")


def draw_checkout(
    canvas: Canvas, checkout_id: str, due: Due, payments: Sequence[Payment], *, now_ms: int
) -> None:
    """All payments of one checkout, oldest first, and what it still needs."""
    if not payments:
        draw_prose(canvas, _("No payments."))
        return
    draw_whose(canvas, payments)
    paid = _("{money} paid").format(money=advice.with_fen(due.paid_fee))
    name = _("checkout_id")
    draw_parts(canvas, (f"{name} {checkout_id}", paid), "bold")
    if due.last_paid is not None:
        draw_due(canvas, due.remaining_fee)
    still_open = [payment for payment in payments if payment.open]
    if still_open:
        draw_bar(canvas, _("DO NOT CHARGE AGAIN"), "red", gap=True)
    canvas.print()
    draw_list(canvas, payments, now_ms)
    for payment in still_open:
        draw_hint(canvas, advice.still_to_do(payment, now_ms), gap=True)


_MEANINGS = {"success": N_("success"), "fail": N_("failure"), "pending": N_("pending")}
_STATUS_WORDS = {1: N_("1 · paid"), 2: N_("2 · failed"), 3: N_("3 · pending")}


def status_in_words(payment: Payment) -> str:
    """What the platform last said of a payment, its own number first."""
    said = payment.verdict.result_status
    if said is None:
        return _("the platform did not say")
    return _(_STATUS_WORDS[said]) if said in _STATUS_WORDS else str(said)


def ids_of(payment: Payment) -> list[tuple[str, str | None]]:
    order_id = payment.order_id if payment.order_id != payment.checkout.checkout_id else None
    return [
        (_("order_id"), order_id),
        (_("request_id"), payment.request_id),
        (_("payment_order_id"), payment.verdict.payment_order_id),
        (_("channel_order_id"), payment.verdict.channel_order_id),
        (_("trace_id"), payment.verdict.trace_id),
    ]


def masked_codes(payment: Payment) -> str | None:
    """The payment codes, masked."""
    members = json.loads(masked(payment.pay_request))
    return " ".join(members[name] for name in CODE_FIELDS if name in members) or None


def draw_verdict(
    canvas: Canvas,
    outcome: Outcome,
    payment: Payment | None,
    fee: int | None,
    word: str | None = None,
    in_words: Callable[[int], str] = advice.with_fen,
) -> None:
    """Glyph, word and amount in a coloured bar, and what that means for the money. `in_words` says
    fen.
    """
    look = LOOKS[outcome]
    title = f"{look.glyph} {word}" if word else named(outcome, payment and payment.standing.state)
    title = title if fee is None else f"{title}  {in_words(fee)}"
    draw_bar(canvas, title, look.color, gap=True)
    charged = payment.charged_fee if payment else None
    if outcome is Outcome.SUCCESS and charged not in (None, fee):
        differs = _("THE PLATFORM CHARGED {money}").format(money=in_words(charged or 0))
        draw_bar(canvas, differs, "red", gap=True)
    if outcome is Outcome.BLOCKED:
        draw_prose(canvas, _("Nothing was sent."), "bold")
    elif outcome not in (Outcome.SUCCESS, Outcome.PENDING):
        # While it is pending "may have been charged" reads as a contradiction.
        by_hand = outcome is Outcome.FAIL and payment and payment.standing.state is State.RESOLVED
        draw_prose(canvas, _(_NOT_PAID) if by_hand else advice.money(outcome), "bold")


_NOT_PAID = N_("By hand: not charged. If the phone still asks to pay, cancel it there.")


def draw_stop(canvas: Canvas, payment: Payment) -> None:
    """That an open payment's customer is not to be charged again."""
    pending = outcome_of(payment.standing) is Outcome.PENDING
    words = _("UNDECIDED: DO NOT CHARGE AGAIN") if pending else _("DO NOT CHARGE AGAIN")
    draw_bar(canvas, words, "red", gap=True)


def states_due(result: Result) -> bool:
    """Whether to say what is due; never "fully paid" about a payment that failed."""
    if result.outcome is Outcome.SUCCESS:
        return True
    due = result.remaining_fee
    return due is not None and (due > 0 or result.outcome is Outcome.BLOCKED)


def draw_due(
    canvas: Canvas, remaining_fee: int | None, in_words: Callable[[int], str] = advice.with_fen
) -> None:
    """What the checkout still needs; `in_words` says fen."""
    if remaining_fee is None:
        draw_bar(
            canvas,
            _("STILL DUE: the platform did not say  Check what was to be paid"),
            "yellow",
            gap=True,
        )
    elif remaining_fee == 0:
        draw_bar(canvas, _("CHECKOUT FULLY PAID"), "green", gap=True)
    else:
        words = _("STILL DUE  {money}").format(money=in_words(remaining_fee))
        draw_bar(canvas, words, "yellow", gap=True)


def draw_alarms(canvas: Canvas, alarms: Sequence[Alarm]) -> None:
    """What came in against closed payments."""
    for alarm in alarms:
        canvas.print()
        draw_bar(canvas, _("▲ ALARM  {when}").format(when=date_time(alarm.at_ms)), "red")
        draw_prose(canvas, alarm.text)
        draw_prose(canvas, _("The record says otherwise. Find out what the customer paid."))
        draw_hint(canvas, advice.about_alarm(alarm.request_id))
