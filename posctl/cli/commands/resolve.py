"""`posctl resolve`: a person closes an open payment, on evidence."""

from typing import Annotated

import typer

from posctl.cli.commands._money import find
from posctl.cli.framework import Command, new_app
from posctl.cli.run import Run
from posctl.errors import Busy, UsageError
from posctl.messages import _
from posctl.money.order import check_value
from posctl.money.outcome import Exit
from posctl.money.record import Payment
from posctl.money.result import payment_json
from posctl.paying.by_hand import close_by_hand, person
from posctl.screen.brush import age
from posctl.screen.payments import draw_payment
from posctl.screen.screen import View

app = new_app()


@app.command(
    cls=Command,
    help=_(
        "Close an open payment by hand. Nothing is deleted: the record says who, when and why. "
        "An answer that comes in later and contradicts it raises an alarm in posctl pending, until "
        "somebody acknowledges it."
    ),
    epilog='posctl resolve REQUEST_ID --as paid --note "the customer showed the receipt"\n'
    'posctl resolve REQUEST_ID --acknowledge --note "refunded by hand"',
)
def resolve(
    ctx: typer.Context,
    request_id: Annotated[str, typer.Argument(metavar="REQUEST_ID", hidden=True)],
    verdict: Annotated[
        str | None, typer.Option("--as", help=_("What the evidence says."), metavar="paid|not-paid")
    ] = None,
    note: Annotated[
        str | None, typer.Option(help=_("The evidence, in words."), metavar="TEXT")
    ] = None,
    acknowledge: Annotated[
        bool, typer.Option("--acknowledge", help=_("Silence the alarms of a closed payment."))
    ] = False,
    seen: Annotated[
        int | None,
        typer.Option(
            "--tries",
            help=_("How often it was tried when you looked; refused when it was since."),
            metavar="N",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help=_("Close it without asking."))] = False,
) -> int:
    run: Run = ctx.obj
    if note is None or not any(character.isalnum() for character in note):  # not the hint's "…"
        raise UsageError("missing_note", _("--note is missing: say what the evidence is."))
    check_value("attributes", note, "--note")
    if acknowledge == (verdict is not None) or verdict not in (None, "paid", "not-paid"):
        raise UsageError("bad_as", _("Say --as paid or --as not-paid (or --acknowledge)."))
    payment = find(request_id, run)
    by = person()
    now_ms = int(run.now_s() * 1000)
    if acknowledge:
        _acknowledge(payment, f"{by}: {note}", now_ms, run)
    else:
        if payment.open and not yes and run.can_ask():
            _ask(payment, verdict == "paid", run)
        payment = payment if seen is None else payment._replace(tries=seen)
        journal = run.journal()
        payment = close_by_hand(payment, by, note, now_ms, journal, paid=verdict == "paid")
    data = {
        "posctl": 1,
        "command": "resolve",
        "exit_code": int(Exit.OK),
        "payment": payment_json(payment),
        "error": None,
    }
    tries = run.journal().tries_of(payment)
    run.screen.show(
        View(data, lambda canvas: draw_payment(canvas, payment, tries, [], now_ms=now_ms))
    )
    run.mention_open()
    return Exit.OK


def _ask(payment: Payment, paid: bool, run: Run) -> None:
    """Show what is known of it, and let a person say whether it is to be closed."""
    tries = run.journal().tries_of(payment)
    now_ms = int(run.now_s() * 1000)
    run.screen.show(
        View({}, lambda canvas: draw_payment(canvas, payment, tries, [], now_ms=now_ms))
    )
    last = (
        _("Last tried {age} ago.").format(age=age(now_ms - tries[-1].started_ms)) if tries else ""
    )
    question = _("Close it by hand as paid?") if paid else _("Close it by hand as not paid?")
    if not run.confirm(f"{last} {question}".strip()):
        raise Busy("not_confirmed", _("Nothing was closed."))


def _acknowledge(payment: Payment, by: str, now_ms: int, run: Run) -> None:
    silenced = run.journal().transact(lambda tx: tx.acknowledge(payment.request_id, by, now_ms))
    if not silenced:
        raise UsageError("no_alarm", _("This payment has no alarm to acknowledge."))
