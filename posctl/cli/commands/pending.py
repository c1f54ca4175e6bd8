"""`posctl pending`: what is open, oldest first, and what to type."""

from typing import Annotated, NamedTuple

import typer

from posctl.cli.framework import Command, new_app
from posctl.cli.run import Run
from posctl.messages import _
from posctl.money.advice import still_to_do, what_happened_last
from posctl.money.outcome import Exit
from posctl.money.record import members_asked, narrowed
from posctl.money.result import alarm_json, payment_json
from posctl.paying.unreached import unreached_json
from posctl.screen.contract import envelope
from posctl.screen.payments import draw_open
from posctl.screen.screen import View
from posctl.shell import as_text
from posctl.times import age_ms_in

app = new_app()


class PendingOptions(NamedTuple):
    """Which of the open payments: those older than `older_than`, of one shop, operator or till."""

    check: bool
    older_than: str | None
    shop: str | None
    operator: str | None
    machine: str | None

    @property
    def only(self) -> dict[str, str]:
        """What is asked for, by the API's names."""
        return members_asked(self.shop, self.operator, self.machine)


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
    options = PendingOptions(
        check=check, older_than=older_than, shop=shop, operator=operator, machine=machine
    )
    return pending_run(options, ctx.obj)


def pending_run(options: PendingOptions, run: Run) -> Exit:
    """The whole behaviour of `pending`, without the framework."""
    least_ms = age_ms_in(options.older_than) if options.older_than is not None else 0
    profile = run.load().profile
    merchant = profile.merchant
    journal = run.journal()
    now_ms = run.now_ms()
    payments = [
        payment
        for payment in narrowed(journal.open_payments(merchant), options.only)
        if now_ms - payment.created_ms >= least_ms or least_ms == 0
    ]
    # An alarm is about money that may be gone: nobody narrows it away.
    alarms = journal.alarms(merchant)
    unreached = run.unreached()
    tries = {p.request_id: journal.last_try(p) for p in payments}
    code = Exit.PENDING if options.check and (payments or alarms) else Exit.OK
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
                older_than=options.older_than,
            ),
        )
    )
    if not (payments or alarms or options.check):  # the exit code answers that
        run.screen.empty(_("Nothing is open."))
    run.mention_unreached(unreached)
    return code
