"""`posctl resolve`: a person closes an open payment, on evidence, or corrects one closed so."""

from typing import Annotated, NamedTuple

import typer

from posctl.cli.find import find
from posctl.cli.framework import Command, new_app
from posctl.cli.run import Run
from posctl.errors import Busy, UsageError
from posctl.messages import _
from posctl.money.advice import amount
from posctl.money.order import check_value
from posctl.money.outcome import Exit
from posctl.money.record import Filter, Payment
from posctl.money.result import correction_json, payment_json
from posctl.paying.by_hand import (
    being_sent,
    close_by_hand,
    correct_by_hand,
    person,
    refuse_by_hand,
)
from posctl.paying.row import is_being_sent
from posctl.screen.contract import envelope
from posctl.screen.payments import draw_payment
from posctl.screen.screen import View
from posctl.text import sentences
from posctl.times import age, date_time

app = new_app()

WORDS = {"paid": True, "not-paid": False}


class ResolveOptions(NamedTuple):
    """What a person says of a payment: `verdict` is one of WORDS, or None with `acknowledge`.

    `tries` is how often it was tried when the person looked.
    """

    payment_id: str
    verdict: str | None
    note: str | None
    correct: bool
    acknowledge: bool
    tries: int | None
    yes: bool
    dry_run: bool


@app.command(
    cls=Command,
    help=_(
        "Close an open payment by hand, or correct one that was closed by hand. Nothing is "
        "deleted: the record says who, when and why. An answer that comes in later and contradicts "
        "it raises an alarm in posctl pending, until somebody acknowledges it. A correction counts "
        "in the running shift; closed shifts stay as they were."
    ),
    epilog='posctl resolve ID --as paid --note "the customer showed the receipt"\n'
    'posctl resolve ID --correct --as not-paid --note "that was another customer\'s"\n'
    'posctl resolve ID --acknowledge --note "refunded by hand"',
)
def resolve(
    ctx: typer.Context,
    payment_id: Annotated[str, typer.Argument(metavar="ID", hidden=True)],
    verdict: Annotated[
        str | None, typer.Option("--as", help=_("What the evidence says."), metavar="paid|not-paid")
    ] = None,
    note: Annotated[
        str | None, typer.Option(help=_("The evidence, in words."), metavar="TEXT")
    ] = None,
    correct: Annotated[
        bool, typer.Option("--correct", help=_("Say the opposite of what was closed by hand."))
    ] = False,
    acknowledge: Annotated[
        bool, typer.Option("--acknowledge", help=_("Silence the alarms of a closed payment."))
    ] = False,
    tries: Annotated[
        int | None,
        typer.Option(
            "--tries",
            help=_("How often it was tried when you looked; refused when it was since."),
            metavar="N",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help=_("Close it without asking."))] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help=_("Say whether it could be closed so; close nothing."))
    ] = False,
) -> int:
    options = ResolveOptions(
        payment_id=payment_id,
        verdict=verdict,
        note=note,
        correct=correct,
        acknowledge=acknowledge,
        tries=tries,
        yes=yes,
        dry_run=dry_run,
    )
    return resolve_run(options, ctx.obj)


def resolve_run(options: ResolveOptions, run: Run) -> Exit:
    """The whole behaviour of `resolve`, without the framework."""
    note = _note(options)
    if options.acknowledge == (options.verdict is not None) or (
        options.verdict is not None and options.verdict not in WORDS
    ):
        raise UsageError("bad_as", _("Say --as paid or --as not-paid (or --acknowledge)."))
    if options.acknowledge and options.correct:
        raise UsageError("which", _("Of --acknowledge and --correct, give one."))
    payment = find(options.payment_id, run)
    if options.dry_run:
        return _dry_run(payment, options, run)
    if options.tries is not None:
        payment = payment._replace(tries=options.tries)
    if options.verdict is None:
        _acknowledge(payment, f"{_who(run)}: {note}", run)
    else:
        payment = _close(payment, options, note, run)
    return _show(payment, run)


