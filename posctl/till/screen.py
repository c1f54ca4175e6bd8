"""How the till looks: 80 columns or 40, with colour or without."""

from __future__ import annotations

from collections.abc import Container, Sequence
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from posctl.hint import Hint, Say, Type, said
from posctl.messages import N_, _
from posctl.money import advice
from posctl.money.admit import Block
from posctl.money.order import PayRequest, yuan
from posctl.money.outcome import RATE_LIMIT_CODES, Event, Outcome, outcome_of
from posctl.screen.brush import (
    LOOKS,
    Canvas,
    draw_bar,
    draw_facts,
    draw_head,
    draw_hint,
    draw_parts,
    draw_prose,
    named,
    rich_text,
    wrapped,
)
from posctl.screen.payments import draw_due, draw_stop, draw_verdict, states_due
from posctl.times import age

if TYPE_CHECKING:
    from posctl.config.profile import Profile
    from posctl.money.record import Payment, StatusAnswer
    from posctl.money.result import Problem, Result
    from posctl.till.open import Open, Rest


class Status(NamedTuple):
    """What is always in sight. Fees in fen; `in_shift` is whether what was paid is the running
    shift's, or today's.
    """

    live: bool
    in_shift: bool
    paid: int
    paid_fee: int
    open: int
    open_fee: int
    on_its_way: int
    rests: int
    rest_fee: int


HELP = {
    "12.50": N_("take that amount; the rest is asked for"),
    "Esc": N_("give up this customer; nothing was sent yet"),
    "o": N_("what is open or part-paid, by number"),
    "r 1": N_("come back to open payment 1 and ask for its verdict"),
    "s 1": N_("only ask how the platform calls it; nothing changes"),
    "c 1": N_("close open payment 1 by hand, on evidence"),
    "+": N_("a split: take the first part as usual, then + for the rest; + 2: of number 2"),
    "p": N_("the last receipt; p 2: the one before; p A1: what became of checkout A1"),
    "x": N_("the report of the shift"),
    "z": N_("close the shift: totals for good, the next one begins"),
    "w": N_("another operator takes over"),
    "?": N_("this help"),
    "q": N_("leave the till"),
}


_REUSED = N_("Another customer? A checkout's number is used once: type another one.")
_BY_HAND = N_("To close it here, once you know what became of it: c {n}")


def draw_welcome(canvas: Canvas, profile: Profile, order: PayRequest) -> None:
    """Whose till this is; `order` has its operator, till and shop."""
    draw_head(canvas, profile.name, live=profile.live)
    members = order.members
    names = {"operator_id": _("Operator"), "machine_id": _("Till"), "shop_id": _("Shop")}
    parts = [f"{word} {members[name]}" for name, word in names.items()]
    draw_parts(canvas, [*parts, _("another operator: w")], "")


def draw_help(canvas: Canvas) -> None:
    """What can be typed instead of an amount."""
    for key, words in HELP.items():
        for i, line in enumerate(wrapped(rich_text(_(words)), canvas.width - 9)):
            canvas.print(rich_text(f" {'' if i else key:7}").append_text(line))
    draw_prose(canvas, _("Charged too much? The manager refunds it in the platform's console."))


def draw_farewell(canvas: Canvas, status: Status) -> None:
    """The day's sum once more, and whether something is left to do."""
    draw_status(canvas, status, leaving=True)
    if status.open or status.on_its_way:
        words = _("You have left the till. Open it again: it goes on asking about what is open.")
        draw_prose(canvas, words, "bold")
        draw_hint(canvas, (Say(_("Or see it here:")), Type(("pending",))))
    elif status.rests:
        words = _("You have left the till. To take what is still due, open it again: +")
        draw_prose(canvas, words, "bold")
    else:
        draw_prose(canvas, _("You have left the till. Nothing is open."), "bold")
    if status.paid:
        draw_prose(canvas, _("The shift goes on. To close it, open the till again: z"))


def draw_status(canvas: Canvas, status: Status, *, leaving: bool = False) -> None:
    """Today's count and sum, and what is open."""
    parts = [] if status.live else [_("TRAINING")]
    shift = _("This shift {count} · ￥{yuan}")
    today = shift if status.in_shift else _("Today {count} · ￥{yuan}")
    parts.append(today.format(count=status.paid, yuan=yuan(status.paid_fee)))
    parts += left_over(status)
    if status.on_its_way:
        parts.append(_("{count} on its way").format(count=status.on_its_way))
    if not leaving:
        parts.append(_("? help"))
    draw_parts(canvas, parts, "bold")


def left_over(status: Status) -> list[str]:
    """What is open and what is part-paid, in a few words each."""
    parts = []
    if status.open:
        words = _("▲ {count} open · ￥{yuan}")
        parts.append(words.format(count=status.open, yuan=yuan(status.open_fee)))
    if status.rests:
        words = _("{count} part-paid · ￥{yuan} due")
        parts.append(words.format(count=status.rests, yuan=yuan(status.rest_fee)))
    return parts


