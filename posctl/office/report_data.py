"""A report for programs: the JSON object, and the table for a spreadsheet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from posctl.money.order import yuan
from posctl.money.outcome import Exit
from posctl.money.result import alarm_json, correction_json, iso
from posctl.office.report import Report
from posctl.paying.unreached import unreached_json
from posctl.screen.contract import envelope
from posctl.screen.sheet import sheet

_ONLY = ("shop_id", "operator_id", "machine_id")
_COLUMNS = (
    *("profile", "live", "shift", "since", "until", "by", "key", "count", "fee", "yuan"),
    *_ONLY,
)


def report_json(found: Report, dimensions: Sequence[str]) -> dict[str, Any]:
    """The JSON object of `posctl report`."""
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
    """CSV, one table for all, so that several reports can be put below each other."""
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
        ("total", "part_paid", len(found.part_paid), found.rest_fee),
    ]
    totals += [(name, *line) for name in dimensions for line in sums.by[name]]
    only = [dict(found.only).get(name) for name in _ONLY]
    rows = [(*head, *row, None if row[3] is None else yuan(row[3]), *only) for row in totals]
    return sheet(_COLUMNS, rows)


def _iso(epoch_ms: int | None) -> str | None:
    return None if epoch_ms is None else iso(epoch_ms)
