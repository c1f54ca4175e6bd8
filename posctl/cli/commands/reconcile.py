"""`posctl reconcile`: the journal beside the platform's or the bank's statement."""

from pathlib import Path
from typing import Annotated, Any

import typer

from posctl.cli.commands._files import write_out
from posctl.cli.commands.history import day_span
from posctl.cli.framework import Command, new_app
from posctl.cli.run import Run
from posctl.config.profile import Statement
from posctl.errors import UsageError
from posctl.hint import said
from posctl.messages import _
from posctl.money.order import yuan
from posctl.money.outcome import Exit
from posctl.money.record import Filter
from posctl.money.result import Problem, iso, problem_json
from posctl.office.reconcile import (
    MARGIN_MS,
    Found,
    Item,
    Reconciled,
    read_rows,
    reconcile,
    span_of,
)
from posctl.office.reconcile_screen import draw_reconciled
from posctl.screen.screen import View

app = new_app()


@app.command(
    name="reconcile",
    cls=Command,
    help=_(
        "Set the journal beside a statement of the platform's or the bank's, a CSV file in UTF-8 "
        "or GBK: what matches, what only one of them has, and amounts that differ. Lines are "
        "matched by payment_order_id, channel_order_id or request_id; several lines of one "
        "payment, as after a refund, are summed. Alipay's exports are read as they are; other "
        "columns are named in the profile (statement). Exits 0 when everything matches, else 22."
    ),
    epilog="posctl reconcile statement.csv\n"
    "posctl reconcile statement.csv --day yesterday --csv differences.csv",
)
def reconcile_command(
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
    if csv == "-" and run.screen.json:
        raise UsageError("one_stdout", _("Only one of --csv - and --json can be printed."))
    profile = run.load().profile
    path = Path(statement)
    since_ms, until_ms = _period(path, profile.statement, day, run)
    which = Filter(
        merchant=profile.merchant,
        since_ms=since_ms - MARGIN_MS,
        until_ms=until_ms + MARGIN_MS,
    )
    payments = run.journal().history(which)
    found = reconcile(payments, read_rows(path, profile.statement), since_ms, until_ms)
    problem = None if found.good else _problem(found)
    code = Exit.OK if found.good else Exit.CONFLICT
    if csv is not None:
        from posctl.office.sheet import sheet  # noqa: PLC0415  only for --csv

        write_out(csv, sheet(_COLUMNS, _table(found)), run)
    run.banner()
    if csv != "-":
        data = _json(found, code, problem, run)
        run.screen.show(View(data, lambda canvas: draw_reconciled(canvas, found, profile)))
    if problem and not run.screen.interactive:
        run.screen.problem(problem)
    return code


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
        "statement, {differ} with another amount."
    )
    return Problem(
        "conflict",
        "not_matching",
        words.format(ours=found.only_ours.n, theirs=found.only_theirs.n, differ=found.differ.n),
        said(_("A person decides about each; charge nobody again because of it.")),
    )


def _json(found: Reconciled, code: Exit, problem: Problem | None, run: Run) -> dict[str, Any]:
    profile = run.load().profile
    return {
        "posctl": 1,
        "command": "reconcile",
        "exit_code": int(code),
        "profile": profile.name,
        "live": profile.live,
        "since": iso(found.since_ms),
        "until": iso(found.until_ms),
        "lines": found.rows,
        "lines_outside": found.outside,
        "matched": found.matched,
        "matched_fee": found.matched_fee,
        **{
            name: {"count": kind.n, "fee": kind.fee, "items": [_item(one) for one in kind.items]}
            for name, kind in _kinds(found)
        },
        "error": problem_json(problem),
    }


def _kinds(found: Reconciled) -> tuple[tuple[str, Found], ...]:
    return (
        ("only_ours", found.only_ours),
        ("only_theirs", found.only_theirs),
        ("differ", found.differ),
        ("open", found.open),
    )


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
    }


_COLUMNS = (
    *("kind", "request_id", "checkout_id", "outcome", "fee", "yuan", "statement_fee"),
    *("statement_yuan", "at", "line", "ids"),
)


def _table(found: Reconciled) -> list[tuple[object, ...]]:
    return [
        (
            *(name, one.request_id, one.checkout_id, one.outcome, one.fee, yuan(one.fee)),
            *(one.theirs, yuan(one.theirs), None if one.at_ms is None else iso(one.at_ms)),
            *(one.line, " ".join(one.ids)),
        )
        for name, kind in _kinds(found)
        for one in kind.items
    ]
