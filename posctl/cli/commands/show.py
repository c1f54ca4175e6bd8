"""`posctl show`: one payment with every try."""

from typing import Annotated, NamedTuple

import typer

from posctl.cli.find import find
from posctl.cli.framework import Command, new_app
from posctl.cli.run import Run
from posctl.messages import _
from posctl.money.outcome import Exit
from posctl.money.record import Filter
from posctl.money.result import alarm_json, correction_json, payment_json, try_json
from posctl.screen.contract import envelope
from posctl.screen.payments import draw_payment
from posctl.screen.screen import View

app = new_app()


class ShowOptions(NamedTuple):
    """Which payment to show."""

    payment_id: str


@app.command(
    cls=Command,
    help=_("Show one payment with every try."),
    epilog="posctl show 75626abc-452d-486e-970d-e65e12fc1456",
)
def show(
    ctx: typer.Context,
    payment_id: Annotated[str, typer.Argument(metavar="ID", hidden=True)],
) -> int:
    return show_run(ShowOptions(payment_id=payment_id), ctx.obj)


def show_run(options: ShowOptions, run: Run) -> Exit:
    """The whole behaviour of `show`, without the framework."""
    payment = find(options.payment_id, run)
    journal = run.journal()
    tries = journal.tries_of(payment)
    alarms = [
        a for a in journal.alarms(payment.checkout.merchant) if a.request_id == payment.request_id
    ]
    corrections = journal.corrections(Filter(request_id=payment.request_id))
    data = envelope(
        "show",
        Exit.OK,
        payment=payment_json(payment),
        tries=[try_json(one) for one in tries],
        alarms=[alarm_json(alarm) for alarm in alarms],
        corrections=[correction_json(one) for one in corrections],
    )
    now_ms = run.now_ms()
    run.screen.show(
        View(
            data,
            lambda canvas: draw_payment(canvas, payment, tries, alarms, corrections, now_ms=now_ms),
        )
    )
    run.mention_open(besides=payment)
    return Exit.OK
