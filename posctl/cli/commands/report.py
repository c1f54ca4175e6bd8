"""`posctl report`: what a shift or a day came to; closing a shift; checking the closed ones."""

import re
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import typer

from posctl.cli.framework import Command, new_app
from posctl.cli.named_files import refuse_unwritable, write_out
from posctl.cli.run import Run
from posctl.cli.shift import (
    close_running,
    closing_by,
    mention_empty,
    mention_merged,
    question_to_close,
    running_now,
    shift_so_far,
    show_report,
)
from posctl.errors import Interrupted, UsageError
from posctl.hint import Say, Type, said
from posctl.messages import _
from posctl.money.order import check_value
from posctl.money.outcome import Exit
from posctl.money.record import Payment, members_asked
from posctl.money.result import Problem, iso
from posctl.office.report import DIMENSIONS, Report
from posctl.office.report_screen import (
    command,
    draw_checked,
    part_paid_line,
    part_paid_words,
)
from posctl.office.shift import (
    OutOfReach,
    Span,
    check_shifts,
    closed_shift,
    closed_shifts,
    payments_in,
    report_of,
)
from posctl.paying.by_hand import person
from posctl.screen.contract import envelope
from posctl.screen.screen import View
from posctl.times import span as time_span

app = new_app()


class ReportOptions(NamedTuple):
    """What to sum up, and where to write it besides the screen."""

    day: str | None
    since: str | None
    until: str | None
    shift: str | None
    by: str | None
    csv: str | None
    html: str | None
    close: bool
    note: str | None
    yes: bool
    verify: bool
    listed: bool
    details: bool
    shop: str | None
    operator: str | None
    machine: str | None

    @property
    def only(self) -> dict[str, str]:
        """What a span is narrowed to, by the API's names."""
        return members_asked(self.shop, self.operator, self.machine)


@app.command(
    cls=Command,
    help=_(
        "Sum up the running shift (X, reads only), a closed one, a day or a span of time. Only "
        "paid payments are money; open ones are listed apart, since they may have been charged. "
        "--close numbers and closes the shift (Z): every payment settled since the last one is in "
        "it, for good; open payments stay for the next shift. Shifts count per merchant and "
        "journal. A closed shift carries a hash over its payments and the shift before it, so "
        "that --verify shows what was altered afterwards; print it to keep the last one safe too."
    ),
    epilog="posctl report\nposctl report --day yesterday --html report.html\n"
    "posctl report --day yesterday --details --csv payments.csv\n"
    "posctl report --since 2026-01-01 --until 2026-01-31 --by operator --csv -\n"
    "posctl report --close\nposctl report --list --since 2026-01-01\nposctl report --verify",
)
def report(
    ctx: typer.Context,
    day: Annotated[
        str | None, typer.Option(help=_("today, yesterday or 2026-01-31."), metavar="DAY")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help=_("From this day or 2026-01-31T09:30 on."), metavar="WHEN")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(help=_("To the end of this day, or before 2026-01-31T21:30."), metavar="WHEN"),
    ] = None,
    shift: Annotated[str | None, typer.Option(help=_("A closed shift."), metavar="N")] = None,
    by: Annotated[
        str | None,
        typer.Option(help=_("Only one of the tables."), metavar="|".join(DIMENSIONS)),
    ] = None,
    csv: Annotated[
        str | None, typer.Option(help=_("Write it for a spreadsheet."), metavar="FILE|-")
    ] = None,
    html: Annotated[
        str | None, typer.Option(help=_("Write it as a page to read or print."), metavar="FILE|-")
    ] = None,
    close: Annotated[bool, typer.Option("--close", help=_("Close the running shift."))] = False,
    note: Annotated[
        str | None,
        typer.Option(
            help=_("What to remember of it; needed to close while payments are open."),
            metavar="TEXT",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help=_("Answer confirmations with yes."))] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help=_("Check every closed shift; 31 when one was altered."))
    ] = False,
    listed: Annotated[
        bool, typer.Option("--list", help=_("List the closed shifts, of all time or of a span."))
    ] = False,
    details: Annotated[
        bool, typer.Option("--details", help=_("With every payment, one a line; in CSV only they."))
    ] = False,
    shop: Annotated[str | None, typer.Option(help=_("Only this shop_id."), metavar="ID")] = None,
    operator: Annotated[
        str | None, typer.Option(help=_("Only this operator_id."), metavar="ID")
    ] = None,
    machine: Annotated[str | None, typer.Option(help=_("Only this till."), metavar="ID")] = None,
) -> int:
    as_csv = "-" if ctx.obj.screen.manner.format == "csv" else None
    options = ReportOptions(
        day=day,
        since=since,
        until=until,
        shift=shift,
        by=by,
        csv=csv or as_csv,
        html=html,
        close=close,
        note=note,
        yes=yes,
        verify=verify,
        listed=listed,
        details=details,
        shop=shop,
        operator=operator,
        machine=machine,
    )
    return report_run(options, ctx.obj)


