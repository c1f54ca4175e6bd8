"""`posctl report`: what a shift or a day came to; closing a shift; checking the closed ones."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import typer

from posctl.cli.commands._files import refuse_unwritable, write_out
from posctl.cli.commands._money import narrowed
from posctl.cli.framework import Command, new_app
from posctl.cli.run import Run
from posctl.errors import Busy, Interrupted, JournalError, UsageError
from posctl.hint import Say, Type, said
from posctl.journal import Journal, Transaction
from posctl.journal.place import is_database
from posctl.messages import _
from posctl.money.advice import amount
from posctl.money.order import check_value, yuan
from posctl.money.outcome import Exit
from posctl.money.record import QUARTER_MS, RUNNING_SHIFT, Filter, Merchant, OpenOf, PaidOf, Shift
from posctl.money.result import Problem, alarm_json, correction_json, iso
from posctl.office.report import DIMENSIONS, Report, check, open_ones, seal, sums_of, unseal
from posctl.office.report_screen import command, draw_checked, draw_report
from posctl.paying.by_hand import person
from posctl.paying.unreached import (
    unreached_json,
    unreached_words,
    way_to,
)
from posctl.screen.contract import envelope
from posctl.screen.screen import View
from posctl.times import day_span, span

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
    shop: str | None = None
    operator: str | None = None
    machine: str | None = None

    @property
    def only(self) -> dict[str, str]:
        """What a span is narrowed to, by the API's names."""
        asked = {"shop_id": self.shop, "operator_id": self.operator, "machine_id": self.machine}
        return {name: value for name, value in asked.items() if value is not None}


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
    "posctl report --since 2026-01-01 --until 2026-01-31 --by operator --csv -\n"
    "posctl report --close\nposctl report --verify",
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
    shop: Annotated[str | None, typer.Option(help=_("Only this shop_id."), metavar="ID")] = None,
    operator: Annotated[
        str | None, typer.Option(help=_("Only this operator_id."), metavar="ID")
    ] = None,
    machine: Annotated[str | None, typer.Option(help=_("Only this till."), metavar="ID")] = None,
) -> int:
    as_csv = "-" if ctx.obj.screen.manner.format == "csv" else None
    options = ReportOptions(
        *(day, since, until, shift, by, csv or as_csv, html, close, note, yes, verify),
        *(shop, operator, machine),
    )
    _refuse_clashes(options, ctx.obj)
    return report_run(options, ctx.obj)


