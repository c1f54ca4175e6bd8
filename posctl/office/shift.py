"""A shift: what is in the running one, whether it may be closed, closing it, checking closed ones.

It reads and writes the journal; it draws nothing and asks nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from posctl.config.profile import Profile
from posctl.errors import Busy, JournalError, UsageError
from posctl.hint import Say, Type
from posctl.journal import Journal, Transaction
from posctl.messages import _
from posctl.money.advice import amount
from posctl.money.record import (
    QUARTER_MS,
    RUNNING_SHIFT,
    Filter,
    Merchant,
    OpenOf,
    PaidOf,
    Payment,
    Shift,
    narrowed,
)
from posctl.office.report import (
    Checked,
    PartPaid,
    Report,
    check,
    open_ones,
    part_paid_ones,
    seal,
    sums_of,
    unseal,
)
from posctl.office.report_screen import command
from posctl.paying.part_paid import part_paid
from posctl.paying.unreached import unreached_words, way_to


class OutOfReach(NamedTuple):
    """What no profile of the configuration reaches: open payments, and paid ones in no shift."""

    open: tuple[OpenOf, ...]
    paid: tuple[PaidOf, ...]


class Span(NamedTuple):
    """From `since_ms` on and before `until_ms`; None is without an end."""

    since_ms: int | None
    until_ms: int | None


def running_shift(
    journal: Journal | Transaction, profile: Profile, out_of_reach: OutOfReach, now_ms: int
) -> Report:
    """All that was settled since the last shift was closed, and what is open. Raises
    JournalError.
    """
    merchant = profile.merchant
    last = journal.shift(merchant)
    which = Filter(merchant=merchant, shift=RUNNING_SHIFT)
    cells = journal.sums(which)
    begun_ms = min((cell.quarter for cell in cells), default=now_ms // QUARTER_MS) * QUARTER_MS
    return Report(
        profile=profile.name,
        live=profile.live,
        shift=last.number + 1 if last else 1,
        since_ms=_readable(last).until_ms if last else begun_ms,
        until_ms=now_ms,
        sums=sums_of(cells),
        open=open_ones(journal.open_payments(merchant)),
        alarms=tuple(journal.alarms(merchant)),
        unreached=out_of_reach.open,
        unreached_paid=out_of_reach.paid,
        corrections=tuple(journal.corrections(which)),
        part_paid=_part_paid(journal, which),
    )


def report_of(
    journal: Journal,
    profile: Profile,
    span: Span,
    only: Mapping[str, str],
    out_of_reach: OutOfReach,
) -> Report:
    """All payments that were begun in a span of time, as they stand now; `only` are members of the
    API that they must have. Raises JournalError.
    """
    merchant = profile.merchant
    which = Filter(
        merchant=merchant,
        since_ms=span.since_ms,
        until_ms=span.until_ms,
        shop_id=only.get("shop_id"),
        operator_id=only.get("operator_id"),
        machine_id=only.get("machine_id"),
    )
    still_open = (
        one
        for one in narrowed(journal.open_payments(merchant), only)
        if (span.since_ms is None or one.created_ms >= span.since_ms)
        and (span.until_ms is None or one.created_ms < span.until_ms)
    )
    return Report(
        profile=profile.name,
        live=profile.live,
        shift=None,
        since_ms=span.since_ms,
        until_ms=span.until_ms,
        sums=sums_of(journal.sums(which)),
        open=open_ones(still_open),
        only=tuple(only.items()),
        alarms=tuple(journal.alarms(merchant)),
        unreached=out_of_reach.open,
        unreached_paid=out_of_reach.paid,
        corrections=tuple(journal.corrections(which)),
        part_paid=_part_paid(journal, which),
    )


def _part_paid(journal: Journal | Transaction, which: Filter) -> tuple[PartPaid, ...]:
    found = list(journal.history(which._replace(part=True)))
    return part_paid_ones(part_paid(found, journal))


def payments_in(journal: Journal, merchant: Merchant, found: Report) -> list[Payment]:
    """The payments that a report sums up, as they were booked, oldest first; of a closed shift
    those that it was closed over. Raises JournalError.
    """
    only = dict(found.only)
    which = Filter(
        merchant=merchant,
        shop_id=only.get("shop_id"),
        operator_id=only.get("operator_id"),
        machine_id=only.get("machine_id"),
    )
    if found.shift is None:
        which = which._replace(since_ms=found.since_ms, until_ms=found.until_ms)
    elif found.closed_ms is None:
        which = which._replace(shift=RUNNING_SHIFT)
    else:
        shift = journal.shift(merchant, found.shift)
        which = which._replace(shift=found.shift, chain=shift.chain if shift else "")
    return [one.as_booked for one in journal.history(which)][::-1]


def closed_shift(journal: Journal, merchant: Merchant, number: int) -> Report:
    """A closed shift, as it was closed. Raises UsageError, JournalError."""
    shift = journal.shift(merchant, number)
    if shift is None:
        raise UsageError("unknown_shift", _("No shift {number} was closed.").format(number=number))
    return _readable(shift)


def closed_shifts(journal: Journal, merchant: Merchant, span: Span) -> list[Report]:
    """Every shift that was closed in `span`, the latest last. Raises JournalError."""
    since_ms, until_ms = span
    found = (_readable(shift) for shift in journal.shifts(merchant))
    return sorted(
        (
            one
            for one in found
            if (since_ms is None or (one.closed_ms or 0) >= since_ms)
            and (until_ms is None or (one.closed_ms or 0) < until_ms)
        ),
        key=lambda one: (one.closed_ms or 0, one.shift or 0),
    )


def _readable(shift: Shift) -> Report:
    try:
        return unseal(shift)
    except ValueError:
        raise JournalError(
            "shift_altered",
            _("The record of shift {number} was altered.").format(number=shift.number),
            (Type(("report", "--verify")),),
        ) from None


# ── closing one, and checking the closed ones ────────────────────────────────────────────────


class Closing(NamedTuple):
    """Who closes a shift, and why although something is open.

    `meant` is the number that a person said yes to. Where the journal is `shared` by many tills,
    what no profile of this one reaches is another till's.
    """

    by: str
    note: str | None
    meant: int | None
    shared: bool


def close_shift(
    journal: Journal,
    profile: Profile,
    closing: Closing,
    out_of_reach: OutOfReach,
    now_ms: Callable[[], int],
) -> Report:
    """Number the running shift and close it, for good. Raises Busy, JournalError."""
    merchant = profile.merchant

    def work(tx: Transaction) -> Shift:
        last = tx.shift(merchant)
        running = running_shift(tx, profile, out_of_reach, now_ms())
        if closing.meant not in (None, running.shift):
            raise Busy(
                "shift_closed",
                _("Shift {number} was closed by somebody else meanwhile.").format(
                    number=closing.meant
                ),
                (Say(_("See it:")), Type(("report", "--shift", str(closing.meant)))),
            )
        refuse_to_close(running, closing)
        closed = running._replace(
            closed_ms=running.until_ms, closed_by=closing.by, note=closing.note
        )
        settled = tx.history(Filter(merchant=merchant, shift=RUNNING_SHIFT))
        shift = seal(closed, settled, merchant, last)
        tx.close_shift(merchant, shift)
        return shift

    return unseal(journal.transact(work))


def refuse_to_close(running: Report, closing: Closing) -> None:
    """While something waits for a person, only a note closes the shift. Raises Busy."""
    if (closing.note or "").strip():
        return
    settle_or_close = (
        Say(_("Settle them first:")),
        command(running, "pending"),
        Say(_("Or close it anyway, and say why:")),
        command(running, "report", "--close", "--note", "…"),
    )
    if running.alarms:
        raise Busy(
            "alarms",
            _(
                "The shift was not closed. Alarms not yet acknowledged: {n}; the platform "
                "contradicts our record."
            ).format(n=len(running.alarms)),
            settle_or_close,
        )
    if running.out_of_reach and not closing.shared:
        first = running.out_of_reach[0]
        raise Busy(
            "unreached_payments",
            _("The shift was not closed.") + " " + unreached_words(first),
            (*way_to(first), *settle_or_close[2:]),
        )
    if running.sums.open:
        raise Busy(
            "open_payments",
            _(
                "The shift was not closed. Open payments: {n}, {money} in all; they may have been "
                "charged."
            ).format(n=running.sums.open, money=amount(running.sums.open_fee)),
            settle_or_close,
        )


def check_shifts(journal: Journal, merchant: Merchant) -> list[Checked]:
    """Recompute the hash of every closed shift. Raises JournalError."""
    return check(
        journal.shifts(merchant),
        lambda number, chain: journal.history(Filter(merchant=merchant, shift=number, chain=chain)),
        lambda number, chain: journal.corrections(
            Filter(merchant=merchant, shift=number, chain=chain)
        ),
    )
