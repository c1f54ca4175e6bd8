"""The shift so far, as `posctl report` and the till show it; and the till closes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from posctl.journal.place import is_database
from posctl.messages import _
from posctl.money.advice import amount
from posctl.money.record import Filter, Payment
from posctl.money.result import payment_json
from posctl.office.report import Report
from posctl.office.report_data import report_json
from posctl.office.report_screen import draw_report
from posctl.office.shift import (
    Closing,
    OutOfReach,
    Span,
    close_shift,
    refuse_to_close,
    report_of,
    running_shift,
)
from posctl.screen.screen import View
from posctl.times import day_span

if TYPE_CHECKING:
    from posctl.cli.run import Run
    from posctl.journal import Journal


def shift_so_far(run: Run) -> Report:
    """The running shift; before any was closed: today, and a word about what is older. Raises
    JournalError, ConfigError.
    """
    profile, journal = run.load().profile, run.journal()
    if journal.shift(profile.merchant) is not None:
        return running_now(run, journal)
    today = Span(*day_span("today", run.now_s()))
    older = Filter(merchant=profile.merchant, until_ms=today.since_ms)
    if next(iter(journal.history(older)), None) is not None:
        run.screen.aside(
            _("No shift was closed yet: this is today. --close takes in everything before it too.")
        )
    out_of_reach = OutOfReach(open=run.unreached(), paid=run.unreached_paid(*today))
    return report_of(journal, profile, today, {}, out_of_reach)


def closing_by(run: Run, by: str, note: str | None = None) -> Closing:
    """Whoever closes the running shift, before anybody was asked. Raises ConfigError."""
    return Closing(by=by, note=note, meant=None, shared=is_database(run.load().journal))


def running_now(run: Run, journal: Journal) -> Report:
    """The running shift of the profile in use. Raises JournalError, ConfigError."""
    out_of_reach = OutOfReach(open=run.unreached(), paid=run.unreached_paid())
    return running_shift(journal, run.load().profile, out_of_reach, run.now_ms())


def question_to_close(running: Report, closing: Closing, run: Run) -> str:
    """What is asked before `running` is closed. Raises Busy when it may not be."""
    refuse_to_close(running, closing)
    mention_empty(running, run)
    return _("Close shift {number} for good? {n} paid, {money}, {open} open.").format(
        number=running.shift,
        n=running.total.paid,
        money=amount(running.fee),
        open=running.sums.open,
    )


def to_close_in_short(running: Report, closing: Closing, run: Run) -> str:
    """The same for a till, as a line above its question. Raises Busy when it may not be closed."""
    refuse_to_close(running, closing)
    mention_empty(running, run)
    return _("Shift {number} · {n} paid · {money}").format(
        number=running.shift, n=running.total.paid, money=amount(running.fee)
    )


def close_running(run: Run, closing: Closing) -> Report:
    """Close the shift that somebody has said yes to, or the running one. Raises Busy, JournalError,
    ConfigError.
    """
    out_of_reach = OutOfReach(open=run.unreached(), paid=run.unreached_paid())
    journal = run.own_journal()
    return close_shift(journal, run.load().profile, closing, out_of_reach, run.now_ms)


def mention_empty(found: Report, run: Run) -> None:
    """Say on stderr that a shift has nothing in it: it takes a number all the same."""
    if not (found.sums.paid or found.sums.not_charged or found.corrections):
        run.screen.note(_("▲ Nothing was settled in this shift: it is empty."))


def show_report(
    found: Report, dimensions: Sequence[str], run: Run, payments: Sequence[Payment] | None = None
) -> None:
    """Draw it, or print it as JSON; with `payments` each of them, too."""
    data = report_json(found, dimensions)
    if payments is not None:
        data["payments"] = [payment_json(one) for one in payments]
    now_ms = run.now_ms()
    run.screen.show(
        View(data, lambda canvas: draw_report(canvas, found, dimensions, payments, now_ms))
    )


def mention_merged(run: Run) -> None:
    """One line on stderr when what posctl 0.1 took for several merchants is one."""
    merged = run.journal().gateways(run.load().profile.merchant)
    if len(merged) > 1:
        words = _("▲ posctl 0.1 counted these gateways apart; they are one merchant's: {gateways}")
        run.screen.note(words.format(gateways=", ".join(merged)))
