"""`posctl history`: payments found by day and time, amount, id, shop, till, checkout, outcome."""

import re
from itertools import islice
from typing import Annotated, NamedTuple

import typer

from posctl.cli.find import named
from posctl.cli.framework import Command, new_app
from posctl.cli.named_files import refuse_unwritable, write_out
from posctl.cli.run import Run
from posctl.errors import UsageError
from posctl.messages import _
from posctl.money.advice import with_fen
from posctl.money.codes import discreet
from posctl.money.outcome import Exit, Outcome
from posctl.money.record import Filter, OpenOf, Payment
from posctl.money.result import payment_json
from posctl.paying.unreached import unreached_json
from posctl.screen.contract import envelope
from posctl.screen.payments import draw_payments, outcome_meant
from posctl.screen.screen import View
from posctl.times import span

app = new_app()

OUTCOMES = (*(outcome.value for outcome in Outcome if outcome is not Outcome.BLOCKED), "open")


class HistoryOptions(NamedTuple):
    """Which payments to list, as they were typed; None lets everything through."""

    day: str | None
    since: str | None
    until: str | None
    fee: str | None
    payment_id: str | None
    shop: str | None
    checkout: str | None
    operator: str | None
    machine: str | None
    outcome: str | None
    limit: str | None
    csv: str | None


@app.command(
    cls=Command,
    help=_("List payments, newest first."),
    epilog="posctl history --day yesterday\n"
    "posctl history --fee 58.00 --since 14:30 --until 15:30\n"
    "posctl history --outcome open\nposctl history --day 2026-01-31 --csv payments.csv",
)
def history(
    ctx: typer.Context,
    day: Annotated[
        str | None, typer.Option(help=_("today, yesterday, 01-31 or 2026-01-31."), metavar="DAY")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help=_("From this day, 14:30 (today, or on --day) or 2026-01-31T14:30 on."),
            metavar="WHEN",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(help=_("To the end of this day, or before 15:30."), metavar="WHEN"),
    ] = None,
    fee: Annotated[
        str | None,
        typer.Option(help=_("Only this amount: 5800 in fen, or 58.00 in yuan."), metavar="FEE"),
    ] = None,
    payment_id: Annotated[
        str | None,
        typer.Option(
            "--id",
            help=_("Only this: request_id or its beginning, payment_order_id, channel_order_id."),
            metavar="ID",
        ),
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
    limit: Annotated[
        str | None,
        typer.Option(help=_("Show at most N; otherwise 50, in a file all."), metavar="N"),
    ] = None,
    csv: Annotated[
        str | None, typer.Option(help=_("Write them for a spreadsheet."), metavar="FILE|-")
    ] = None,
) -> int:
    options = HistoryOptions(
        day=day,
        since=since,
        until=until,
        fee=fee,
        payment_id=payment_id,
        shop=shop,
        checkout=checkout,
        operator=operator,
        machine=machine,
        outcome=outcome,
        limit=limit,
        csv=csv,
    )
    return history_run(options, ctx.obj)


def history_run(options: HistoryOptions, run: Run) -> Exit:
    """The whole behaviour of `history`, without the framework."""
    which = _which(options, run.now_s())
    limit = _limit(options)
    if options.csv == "-" and run.screen.json:
        raise UsageError("one_stdout", _("Only one of --csv - and --json can be printed."))
    wanted = None if options.payment_id is None else named(options.payment_id)
    refuse_unwritable(options.csv)
    which = which._replace(merchant=run.load().profile.merchant)
    if wanted is None:
        found = run.journal().history(which)
    else:
        ids = [one.request_id for one in run.journal().named(wanted)]
        found = (one for r in ids for one in run.journal().history(which._replace(request_id=r)))
    payments = list(islice(found, limit))
    more = next(found, None) is not None
    unreached = run.unreached()
    if options.csv is not None:
        from posctl.office.details import details

        write_out(options.csv, details(payments), run)
    if options.csv != "-":
        _show(payments, unreached, run, more=more)
    if not payments:
        run.screen.empty(_("No payments."))
    if not payments and options.fee is not None and options.fee.isdecimal():
        words = _("▲ --fee {fee} is {money}. An amount in yuan has a point: --fee {fee}.00")
        run.screen.aside(words.format(fee=options.fee, money=with_fen(int(options.fee))))
    if more:
        # A list that is cut short is no list of the day: said with --quiet, too; JSON has its key.
        tell = run.screen.aside if run.screen.json else run.screen.note
        tell(
            _("▲ These are the latest {limit}, and there are more. List more with --limit.").format(
                limit=limit
            )
        )
    run.mention_unreached(unreached)
    run.mention_open()
    return Exit.OK


def _show(payments: list[Payment], unreached: tuple[OpenOf, ...], run: Run, *, more: bool) -> None:
    data = envelope(
        "history",
        Exit.OK,
        payments=[payment_json(payment) for payment in payments],
        more=more,
        unreached=unreached_json(unreached),
    )
    profile, now_ms = run.load().profile, run.now_ms()
    run.screen.show(
        View(
            data,
            lambda canvas: draw_payments(
                canvas, payments, profile.name, live=profile.live, now_ms=now_ms
            ),
        )
    )


# ── what was typed ───────────────────────────────────────────────────────────────────────────


def _which(options: HistoryOptions, now_s: float) -> Filter:
    since_ms, until_ms = span(options.day, options.since, options.until, now_s)
    meant = None if options.outcome is None else outcome_meant(options.outcome)
    if options.outcome is not None and meant is None:
        raise UsageError(
            "bad_outcome", _("--outcome is one of: {list}.").format(list=", ".join(OUTCOMES))
        )
    return Filter(
        since_ms=since_ms,
        until_ms=until_ms,
        shop_id=options.shop,
        checkout_id=options.checkout,
        operator_id=options.operator,
        machine_id=options.machine,
        outcome=meant if isinstance(meant, Outcome) else None,
        is_open=True if meant == "open" else None,
        pay_fee=None if options.fee is None else _fee(options.fee),
    )


def _fee(text: str) -> int:
    """Fen: 5800, or 58.00 and 58.0 yuan, with or without a sign of the currency."""
    plain = text.strip().removeprefix("￥").removeprefix("¥")
    if re.fullmatch(r"[0-9]{1,3}(,[0-9]{3}){1,3}\.[0-9]{2}", plain):  # as the screen has it
        plain = plain.replace(",", "")
    if re.fullmatch(r"[0-9]{1,10}", plain) and plain == text:
        return int(plain)
    if re.fullmatch(r"[0-9]{1,10}\.[0-9]{1,2}", plain):
        whole, _point, part = plain.partition(".")
        return int(whole) * 100 + int(part.ljust(2, "0"))
    raise UsageError(
        "bad_fee",
        _("--fee {fee} is not an amount: 5800 is in fen, 58.00 in yuan.").format(
            fee=discreet(text[:64])
        ),
    )


def _limit(options: HistoryOptions) -> int:
    if options.limit is None:
        return 50 if options.csv is None else 100_000
    if re.fullmatch(r"[0-9]{1,6}", options.limit) and 0 < int(options.limit) <= 100_000:
        return int(options.limit)
    raise UsageError("bad_limit", _("--limit is a whole number from 1 to 100000."))
