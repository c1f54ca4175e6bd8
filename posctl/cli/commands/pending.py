"""`posctl pending`: what is open, oldest first, and what to type."""

from typing import Annotated

import typer

from posctl.cli.commands._money import narrowed
from posctl.cli.framework import Command, new_app
from posctl.cli.run import Run
from posctl.messages import _
from posctl.money.advice import still_to_do, what_happened_last
from posctl.money.outcome import Exit
from posctl.money.result import alarm_json, payment_json
from posctl.paying.unreached import unreached_json
from posctl.screen.contract import envelope
from posctl.screen.payments import draw_open
from posctl.screen.screen import View
from posctl.shell import as_text

app = new_app()


@app.command(
    cls=Command,
    help=_("The open payments, oldest first, and the alarms not yet acknowledged."),
    epilog="posctl pending\nposctl pending --check\nposctl pending --shop 12 --machine 003",
)
def pending(
    ctx: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help=_("Exit 20 when anything is open, else 0."))
    ] = False,
    shop: Annotated[str | None, typer.Option(help=_("Only this shop_id."), metavar="ID")] = None,
    operator: Annotated[
        str | None, typer.Option(help=_("Only this operator_id."), metavar="ID")
    ] = None,
    machine: Annotated[str | None, typer.Option(help=_("Only this till."), metavar="ID")] = None,
) -> int:
    run: Run = ctx.obj
    profile = run.load().profile
    merchant = profile.merchant
    journal = run.journal()
    asked = {"shop_id": shop, "operator_id": operator, "machine_id": machine}
    only = {name: value for name, value in asked.items() if value is not None}
    payments = narrowed(journal.open_payments(merchant), only)
    # An alarm is about money that may be gone: nobody narrows it away.
    alarms = journal.alarms(merchant)
    unreached = run.unreached()
    tries = {p.request_id: journal.last_try(p) for p in payments}
    now_ms = run.now_ms()
    code = Exit.PENDING if check and (payments or alarms) else Exit.OK
    data = envelope(
        "pending",
        code,
        payments=[
            payment_json(payment)
            | {
                "age_s": max(0, now_ms - payment.created_ms) // 1000,
                "why": what_happened_last(tries[payment.request_id]),
                "next": as_text(still_to_do(payment, now_ms)),
            }
            for payment in payments
        ],
        alarms=[alarm_json(alarm) for alarm in alarms],
        unreached=unreached_json(unreached),
    )
    run.screen.show(
        View(
            data,
            lambda canvas: draw_open(
                canvas, payments, tries, alarms, profile.name, live=profile.live, now_ms=now_ms
            ),
        )
    )
    run.mention_unreached(unreached)
    return code
