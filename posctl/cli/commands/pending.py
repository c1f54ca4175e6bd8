"""`posctl pending`: what is open, oldest first, and what to type."""

import re
from typing import Annotated

import typer

from posctl.cli.commands._money import narrowed
from posctl.cli.framework import Command, new_app
from posctl.cli.run import Run
from posctl.errors import UsageError
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

MS_OF = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@app.command(
    cls=Command,
    help=_("The open payments, oldest first, and the alarms not yet acknowledged."),
    epilog=(
        "posctl pending\nposctl pending --check --older-than 5m\n"
        "posctl pending --shop 12 --machine 003"
    ),
)
def pending(
    ctx: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help=_("Exit 20 when anything is open, else 0."))
    ] = False,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than",
            help=_("Only payments that are older: 90s, 5m, 2h or 1d. Alarms are always told."),
            metavar="AGE",
        ),
    ] = None,
    shop: Annotated[str | None, typer.Option(help=_("Only this shop_id."), metavar="ID")] = None,
    operator: Annotated[
        str | None, typer.Option(help=_("Only this operator_id."), metavar="ID")
    ] = None,
    machine: Annotated[str | None, typer.Option(help=_("Only this till."), metavar="ID")] = None,
) -> int:
    run: Run = ctx.obj
    least_ms = _age_ms(older_than) if older_than is not None else 0
    profile = run.load().profile
    merchant = profile.merchant
    journal = run.journal()
    asked = {"shop_id": shop, "operator_id": operator, "machine_id": machine}
    only = {name: value for name, value in asked.items() if value is not None}
    now_ms = run.now_ms()
    payments = [
        payment
        for payment in narrowed(journal.open_payments(merchant), only)
        if now_ms - payment.created_ms >= least_ms or least_ms == 0
    ]
    # An alarm is about money that may be gone: nobody narrows it away.
    alarms = journal.alarms(merchant)
    unreached = run.unreached()
    tries = {p.request_id: journal.last_try(p) for p in payments}
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
                canvas,
                payments,
                tries,
                alarms,
                profile.name,
                live=profile.live,
                now_ms=now_ms,
                older_than=older_than,
            ),
        )
    )
    run.mention_unreached(unreached)
    return code


def _age_ms(text: str) -> int:
    """`5m` as milliseconds. Raises UsageError."""
    parts = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if parts is None or int(parts[1]) == 0:
        raise UsageError(
            "bad_age", _("--older-than is a whole number with s, m, h or d, as in 5m.")
        )
    return int(parts[1]) * MS_OF[parts[2]]
