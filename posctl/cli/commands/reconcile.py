"""`posctl reconcile`: the journal beside the platform's or the bank's statement."""

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from posctl.cli.framework import Command, new_app
from posctl.cli.named_files import refuse_unwritable, write_out
from posctl.cli.run import Run
from posctl.config.profile import Statement
from posctl.errors import UsageError
from posctl.hint import said
from posctl.messages import N_, _
from posctl.money.order import yuan
from posctl.money.outcome import Exit
from posctl.money.record import Filter
from posctl.money.result import Problem, iso
from posctl.office.reconcile import MARGIN_MS, Found, Item, Reconciled, name_earlier
from posctl.office.reconcile import reconcile as compare
from posctl.office.reconcile_screen import draw_reconciled
from posctl.office.statement import What, read_rows, span_of, unread_columns
from posctl.screen.brush import named
from posctl.screen.contract import envelope
from posctl.screen.screen import View
from posctl.times import date_time, day_span

app = new_app()


class ReconcileOptions(NamedTuple):
    """What the command line said."""

    statement: str
    day: str | None = None
    csv: str | None = None


@app.command(
    cls=Command,
    help=_(
        "Set the journal beside a statement of the platform's or the bank's: a CSV file in UTF-8, "
        "GBK or UTF-16, or a zip archive with one in it. It says what matches, what only one of "
        "them has, amounts that differ, what was given back, and which lines were skipped. Lines "
        "are matched by payment_order_id, channel_order_id or request_id. Alipay's and WeChat's "
        "exports are read as they are; other columns are named in the profile (statement). Exits 0 "
        "when everything matches, else 22."
    ),
    epilog="posctl reconcile statement.csv\n"
    "posctl reconcile statement.csv --day yesterday --csv differences.csv",
)
def reconcile(
    ctx: typer.Context,
    statement: Annotated[str, typer.Argument(metavar="STATEMENT.csv", hidden=True)],
    day: Annotated[
        str | None,
        typer.Option(
            help=_("today, yesterday or 2026-01-31; else the days of the statement."), metavar="DAY"
        ),
    ] = None,
    csv: Annotated[
        str | None,
        typer.Option(help=_("Write what does not match for a spreadsheet."), metavar="FILE|-"),
    ] = None,
) -> int:
    run: Run = ctx.obj
    as_csv = run.screen.manner.format == "csv"
    options = ReconcileOptions(statement=statement, day=day, csv=csv or ("-" if as_csv else None))
    return reconcile_run(options, run)


def reconcile_run(options: ReconcileOptions, run: Run) -> Exit:
    """The whole behaviour of `reconcile`, without the framework."""
    if options.csv == "-" and run.screen.json:
        raise UsageError("one_stdout", _("Only one of --csv - and --json can be printed."))
    refuse_unwritable(options.csv)
    found = _compared(options, run)
    problem = None if found.good else _problem(found)
    code = Exit.OK if found.good else Exit.CONFLICT
    if options.csv is not None:
        from posctl.screen.sheet import sheet

        write_out(options.csv, sheet([_(name) for name in _COLUMNS], _table(found)), run)
    run.banner()
    _mention_unread(options, run)
    if options.csv != "-":
        data = _json(found, code, problem, run)
        profile = run.load().profile
        run.screen.show(View(data, lambda canvas: draw_reconciled(canvas, found, profile)))
    if problem and not run.screen.interactive:
        run.screen.problem(problem)
    return code


def _compared(options: ReconcileOptions, run: Run) -> Reconciled:
    """Both sides, set beside each other. Raises UsageError, JournalError."""
    profile = run.load().profile
    path = Path(options.statement)
    since_ms, until_ms = _period(path, profile.statement, options.day, run)
    which = Filter(
        merchant=profile.merchant, since_ms=since_ms - MARGIN_MS, until_ms=until_ms + MARGIN_MS
    )
    journal = run.journal()
    rows = read_rows(path, profile.statement)
    found = compare(journal.history(which), rows, since_ms, until_ms)
    if found.shortened:
        raise _shortened(path, found)
    if found.outside and not found.matched and found.good:
        raise UsageError(
            "other_time",
            _("{name}: all {n} lines are of another time, so nothing was compared.").format(
                name=path.name, n=found.outside
            ),
            _("Name the statement's day: --day 2026-01-31"),
        )
    earlier = Filter(merchant=profile.merchant, until_ms=since_ms - MARGIN_MS)
    name_earlier(found, journal.history(earlier))
    return found