def _refuse_clashes(options: ReportOptions, run: Run) -> None:
    is_span = not {options.since, options.until, options.day} <= {None}
    ways = [is_span, options.shift is not None, options.close, options.verify]
    if ways.count(True) > 1:
        raise UsageError(
            "which", _("Of --day with --since/--until, --shift, --close and --verify, give one.")
        )
    if options.listed:
        _refuse_with_list(options, ways[1:])
    if options.only and not is_span:
        raise UsageError(
            "only_of_a_span",
            _("--shop, --operator and --machine go with --day or --since/--until."),
            (Say(_("A shift is the whole merchant's. Of today:")), Type(_of_today(options))),
        )
    if options.by is not None and options.by not in DIMENSIONS:
        raise UsageError("bad_by", _("--by is one of: {list}.").format(list=", ".join(DIMENSIONS)))
    to_stdout = [options.csv == "-", options.html == "-", run.screen.json]
    if to_stdout.count(True) > 1:
        raise UsageError(
            "one_stdout", _("Only one of --csv -, --html - and --json can be printed.")
        )
    if options.note is not None:
        if not options.close:
            raise UsageError("note_without_close", _("--note goes with --close."))
        check_value("attributes", options.note, "--note")


def _of_today(options: ReportOptions) -> tuple[str, ...]:
    """The command for a day instead of a shift, narrowed as it was asked."""
    asked = {"--shop": options.shop, "--operator": options.operator, "--machine": options.machine}
    narrowed = (word for name, value in asked.items() if value for word in (name, value))
    return "report", "--day", "today", *narrowed


def _refuse_with_list(options: ReportOptions, ways: list[bool]) -> None:
    others = (options.by, options.html, options.details or None)
    if any(ways) or options.only or any(one is not None for one in others):
        raise UsageError(
            "which",
            _("--list goes with --csv and with --day or --since/--until, with nothing else."),
        )


def report_run(options: ReportOptions, run: Run) -> Exit:
    """The whole behaviour of `report`, without the framework."""
    _refuse_clashes(options, run)
    if options.verify:
        return _verify(run)
    for target in (options.csv, options.html):
        refuse_unwritable(target)
    run.mention_zone()
    if options.listed:
        return _list(options, run)
    found = _close(options, run) if options.close else _look(options, run)
    return _show(found, options, run)


# ── what is summed up ────────────────────────────────────────────────────────────────────────


def _look(options: ReportOptions, run: Run) -> Report:
    span = Span(*time_span(options.day, options.since, options.until, run.now_s()))
    number = None if options.shift is None else _shift_number(options.shift)
    profile = run.load().profile
    journal = run.journal()
    if number is not None:
        return closed_shift(journal, profile.merchant, number)
    if span == Span(None, None):
        return shift_so_far(run)
    out_of_reach = OutOfReach(open=run.unreached(), paid=run.unreached_paid(*span))
    return report_of(journal, profile, span, options.only, out_of_reach)


