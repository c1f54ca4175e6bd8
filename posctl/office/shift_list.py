"""All closed shifts, one a line: on a terminal, as JSON, as a table for a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from posctl.messages import _
from posctl.money.order import grouped, yuan
from posctl.money.result import iso
from posctl.office.report import Report
from posctl.screen.brush import Canvas, draw_bar, draw_head, draw_prose, draw_rows
from posctl.screen.payments import signed
from posctl.screen.sheet import sheet
from posctl.times import date_time


def shift_json(one: Report) -> dict[str, Any]:
    """An item of `shifts`."""
    return {
        "shift": one.shift,
        "since": None if one.since_ms is None else iso(one.since_ms),
        "closed_at": None if one.closed_ms is None else iso(one.closed_ms),
        "closed_by": one.closed_by,
        "note": one.note,
        "paid": one.total.paid,
        "fee": one.fee,
        "corrections_fee": one.corrected_fee,
        "open": one.sums.open,
        "sha256": one.hash,
    }


def shifts_sheet(shifts: Sequence[Report]) -> str:
    """CSV for people: heads in the language in use, local times, yuan, the sum in the last row."""
    heads = (
        *(_("Shift"), _("From"), _("Closed"), _("Closed by"), _("Paid"), _("Taken (yuan)")),
        *(_("Corrections among it (yuan)"), _("Open"), _("Note")),
    )
    rows: Iterator[tuple[object, ...]] = (
        (
            one.shift,
            None if one.since_ms is None else date_time(one.since_ms),
            None if one.closed_ms is None else date_time(one.closed_ms),
            *(one.closed_by, one.total.paid, yuan(one.fee), yuan(one.corrected_fee)),
            *(one.sums.open, one.note),
        )
        for one in shifts
    )
    taken, corrected = _taken(shifts)
    paid = sum(one.total.paid for one in shifts)
    total = (_("Total"), None, None, None, paid, yuan(taken), yuan(corrected), None, None)
    return sheet(heads, (*rows, total))


def _taken(shifts: Sequence[Report]) -> tuple[int, int]:
    """What all of them took, and what of it corrections are, in fen."""
    taken = sum(one.fee for one in shifts)
    return taken, sum(one.corrected_fee for one in shifts)


def draw_shifts(canvas: Canvas, shifts: Sequence[Report], profile: str, *, live: bool) -> None:
    """A line for each, and what they come to."""
    draw_head(canvas, profile, live=live)
    if not shifts:
        draw_prose(canvas, _("No shift was closed in this time."))
        return
    heads = (
        *(_("Shift"), _("Closed"), _("Taken"), _("Paid"), _("Corrections"), _("Open")),
        _("Closed by"),
    )
    draw_rows(canvas, heads, shifts, _row)
    words = _("TAKEN  {money}  in {n} shifts")
    money = f"￥{grouped(_taken(shifts)[0])}"
    draw_bar(canvas, words.format(money=money, n=len(shifts)), "green", gap=True)


def _row(one: Report) -> tuple[str, ...]:
    corrected = one.corrected_fee
    return (
        str(one.shift),
        "" if one.closed_ms is None else date_time(one.closed_ms)[:16],
        f"￥{grouped(one.fee)}",
        str(one.total.paid),
        signed(corrected) if one.corrections else "",
        str(one.sums.open) if one.sums.open else "",
        one.closed_by or "",
    )