def _refuse_clashes(options: ReportOptions, run: Run) -> None:
    is_span = not {options.since, options.until, options.day} <= {None}
    ways = [is_span, options.shift is not None, options.close, options.verify]
    if ways.count(True) > 1:
        raise UsageError(
            "which", _("Of --day with --since/--until, --shift, --close and --verify, give one.")
        )
    if options.only and not is_span:
        raise UsageError(
            "only_of_a_span",
            _("--shop, --operator and --machine go with --day or --since/--until."),
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


def report_run(options: ReportOptions, run: Run) -> Exit:
    """The whole behaviour of `report`, without the framework."""
    if options.verify:
        return _verify(run)
    for target in (options.csv, options.html):
        refuse_unwritable(target)
    found = _close(options, run) if options.close else _look(options, run)
    return _show(found, options, run)


# ── what is summed up ────────────────────────────────────────────────────────────────────────


def _look(options: ReportOptions, run: Run) -> Report:
    since_ms, until_ms = span(options.day, options.since, options.until, run.now_s())
    number = None if options.shift is None else _shift_number(options.shift)
    merchant = run.load().profile.merchant
    journal = run.journal()
    if number is not None:
        return _closed(number, merchant, journal)
    last = journal.shift(merchant)
    if (since_ms, until_ms) != (None, None):
        return _of_span(since_ms, until_ms, merchant, run, options.only)
    if last is None:
        return _of_today(merchant, run)
    return _running(journal, merchant, last, _out_of_reach(run), run)


class _OutOfReach(NamedTuple):
    """What no profile of the configuration reaches."""

    open: tuple[OpenOf, ...]
    paid: tuple[PaidOf, ...]


def _out_of_reach(run: Run) -> _OutOfReach:
    return _OutOfReach(run.unreached(), run.unreached_paid())


def _running(
    journal: Journal | Transaction,
    merchant: Merchant,
    last: Shift | None,
    unreached: _OutOfReach,
    run: Run,
) -> Report:
    """The running shift: all that was settled since the last one was closed, and what is open."""
    now_ms = run.now_ms()
    which = Filter(merchant=merchant, shift=RUNNING_SHIFT)
    cells = journal.sums(which)
    begun_ms = min((cell.quarter for cell in cells), default=now_ms // QUARTER_MS) * QUARTER_MS
    return Report(
        profile=run.load().profile.name,
        live=run.load().profile.live,
        shift=last.number + 1 if last else 1,
        since_ms=_readable(last).until_ms if last else begun_ms,
        until_ms=now_ms,
        sums=sums_of(cells),
        open=open_ones(journal.open_payments(merchant)),
        alarms=tuple(journal.alarms(merchant)),
        unreached=unreached.open,
        unreached_paid=unreached.paid,
        corrections=tuple(journal.corrections(which)),
    )


def _of_span(
    since_ms: int | None,
    until_ms: int | None,
    merchant: Merchant,
    run: Run,
    only: Mapping[str, str],
) -> Report:
    """All payments that were begun in a span of time, as they stand now."""
    which = Filter(
        merchant=merchant,
        since_ms=since_ms,
        until_ms=until_ms,
        shop_id=only.get("shop_id"),
        operator_id=only.get("operator_id"),
        machine_id=only.get("machine_id"),
    )
    still_open = (
        one
        for one in narrowed(run.journal().open_payments(merchant), only)
        if (since_ms is None or one.created_ms >= since_ms)
        and (until_ms is None or one.created_ms < until_ms)
    )
    return Report(
        profile=run.load().profile.name,
        live=run.load().profile.live,
        shift=None,
        since_ms=since_ms,
        until_ms=until_ms,
        sums=sums_of(run.journal().sums(which)),
        open=open_ones(still_open),
        only=tuple(only.items()),
        alarms=tuple(run.journal().alarms(merchant)),
        unreached=run.unreached(),
        unreached_paid=run.unreached_paid(since_ms, until_ms),
        corrections=tuple(run.journal().corrections(which)),
    )


def _of_today(merchant: Merchant, run: Run) -> Report:
    """Of a journal without any closed shift: today, and a word about what is older."""
    since_ms, until_ms = day_span("today", run.now_s())
    older = Filter(merchant=merchant, until_ms=since_ms)
    if next(iter(run.journal().history(older)), None) is not None:
        run.screen.aside(
            _("No shift was closed yet: this is today. --close takes in everything before it too.")
        )
    return _of_span(since_ms, until_ms, merchant, run, {})


def _shift_number(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise UsageError("bad_shift", _("--shift is the number of a closed shift, as in 1."))
    return int(text)


def _closed(number: int, merchant: Merchant, journal: Journal) -> Report:
    shift = journal.shift(merchant, number)
    if shift is None:
        raise UsageError("unknown_shift", _("No shift {number} was closed.").format(number=number))
    return _readable(shift)


def _readable(shift: Shift) -> Report:
    try:
        return unseal(shift)
    except ValueError:
        raise JournalError(
            "shift_altered",
            _("The record of shift {number} was altered.").format(number=shift.number),
            (Type(("report", "--verify")),),
        ) from None


# ── closing a shift, and checking the closed ones ────────────────────────────────────────────


def _close(options: ReportOptions, run: Run) -> Report:
    profile = run.load().profile
    merchant = profile.merchant
    journal = run.own_journal()
    unreached = _out_of_reach(run)
    meant = None  # the number of the shift that a person said yes to
    if run.can_ask() and not options.yes:
        running = _running(journal, merchant, journal.shift(merchant), unreached, run)
        _ask(running, options, run)
        meant = running.shift
    by = person()

    def work(tx: Transaction) -> Shift:
        last = tx.shift(merchant)
        running = _running(tx, merchant, last, unreached, run)
        if meant not in (None, running.shift):
            raise Busy(
                "shift_closed",
                _("Shift {number} was closed by somebody else meanwhile.").format(number=meant),
                (Say(_("See it:")), Type(("report", "--shift", str(meant)))),
            )
        _refuse_open(running, options, run)
        closed = running._replace(closed_ms=running.until_ms, closed_by=by, note=options.note)
        settled = tx.history(Filter(merchant=merchant, shift=RUNNING_SHIFT))
        shift = seal(closed, settled, merchant, last)
        tx.close_shift(merchant, shift)
        return shift

    return unseal(journal.transact(work))


def _mention_merged(run: Run) -> None:
    """One line on stderr when what posctl 0.1 took for several merchants is one."""
    merged = run.journal().gateways(run.load().profile.merchant)
    if len(merged) > 1:
        words = _("▲ posctl 0.1 counted these gateways apart; they are one merchant's: {gateways}")
        run.screen.note(words.format(gateways=", ".join(merged)))


def _refuse_open(running: Report, options: ReportOptions, run: Run) -> None:
    """Raises Busy while something waits for a person. In a database that many tills share, what no
    profile of this one reaches is told, and is another till's.
    """
    shared = is_database(run.load().journal)
    if (options.note or "").strip():
        return
    if running.alarms:
        raise Busy(
            "alarms",
            _(
                "The shift was not closed. Alarms not yet acknowledged: {n}; the platform "
                "contradicts our record."
            ).format(n=len(running.alarms)),
            (
                Say(_("Settle them first:")),
                command(running, "pending"),
                Say(_("Or close it anyway, and say why:")),
                command(running, "report", "--close", "--note", "…"),
            ),
        )
    if running.out_of_reach and not shared:
        first = running.out_of_reach[0]
        raise Busy(
            "unreached_payments",
            _("The shift was not closed.") + " " + unreached_words(first),
            (
                *way_to(first),
                Say(_("Or close it anyway, and say why:")),
                command(running, "report", "--close", "--note", "…"),
            ),
        )
    if running.sums.open:
        raise Busy(
            "open_payments",
            _(
                "The shift was not closed. Open payments: {n}, {money} in all; they may have been "
                "charged."
            ).format(n=running.sums.open, money=amount(running.sums.open_fee)),
            (
                Say(_("Settle them first:")),
                command(running, "pending"),
                Say(_("Or close it anyway, and say why:")),
                command(running, "report", "--close", "--note", "…"),
            ),
        )


def _ask(running: Report, options: ReportOptions, run: Run) -> None:
    """Ask before closing; on a terminal only. Raises Busy, Interrupted."""
    _refuse_open(running, options, run)
    question = _("Close shift {number} for good? {n} paid, {money}, {open} open.").format(
        number=running.shift,
        n=running.sums.paid,
        money=amount(running.fee),
        open=running.sums.open,
    )
    if not run.confirm(question):
        raise Interrupted("not_closed", _("The shift was not closed."))


def _verify(run: Run) -> Exit:
    profile = run.load().profile
    merchant = profile.merchant
    journal = run.journal()
    checked = check(
        journal.shifts(merchant),
        lambda number, chain: journal.history(Filter(merchant=merchant, shift=number, chain=chain)),
        lambda number, chain: journal.corrections(
            Filter(merchant=merchant, shift=number, chain=chain)
        ),
    )
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
    _mention_merged(run)
    run.screen.show(View(data, lambda canvas: draw_checked(canvas, checked)))
    if problem:
        run.screen.problem(problem)
    return code


# ── showing it ───────────────────────────────────────────────────────────────────────────────


def _show(found: Report, options: ReportOptions, run: Run) -> Exit:
    dimensions = DIMENSIONS if options.by is None else (options.by,)
    if options.html is not None:
        from posctl.office.report_html import html_page  # noqa: PLC0415  only for --html

        shop = run.load().profile.receipt.header
        _write(options.html, html_page(found, dimensions, shop, run.now_ms()), found, run)
    if options.csv is not None:
        from posctl.screen.sheet import sheet  # noqa: PLC0415  only for --csv

        run.mention_unreached(found.out_of_reach)  # a sheet has no place for it
        _write(options.csv, sheet(_COLUMNS, _rows(found, dimensions)), found, run)
    run.banner()
    _mention_merged(run)
    if "-" not in (options.html, options.csv):
        data = _json(found, dimensions)
        run.screen.show(View(data, lambda canvas: draw_report(canvas, found, dimensions)))
    return Exit.OK


def _json(found: Report, dimensions: Sequence[str]) -> dict[str, Any]:
    sums = found.sums
    return envelope(
        "report",
        Exit.OK,
        profile=found.profile,
        live=found.live,
        shift=found.shift,
        since=_iso(found.since_ms),
        until=_iso(found.until_ms),
        **dict.fromkeys(_ONLY) | dict(found.only),
        closed_at=_iso(found.closed_ms),
        closed_by=found.closed_by,
        note=found.note,
        sha256=found.hash,
        paid=sums.paid,
        fee=found.fee,
        by_hand=sums.by_hand,
        not_charged=sums.not_charged,
        open=sums.open,
        open_fee=sums.open_fee,
        open_payments=[
            {
                "request_id": one.request_id,
                "checkout_id": one.checkout_id,
                "operator_id": one.operator_id,
                "machine_id": one.machine_id,
                "outcome": one.outcome,
                "pay_fee": one.fee,
                "created_at": iso(one.created_ms),
            }
            for one in found.open
        ],
        alarms=[alarm_json(alarm) for alarm in found.alarms],
        corrections=[correction_json(one) for one in found.corrections],
        unreached=unreached_json(found.unreached),
        unreached_paid=unreached_json(found.unreached_paid),
        by={
            name: [{"key": line.key, "count": line.n, "fee": line.fee} for line in sums.by[name]]
            for name in dimensions
        },
    )


def _iso(epoch_ms: int | None) -> str | None:
    return None if epoch_ms is None else iso(epoch_ms)


_ONLY = ("shop_id", "operator_id", "machine_id")
_COLUMNS = (
    *("profile", "live", "shift", "since", "until", "by", "key", "count", "fee", "yuan"),
    *_ONLY,
)


def _rows(found: Report, dimensions: Sequence[str]) -> list[tuple[object, ...]]:
    """One table for all, so that several reports can be put below each other."""
    sums = found.sums
    head = (
        *(found.profile, "live" if found.live else "training", found.shift),
        *(_iso(found.since_ms), _iso(found.until_ms)),
    )
    totals: list[tuple[str, str, int | None, int | None]] = [
        ("total", "taken", None, found.fee),
        ("total", "paid", sums.paid, sums.fee),
        ("total", "corrections", len(found.corrections), found.fee - sums.fee),
        ("total", "by_hand", sums.by_hand, None),
        ("total", "not_charged", sums.not_charged, None),
        ("total", "open", sums.open, sums.open_fee),
    ]
    totals += [(name, *line) for name in dimensions for line in sums.by[name]]
    only = [dict(found.only).get(name) for name in _ONLY]
    return [(*head, *row, None if row[3] is None else yuan(row[3]), *only) for row in totals]


def _write(target: str, text: str, found: Report, run: Run) -> None:
    try:
        write_out(target, text, run)
    except UsageError as error:
        if found.closed_ms is not None:
            again = command(found, "report", "--shift", str(found.shift))
            error.hint = (Say(_("The shift is closed. Its report:")), again)
        raise
