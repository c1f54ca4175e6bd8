"""A report for programs: the JSON object, and the table for a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from posctl.messages import _
from posctl.money.order import yuan
from posctl.money.outcome import Exit, Outcome
from posctl.money.result import alarm_json, correction_json, iso
from posctl.office.report import Line, Report, Sums
from posctl.office.report_screen import NAMES, label
from posctl.paying.unreached import unreached_json
from posctl.screen.brush import STILL_OPEN
from posctl.screen.contract import envelope
from posctl.screen.sheet import Id, sheet
from posctl.times import date_time, zone

_ONLY = ("shop_id", "operator_id", "machine_id")


def report_json(found: Report, dimensions: Sequence[str]) -> dict[str, Any]:
    """The JSON object of `posctl report`."""
    sums = found.total
    return envelope(
        "report",
        Exit.OK,
        profile=found.profile,
        live=found.live,
        shift=found.shift,
        since=_iso(found.since_ms),
        until=_iso(found.until_ms),
        zone=zone(found.until_ms or found.since_ms),
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
                "shop_id": one.shop_id or None,
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
        part_paid=[
            {
                "checkout_id": one.checkout_id,
                "shop_id": one.shop_id,
                "paid_fee": one.paid_fee,
                "remaining_fee": one.remaining_fee,
                "operator_id": one.operator_id,
                "machine_id": one.machine_id,
                "created_at": iso(one.created_ms),
            }
            for one in found.part_paid
        ],
        by={
            name: [{"key": line.key, "count": line.n, "fee": line.fee} for line in sums.by[name]]
            for name in dimensions
        },
    )


def report_sheet(found: Report, dimensions: Sequence[str]) -> str:
    """CSV for people: heads in the language in use, local times, yuan. One table for all, so that
    several reports can be put below each other.
    """
    total = found.total
    only = dict(found.only)
    head = (
        *(found.profile, _("live") if found.live else _("training"), found.shift),
        *(None if ms is None else date_time(ms) for ms in (found.since_ms, found.until_ms)),
    )
    narrowed = [None if only.get(name) is None else Id(only[name]) for name in _ONLY]
    rows = (
        *_totals(found, total),
        *(_line(name, line) for name in dimensions for line in total.by[name]),
    )
    return sheet(_heads(), [(*head, *row, *narrowed) for row in rows])


def _heads() -> tuple[str, ...]:
    return (
        *(_("Profile"), _("Money"), _("Shift"), _("From"), _("To"), _("Table"), _("Line")),
        *(_("Number"), _("Taken (yuan)"), _("Open or due (yuan)")),
        *(_("Only shop"), _("Only operator"), _("Only till")),
    )


_Row = tuple[str, str, int, str | None, str | None]


def _totals(found: Report, total: Sums) -> Iterator[_Row]:
    """What stands under Table to Open or due, for the whole of it."""
    name = _("Total")
    yield name, _("taken"), total.paid, yuan(found.fee), None
    yield name, _("corrections among it"), len(found.corrections), yuan(found.corrected_fee), None
    yield name, _("closed by hand"), total.by_hand, None, None
    yield name, _("not charged"), total.not_charged, None, None
    yield name, _("open"), total.open, None, yuan(total.open_fee)
    yield name, _("part-paid"), len(found.part_paid), None, yuan(found.rest_fee)


def _line(dimension: str, line: Line) -> _Row:
    """A line of a table. What charged nobody has no amount; what is open is not taken."""
    fees: tuple[str | None, str | None] = (yuan(line.fee), None)
    if dimension == "outcome" and line.key != Outcome.SUCCESS:
        fees = (None, yuan(line.fee) if Outcome(line.key) in STILL_OPEN else None)
    key = label(dimension, line.key)
    is_id = dimension in ("shop", "operator", "till")
    return _(NAMES[dimension]), Id(key) if is_id else key, line.n, *fees


def _iso(epoch_ms: int | None) -> str | None:
    return None if epoch_ms is None else iso(epoch_ms)