def _dry_run(payment: Payment, options: ResolveOptions, run: Run) -> Exit:
    """Refuse as the real one would, or show the payment; nothing is written."""
    if options.verdict is None:
        merchant = payment.checkout.merchant
        alarms = run.journal().transact(lambda tx: tx.alarms(merchant))
        if not any(one.request_id == payment.request_id for one in alarms):
            raise _no_alarm()
    else:
        looked_at = payment if options.tries is None else payment._replace(tries=options.tries)
        paid = options.verdict == "paid"
        refuse_by_hand(looked_at, payment, paid=paid, correct=options.correct)
    code = _show(payment, run, dry_run=True)
    run.screen.note(_("Nothing was closed."))
    return code


def _no_alarm() -> UsageError:
    return UsageError("no_alarm", _("This payment has no alarm to acknowledge."))


def _who(run: Run) -> str:
    return person(run.load().profile.defaults.get("operator_id"))


def _note(options: ResolveOptions) -> str:
    note = options.note
    if note is None or not any(character.isalnum() for character in note):  # not the hint's "…"
        raise UsageError("missing_note", _("--note is missing: say what the evidence is."))
    check_value("attributes", note, "--note")
    return note


def _close(payment: Payment, options: ResolveOptions, note: str, run: Run) -> Payment:
    """Close or correct it, once somebody at a terminal has agreed."""
    paid = options.verdict == "paid"
    close = correct_by_hand if options.correct else close_by_hand
    journal = run.journal()
    if payment.open is not options.correct and not options.yes and run.can_ask():
        if is_being_sent(payment, journal):
            raise being_sent(payment)
        _ask(payment, paid, options.correct, run)
    return close(payment, _who(run), note, run.now_ms(), journal, paid=paid)


def _ask(payment: Payment, paid: bool, correct: bool, run: Run) -> None:
    """Show what is known of it, and let a person say whether it is to be closed so."""
    last = run.journal().last_try(payment)
    now_ms = run.now_ms()
    tries = [] if last is None else [last]
    run.screen.show(
        View({}, lambda canvas: draw_payment(canvas, payment, tries, (), now_ms=now_ms))
    )
    if correct:
        question = _("Correct it to paid?") if paid else _("Correct it to not paid?")
    else:
        question = _("Close it by hand as paid?") if paid else _("Close it by hand as not paid?")
    about = _("Checkout {checkout}, {money}, begun {when}.").format(
        checkout=payment.checkout.checkout_id,
        money=amount(payment.pay_fee),
        when=date_time(payment.created_ms),
    )
    tried = "" if last is None else _tried(payment, now_ms - last.started_ms)
    if not run.confirm(sentences(about, tried, question)):
        raise Busy("not_confirmed", _("Nothing was closed."))


def _tried(payment: Payment, ago_ms: int) -> str:
    if payment.tries == 1:
        return _("Tried once, {age} ago.").format(age=age(ago_ms))
    return _("Tried {n} times, last {age} ago.").format(n=payment.tries, age=age(ago_ms))


def _acknowledge(payment: Payment, by: str, run: Run) -> None:
    now_ms = run.now_ms()
    silenced = run.journal().transact(lambda tx: tx.acknowledge(payment.request_id, by, now_ms))
    if not silenced:
        raise _no_alarm()


def _show(payment: Payment, run: Run, *, dry_run: bool = False) -> Exit:
    corrections = run.journal().corrections(Filter(request_id=payment.request_id))
    data = envelope(
        "resolve",
        Exit.OK,
        dry_run=dry_run,
        payment=payment_json(payment),
        corrections=[correction_json(one) for one in corrections],
    )
    now_ms = run.now_ms()
    run.screen.show(
        View(data, lambda canvas: draw_payment(canvas, payment, (), (), corrections, now_ms=now_ms))
    )
    run.mention_open()
    return Exit.OK