def in_yuan(fee: int) -> str:
    """Fen as the amount that a customer sees."""
    return f"￥{yuan(fee)}"


def draw_settled(
    canvas: Canvas, result: Result, number: int | None, *, earlier: bool = False
) -> None:
    """The verdict of one payment; `number` is what it has in the list while it is open. An
    `earlier` one says first that it is not about the customer who stands here.
    """
    outcome, payment, asked = result.outcome, result.payment, result.asked
    if outcome is None:
        return
    fee = payment.pay_fee if payment else asked.pay_fee
    if earlier and payment is not None:
        words = _("▲ An earlier payment, not the customer in front of you: checkout {checkout_id}")
        words = words.format(checkout_id=payment.checkout.checkout_id)
        draw_prose(canvas, words, "bold yellow", gap=True)
    draw_verdict(canvas, outcome, payment, fee, in_words=in_yuan)
    holding = payment or result.blocked_by
    if holding is not None and holding.open:
        draw_stop(canvas, holding)
    elif states_due(result) and not (outcome is Outcome.BLOCKED and result.remaining_fee == 0):
        draw_due(canvas, result.remaining_fee, in_yuan)
    facts = [(_("Checkout"), payment.checkout.checkout_id if payment else asked.checkout_id)]
    facts.append((_("Payment id"), payment.request_id if payment else asked.request_id))
    draw_facts(canvas, facts)
    _draw_reason(canvas, result)
    for warning in result.warnings:
        draw_prose(canvas, warning.partition(": ")[2], "bold")
    if holding is not None and holding.open:
        _draw_open_hint(canvas, result, number)
        if outcome is Outcome.BLOCKED and result.problem and result.problem.code == Block.OPEN:
            draw_hint(canvas, said(_(_REUSED)))
    elif result.problem is not None:
        draw_hint(canvas, _remedy(result.problem, outcome, earlier=earlier))


def _remedy(problem: Problem, outcome: Outcome, *, earlier: bool) -> Hint:
    """What to do when nobody was charged. Nobody runs a command here."""
    if outcome is Outcome.BLOCKED:
        reused = problem.code == Block.PAID
        return said(_(_REUSED)) if reused else ()
    if earlier:
        words = _("If that customer is still here and wants to pay: amount and checkout once more.")
        return said(words) if problem.hint else ()
    if outcome is Outcome.NOT_SENT:
        return said(_("Check the network, then scan again. If it stays so, fetch help."))
    if outcome is Outcome.REJECTED and problem.code in map(str, RATE_LIMIT_CODES):
        return said(_("Wait a moment, then scan again."))
    if outcome is Outcome.REJECTED:
        return said(
            _("It is not the customer's fault, and will not get better: fetch the manager.")
        )
    return problem.hint


def _draw_reason(canvas: Canvas, result: Result) -> None:
    outcome = result.outcome
    if outcome is Outcome.PENDING:
        draw_prose(canvas, _(advice.EVENT_WORDS[Event.STILL_PENDING]))
    elif result.problem is not None and outcome is not None:
        draw_prose(canvas, result.problem.message.replace(advice.money(outcome), "").strip())


def _draw_open_hint(canvas: Canvas, result: Result, number: int | None) -> None:
    holding = result.payment or result.blocked_by
    if holding is None:
        return
    problem = result.problem if result.blocked_by else None
    left_to_people = (
        holding.for_person
        or outcome_of(holding.standing) is Outcome.CONFLICT
        or (problem is not None and problem.code == Block.TOO_OLD)
    )
    if number is None:  # another till's
        draw_hint(canvas, problem.hint if problem else advice.next_step(holding))
        return
    if left_to_people:
        _draw_find_out(canvas, number)
        return
    if advice.is_refused(holding):
        draw_prose(canvas, _("The platform's answer does not prove that nobody was charged."))
    words = _("The till goes on asking. Back to this one: r {n}")
    draw_prose(canvas, words.format(n=number), "bold")
    words = _("If the customer has left: s {n} asks the platform, c {n} closes it on evidence.")
    draw_prose(canvas, words.format(n=number))


def _draw_find_out(canvas: Canvas, number: int) -> None:
    draw_prose(canvas, _("Was the customer charged? The customer's phone shows it."), "bold")
    draw_prose(canvas, _("Or have the manager look into the platform's console."))
    draw_prose(canvas, _(_BY_HAND).format(n=number), "bold")


def draw_numbered(
    canvas: Canvas, open_payments: Sequence[Open], on_their_way: Container[str], *, now_ms: int
) -> None:
    """What is open at this till, by number; what is on its way for the first time has no outcome
    yet.
    """
    if not open_payments:
        draw_prose(canvas, "√ " + _("Nothing is open."))
    name = _("Checkout")
    for number, payment, *_rest in open_payments:
        outcome = outcome_of(payment.standing)
        first = payment.tries == 1 and payment.request_id in on_their_way
        word = "… " + _("collecting") if first else named(outcome, payment.standing.state)
        parts = (
            f"{number}: {word}",
            f"￥{yuan(payment.pay_fee)}",
            age(now_ms - payment.created_ms),
            f"{name} {payment.checkout.checkout_id}",
        )
        draw_parts(canvas, parts, f"bold {LOOKS[outcome].color}")
        if outcome is Outcome.CONFLICT:
            _draw_find_out(canvas, number)