def _shortened(path: Path, found: Reconciled) -> UsageError:
    words = _(
        "{name}: a spreadsheet has shortened the ids in {n} lines, the first in line {line}: their "
        "digits are lost, and nothing can be matched by them."
    )
    return UsageError(
        "shortened_number",
        words.format(name=path.name, n=len(found.shortened), line=found.shortened[0]),
        _("Download the statement again, and do not open it in a spreadsheet before."),
    )


def _mention_unread(options: ReconcileOptions, run: Run) -> None:
    unread = unread_columns(Path(options.statement), run.load().profile.statement)
    if unread:
        words = _("Not read, though it may be money given back: {names}. See statement: refund.")
        run.screen.note("▲ " + words.format(names=", ".join(unread)))


def _period(path: Path, how: Statement, day: str | None, run: Run) -> tuple[int, int]:
    """Which payments must be in the statement, half open. Raises UsageError."""
    if day is not None:
        return day_span(day, run.now_s())
    span = span_of(read_rows(path, how))
    if span is None:
        raise UsageError(
            "no_period",
            _("{name} does not say when: it has no line with a time.").format(name=path.name),
            _("Say which day it is of, with --day."),
        )
    return span


def _problem(found: Reconciled) -> Problem:
    words = _(
        "The statement and the journal differ: {ours} only in the journal, {theirs} only in the "
        "statement, {differ} with another amount, {refunds} given back."
    )
    return Problem(
        "conflict",
        "not_matching",
        words.format(
            ours=found.only_ours.n,
            theirs=found.only_theirs.n,
            differ=found.differ.n,
            refunds=found.refunds.n,
        ),
        said(_("A person decides about each; charge nobody again because of it.")),
    )


def _json(found: Reconciled, code: Exit, problem: Problem | None, run: Run) -> dict[str, Any]:
    profile = run.load().profile
    return envelope(
        "reconcile",
        code,
        problem,
        profile=profile.name,
        live=profile.live,
        since=iso(found.since_ms),
        until=iso(found.until_ms),
        lines=found.rows,
        lines_outside=found.outside,
        last_line_at=None if found.last_ms is None else iso(found.last_ms),
        begun_later=found.later,
        skipped={what.value: _skipped(found, what) for what in What if what not in _MONEY},
        matched=found.matched,
        matched_fee=found.matched_fee,
        statement={
            "gross_fee": found.charged,
            "refund_fee": found.given_back,
            "net_fee": found.charged - found.given_back,
        },
        **{
            name: {"count": kind.n, "fee": kind.fee}
            | {"more_fee": kind.more, "less_fee": kind.less}
            | {"items": [_item(one) for one in kind.items]}
            for name, kind in _kinds(found)
        },
    )


_MONEY = (What.PAYMENT, What.REFUND)
_LINES_TOLD = 20


def _skipped(found: Reconciled, what: What) -> dict[str, Any]:
    lines = found.skipped.get(what)
    if lines is None:
        return {"count": 0, "fee": 0, "lines": []}
    return {"count": lines.n, "fee": lines.fee, "lines": lines.lines[:_LINES_TOLD]}


def _kinds(found: Reconciled) -> tuple[tuple[str, Found], ...]:
    kinds = (found.only_ours, found.only_theirs, found.differ, found.refunds, found.open)
    return tuple(zip(_KINDS, kinds, strict=True))


def _item(item: Item) -> dict[str, Any]:
    return {
        "request_id": item.request_id,
        "checkout_id": item.checkout_id,
        "outcome": item.outcome,
        "fee": item.fee,
        "statement_fee": item.theirs,
        "at": None if item.at_ms is None else iso(item.at_ms),
        "ids": list(item.ids),
        "line": item.line,
        "lines": list(item.lines),
        "refund_at": None if item.back_ms is None else iso(item.back_ms),
    }


_COLUMNS = (
    *(N_("kind"), N_("request_id"), N_("checkout_id"), N_("outcome"), N_("fee"), N_("yuan")),
    *(N_("statement_fee"), N_("statement_yuan"), N_("at"), N_("line"), N_("ids")),
    N_("refund_at"),
)
_KINDS = (N_("only_ours"), N_("only_theirs"), N_("differ"), N_("refunds"), N_("open"))


def _table(found: Reconciled) -> list[tuple[object, ...]]:
    return [
        (
            *(_(name), one.request_id, one.checkout_id),
            *(one.outcome and named(one.outcome), one.fee, yuan(one.fee)),
            *(one.theirs, yuan(one.theirs), None if one.at_ms is None else date_time(one.at_ms)),
            *(" ".join(map(str, one.lines)) or one.line, " ".join(one.ids)),
            None if one.back_ms is None else date_time(one.back_ms),
        )
        for name, kind in _kinds(found)
        for one in kind.items
    ]