def _shift_number(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise UsageError("bad_shift", _("--shift is the number of a closed shift, as in 1."))
    return int(text)


# ── closing a shift, and checking the closed ones ────────────────────────────────────────────


def _close(options: ReportOptions, run: Run) -> Report:
    closing = closing_by(run, person(run.load().profile.defaults.get("operator_id")), options.note)
    if run.can_ask() and not options.yes:
        running = running_now(run, run.own_journal())
        _mention_part_paid(running, run)
        if not run.confirm(question_to_close(running, closing, run)):
            raise Interrupted("not_closed", _("The shift was not closed."))
        closing = closing._replace(meant=running.shift)
    closed = close_running(run, closing)
    if closing.meant is None:  # nobody was asked; a job that closes every night goes on
        mention_empty(closed, run)
    if not run.screen.drawn:  # what is drawn has them
        _mention_part_paid(closed, run)
    return closed


def _mention_part_paid(found: Report, run: Run) -> None:
    """A line on stderr for each checkout that still needs something; it hinders nobody."""
    if found.part_paid:
        run.screen.note(f"▲ {part_paid_words(found)}")
        for one in found.part_paid:
            run.screen.note(f"  {part_paid_line(one)}")


def _verify(run: Run) -> Exit:
    profile = run.load().profile
    checked = check_shifts(run.journal(), profile.merchant)
    bad = [one.number for one in checked if one.fault not in (None, "gone")]
    problem = None
    if bad:
        problem = Problem(
            "journal",
            "shift_altered",
            _("These shifts are not as they were closed: {numbers}.").format(
                numbers=", ".join(map(str, bad))
            ),
            said(_("Compare them with their printed pages and with a backup of the journal.")),
        )
    code = Exit.JOURNAL if bad else Exit.OK
    data = envelope(
        "report",
        code,
        problem,
        profile=profile.name,
        live=profile.live,
        shifts=[{"shift": one.number, "fault": one.fault} for one in checked],
    )
    run.banner()
    mention_merged(run)
    run.screen.show(View(data, lambda canvas: draw_checked(canvas, checked)))
    if problem:
        run.screen.problem(problem)
    return code


def _list(options: ReportOptions, run: Run) -> Exit:
    from posctl.office.shift_list import (
        draw_shifts,
        shift_json,
        shifts_sheet,
    )

    since_ms, until_ms = time_span(options.day, options.since, options.until, run.now_s())
    profile = run.load().profile
    shifts = closed_shifts(run.journal(), profile.merchant, Span(since_ms, until_ms))
    if options.csv is not None:
        write_out(options.csv, shifts_sheet(shifts), run)
    run.banner()
    mention_merged(run)
    if not shifts:
        run.screen.empty(_("No shift was closed in this time."))
    if options.csv != "-":
        data = envelope(
            "report",
            Exit.OK,
            profile=profile.name,
            live=profile.live,
            since=None if since_ms is None else iso(since_ms),
            until=None if until_ms is None else iso(until_ms),
            shifts=[shift_json(one) for one in shifts],
        )
        view = View(
            data, lambda canvas: draw_shifts(canvas, shifts, profile.name, live=profile.live)
        )
        run.screen.show(view)
    return Exit.OK


# ── showing it ───────────────────────────────────────────────────────────────────────────────


def _show(found: Report, options: ReportOptions, run: Run) -> Exit:
    dimensions = DIMENSIONS if options.by is None else (options.by,)
    payments = None
    if options.details:
        payments = payments_in(run.journal(), run.load().profile.merchant, found)
    if options.html is not None:
        from posctl.office.report_html import html_page

        shop = run.load().profile.receipt.header
        page = html_page(found, dimensions, shop, run.now_ms(), payments or ())
        _write(options.html, page, found, run)
    if options.csv is not None:
        run.mention_unreached(found.out_of_reach)  # a sheet has no place for it
        _write(options.csv, _sheet(found, dimensions, payments), found, run)
    run.banner()
    mention_merged(run)
    if "-" not in (options.html, options.csv):
        show_report(found, dimensions, run, payments)
    return Exit.OK


def _sheet(found: Report, dimensions: Sequence[str], payments: Sequence[Payment] | None) -> str:
    if payments is None:
        from posctl.office.report_data import report_sheet

        return report_sheet(found, dimensions)
    from posctl.office.details import details_of

    return details_of(payments, found.corrections, found.fee)


def _write(target: str, text: str, found: Report, run: Run) -> None:
    try:
        write_out(target, text, run)
    except UsageError as error:
        if found.closed_ms is not None:
            again = command(found, "report", "--shift", str(found.shift))
            error.hint = (Say(_("The shift is closed. Its report:")), again)
        raise