def draw_rests(canvas: Canvas, rests: Sequence[Rest], *, leaving: bool = False) -> None:
    """What is part-paid at this till, by number, and the key unless it is of no more use."""
    name = _("Checkout")
    for number, checkout, paid_fee, remaining_fee in rests:
        parts = (
            f"+{number}: " + _("STILL DUE  {money}").format(money=in_yuan(remaining_fee)),
            _("{money} paid").format(money=in_yuan(paid_fee)),
            f"{name} {checkout.checkout_id}",
        )
        draw_parts(canvas, parts, "bold yellow")
    if not leaving:
        draw_prose(canvas, _("To take what is still due: + and its number"), "bold")


# What a platform may call a payment. Nowhere is it documented, so none of it closes a payment but
# by the profile's `status_words`; that it closes nothing is said in a way that fits.
_SOUNDS = {
    **dict.fromkeys(("SUCCESS", "SUCCEEDED", "PAID", "TRADE_SUCCESS", "FINISHED"), "success"),
    **dict.fromkeys(("PENDING", "PROCESSING", "INIT", "WAIT", "WAITING", "PAYING"), "pending"),
    **dict.fromkeys(("FAIL", "FAILED", "CANCELED", "CANCELLED", "CLOSED"), "fail"),
}
_SOUNDING = {
    "success": (
        N_("The platform says “success”, but not how much was paid: not yet paid for certain."),
        N_("Look at the customer's phone, or ask for the verdict: r {n}"),
    ),
    "pending": (
        N_("The platform says that the customer has not confirmed yet."),
        N_("Do not close it by hand yet; the till goes on asking."),
    ),
    "fail": (
        N_("The platform says “not successful”. That does not prove that nobody was charged."),
        N_("Look at the customer's phone, or ask for the verdict: r {n}"),
    ),
}

_STOPPED = N_("The till asks no more by itself: r {n} asks. If the customer has left: c {n}")


def draw_asked(canvas: Canvas, asked: StatusAnswer, payment: Payment, listed: Open | None) -> None:
    """What the platform calls a payment, and what that is worth; `listed` as it stands here."""
    draw_prose(canvas, which(payment), "bold", gap=True)
    if asked.word is None:
        draw_bar(canvas, _("NO ANSWER"), "yellow")
        if asked.end.code:
            draw_prose(canvas, advice.what_happened(asked.end))
        draw_prose(canvas, _("The platform did not say what it calls it; nothing has changed."))
        return
    meaning = asked.meaning or _SOUNDS.get(asked.word.upper())
    if meaning is None:
        draw_prose(canvas, _("The platform's answer does not tell whether it was paid."))
    elif asked.meaning in (None, "pending"):  # else it is closed by it, and told so
        what, then = _SOUNDING[meaning]
        draw_prose(canvas, _(what))
        if listed is not None:
            if meaning == "pending" and listed.asks and listed.next_s == inf:
                then = _STOPPED
            draw_prose(canvas, _(then).format(n=listed.number), "bold")
    draw_prose(canvas, _("The platform says: {word}").format(word=asked.word), "dim")


SLOW_S = 3  # longer than most payments take


def which(payment: Payment) -> str:
    """A payment as a cashier knows it."""
    words = _("Checkout {checkout} · ￥{yuan}")
    return words.format(checkout=payment.checkout.checkout_id, yuan=yuan(payment.pay_fee))


def left_behind(one: Open) -> str:
    """What the cashier is told who goes on before there is a verdict."""
    words = _("{payment}: no verdict yet; it will be told here. Back to it: r {n}")
    return words.format(payment=which(one.payment), n=one.number)


def waiting_line(payment: Payment | None, outcome: Outcome | None, seconds: int) -> list[str]:
    """The line that counts, the widest first: up while a payment is on its way, down to the next
    question.
    """
    if outcome is None:
        words = (
            _("Collecting, please wait · {seconds} s (Enter: next customer)")
            if seconds < SLOW_S
            else _("Collecting, do not charge again · {seconds} s (Enter: next customer)")
        )
        short = (
            _("Collecting · {seconds} s · Enter: next")
            if seconds < SLOW_S
            else _("No second charge · {seconds} s · Enter: next")
        )
        lines = [words.format(seconds=seconds), short.format(seconds=seconds)]
    else:
        words = _("{word} · again in {seconds} s · Enter: next")
        short = _("again in {seconds} s · Enter: next")
        word = _(LOOKS[outcome].word)
        lines = [words.format(word=word, seconds=seconds), short.format(seconds=seconds)]
    if payment is None:
        return lines
    fee = in_yuan(payment.pay_fee)
    return [
        *(f"{which(payment)} · {line}" for line in lines[:1]),
        *(f"{fee} · {line}" for line in lines),
        lines[-1],
    ]
