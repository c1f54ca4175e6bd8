"""`posctl history`: payments by day, shop, checkout, operator, outcome."""

import re
from itertools import islice
from typing import Annotated

import typer

from posctl.cli.framework import Command, new_app
from posctl.cli.run import Run
from posctl.errors import UsageError
from posctl.messages import _
from posctl.money.outcome import Exit, Outcome
from posctl.money.record import Filter
from posctl.money.result import payment_json
from posctl.paying.unreached import unreached_json
from posctl.screen.contract import envelope
from posctl.screen.payments import draw_payments
from posctl.screen.screen import View
from posctl.times import day_span

app = new_app()

OUTCOMES = tuple(outcome.value for outcome in Outcome if outcome is not Outcome.BLOCKED)


@app.command(
    cls=Command,
    help=_("List payments, newest first."),
    epilog="posctl history --day today\nposctl history --outcome unknown --json",
)
def history(
    ctx: typer.Context,
    day: Annotated[
        str | None, typer.Option(help=_("today, yesterday or 2026-01-31."), metavar="DAY")
    ] = None,
    shop: Annotated[str | None, typer.Option(help=_("Only this shop_id."), metavar="ID")] = None,
    checkout: Annotated[
        str | None, typer.Option(help=_("Only this checkout_id."), metavar="ID")
    ] = None,
    operator: Annotated[
        str | None, typer.Option(help=_("Only this operator_id."), metavar="ID")
    ] = None,
    machine: Annotated[str | None, typer.Option(help=_("Only this till."), metavar="ID")] = None,
    outcome: Annotated[
        str | None,
        typer.Option(help=_("One of: {list}.").format(list=", ".join(OUTCOMES)), metavar="OUTCOME"),
    ] = None,
    limit: Annotated[str, typer.Option(help=_("Show at most N."), metavar="N")] = "50",
) -> int:
    run: Run = ctx.obj
    since_ms, until_ms = day_span(day, run.now_s()) if day else (None, None)
    if outcome is not None and outcome not in OUTCOMES:
        raise UsageError(
            "bad_outcome", _("--outcome is one of: {list}.").format(list=", ".join(OUTCOMES))
        )
    if not (re.fullmatch(r"[0-9]{1,6}", limit) and 0 < int(limit) <= 100_000):
        raise UsageError("bad_limit", _("--limit is a whole number from 1 to 100000."))
    which = Filter(
        merchant=run.load().profile.merchant,
        since_ms=since_ms,
        until_ms=until_ms,
        shop_id=shop,
        checkout_id=checkout,
        operator_id=operator,
        machine_id=machine,
        outcome=Outcome(outcome) if outcome else None,
    )
    found = run.journal().history(which)
    payments = list(islice(found, int(limit)))
    more = next(found, None) is not None
    unreached = run.unreached()
    data = envelope(
        "history",
        Exit.OK,
        payments=[payment_json(payment) for payment in payments],
        more=more,
        unreached=unreached_json(unreached),
    )
    now_ms = run.now_ms()
    run.screen.show(View(data, lambda canvas: draw_payments(canvas, payments, now_ms=now_ms)))
    if more:
        run.screen.aside(
            _("▲ These are the latest {limit}, and there are more. List more with --limit.").format(
                limit=limit
            )
        )
    run.mention_unreached(unreached)
    run.mention_open()
    return Exit.OK
