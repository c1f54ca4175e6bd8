"""What a shift or a span of time came to, and closed shifts that show when they were altered. Pure.

A closed shift is text: its number, its sums, a SHA-256 over the payments in it and the hash of the
shift before it; its own hash is a SHA-256 over that text. Whoever alters a shift, a payment in it
or the order of shifts breaks a hash, and one that was printed and signed cannot be made anew.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from posctl.money.admit import Due
from posctl.money.outcome import Event, Outcome, State, outcome_of
from posctl.money.record import (
    QUARTER_MS,
    Alarm,
    Cell,
    Checkout,
    Correction,
    Merchant,
    OpenOf,
    PaidOf,
    Payment,
    Shift,
)
from posctl.times import date

DIMENSIONS = ("shop", "operator", "till", "channel", "day", "hour", "outcome")


class Line(NamedTuple):
    """`n` payments of `fee` fen in all that have `key` in common."""

    key: str
    n: int
    fee: int


class Sums(NamedTuple):
    """Totals in fen. `fee` is what was charged, of paid payments alone; what is open is apart.

    `by` has, for each of DIMENSIONS, the paid payments; for "outcome" all of them, each outcome
    with its own sum. `by_hand` counts those that a person closed, as paid or not.
    """

    paid: int
    fee: int
    by_hand: int
    not_charged: int
    open: int
    open_fee: int
    by: Mapping[str, tuple[Line, ...]]


class Open(NamedTuple):
    """An open payment, as a report lists it."""

    request_id: str
    checkout_id: str
    operator_id: str
    machine_id: str
    outcome: Outcome
    fee: int
    created_ms: int
    shop_id: str = ""  # unknown of a shift that was closed before it was kept


class PartPaid(NamedTuple):
    """A checkout that still needs something, in fen; the other members are its last payment's."""

    checkout_id: str
    shop_id: str
    paid_fee: int
    remaining_fee: int
    operator_id: str
    machine_id: str
    created_ms: int


class Report(NamedTuple):
    """Sums over a shift (`shift` is its number) or a span of time, both ends half open.

    `alarms` are the merchant's that nobody had acknowledged then, of whatever time; `unreached` is
    what was open of merchants that no profile reached, `unreached_paid` what was paid of theirs and
    in no shift. `corrections` are those made in this shift or span: they count there, whenever the
    payment was, so that what was summed up before stays as it was. `sums` are without them, as the
    payments were closed; `total` has them in every number and table. `closed_ms` and what follows
    are set for a closed shift. `part_paid` are the checkouts that were paid in part in this shift
    or span, and need more. `only` are the members of the API, with their values, that a span is
    narrowed to.
    """

    profile: str
    live: bool
    shift: int | None
    since_ms: int | None
    until_ms: int | None
    sums: Sums
    open: tuple[Open, ...]
    closed_ms: int | None = None
    closed_by: str | None = None
    note: str | None = None
    hash: str | None = None
    only: tuple[tuple[str, str], ...] = ()
    alarms: tuple[Alarm, ...] = ()
    unreached: tuple[OpenOf, ...] = ()
    unreached_paid: tuple[PaidOf, ...] = ()
    corrections: tuple[Correction, ...] = ()
    part_paid: tuple[PartPaid, ...] = ()

    @property
    def total(self) -> Sums:
        """The sums with the corrections in them."""
        return with_corrections(self.sums, self.corrections)

    @property
    def fee(self) -> int:
        """What was taken, in fen: of the paid payments, and what was corrected."""
        return self.total.fee

    @property
    def corrected_fee(self) -> int:
        """What of it corrections are, in fen."""
        return self.fee - self.sums.fee

    @property
    def rest_fee(self) -> int:
        """What the part-paid checkouts still need, in fen."""
        return sum(one.remaining_fee for one in self.part_paid)

    @property
    def out_of_reach(self) -> tuple[OpenOf | PaidOf, ...]:
        """What no profile reached, open ones first."""
        return (*self.unreached, *self.unreached_paid)


def sums_of(cells: Iterable[Cell]) -> Sums:
    """Totals over `cells`, in all and by every dimension; days and hours are this machine's."""
    by: dict[str, dict[str, Line]] = {name: {} for name in DIMENSIONS}
    paid = fee = by_hand = not_charged = open_n = open_fee = 0
    for cell in cells:
        outcome = outcome_of(cell.standing)
        _add(by["outcome"], outcome, cell)
        if cell.standing.open:
            open_n += cell.n
            open_fee += cell.fee
            continue
        by_hand += cell.n if cell.standing.state is State.RESOLVED else 0
        if cell.standing.paid:
            paid += cell.n
            fee += cell.fee
            _add_whose(by, cell, cell.quarter * QUARTER_MS)
        else:
            not_charged += cell.n
    return Sums(paid, fee, by_hand, not_charged, open_n, open_fee, _sorted(by))


def with_corrections(sums: Sums, corrections: Sequence[Correction]) -> Sums:
    """`sums` and what `corrections` change of them: a payment that was paid after all is one more
    paid and one less not charged, in every table that it belongs to; on the day and in the hour of
    the correction.
    """
    if not corrections:
        return sums
    by = {name: {line.key: line for line in sums.by[name]} for name in DIMENSIONS}
    for one in corrections:
        _add(by["outcome"], Outcome.SUCCESS, one)
        _add(by["outcome"], Outcome.FAIL, Line("", -one.n, -one.fee))
        _add_whose(by, one, one.at_ms)
    # What was asked for and what was paid of it may differ: none is none.
    if by["outcome"][Outcome.FAIL].n == 0:
        del by["outcome"][Outcome.FAIL]
    n = sum(one.n for one in corrections)
    return sums._replace(
        paid=sums.paid + n,
        fee=sums.fee + sum(one.fee for one in corrections),
        not_charged=sums.not_charged - n,
        by=_sorted(by),
    )


def _add_whose(by: dict[str, dict[str, Line]], one: Cell | Correction, at_ms: int) -> None:
    """Into every table of what was taken."""
    _add(by["shop"], one.shop_id, one)
    _add(by["operator"], one.operator_id, one)
    _add(by["till"], one.machine_id, one)
    _add(by["channel"], one.pay_channel, one)
    _add(by["day"], date(at_ms), one)
    _add(by["hour"], f"{time.localtime(at_ms // 1000).tm_hour:02d}", one)


def _add(lines: dict[str, Line], key: str, one: Cell | Correction | Line) -> None:
    known = lines.get(key, Line(key, 0, 0))
    lines[key] = Line(key, known.n + one.n, known.fee + one.fee)


def _sorted(by: Mapping[str, Mapping[str, Line]]) -> dict[str, tuple[Line, ...]]:
    """Each table in its order, without lines that corrections made empty."""
    return {
        name: tuple(
            sorted((line for line in found.values() if line.n or line.fee), key=_ORDER[name])
        )
        for name, found in by.items()
    }


def _largest_first(line: Line) -> tuple[Any, ...]:
    return -line.fee, line.key


_ORDER: Mapping[str, Callable[[Line], Any]] = {
    "shop": _largest_first,
    "operator": _largest_first,
    "till": _largest_first,
    "channel": _largest_first,
    "day": lambda line: line.key,
    "hour": lambda line: line.key,
    "outcome": lambda line: list(Outcome).index(Outcome(line.key)),
}


def part_paid_ones(found: Iterable[tuple[Checkout, Due]]) -> tuple[PartPaid, ...]:
    """As a report lists them, the oldest first."""
    ones = (
        PartPaid(
            *(checkout.checkout_id, checkout.shop_id, now.paid_fee, now.rest),
            *(now.last_paid.operator_id, now.last_paid.machine_id, now.last_paid.created_ms),
        )
        for checkout, now in found
        if now.rest is not None and now.last_paid is not None
    )
    return tuple(sorted(ones, key=lambda one: one.created_ms))


def open_ones(payments: Iterable[Payment]) -> tuple[Open, ...]:
    """The open payments among `payments`."""
    return tuple(
        Open(
            one.request_id,
            one.checkout.checkout_id,
            one.operator_id,
            one.machine_id,
            outcome_of(one.standing),
            one.pay_fee,
            one.created_ms,
            one.checkout.shop_id,
        )
        for one in payments
        if one.open
    )


# ── closed shifts ────────────────────────────────────────────────────────────────────────────


def seal(
    report: Report, payments: Iterable[Payment], merchant: Merchant, previous: Shift | None
) -> Shift:
    """`report` of a shift that is being closed over `payments`, chained to the one before it."""
    contents = _contents(payments)
    sums = report.sums
    content = {
        **report._asdict(),
        "sums": {**sums._asdict(), "by": sums.by},
        "merchant": merchant.name,
        "payments": contents.n,
        "payments_sha256": contents.sha256,
        "previous": previous.hash if previous else "",
    }
    del content["hash"], content["only"]  # a shift is never narrowed
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return Shift(report.shift or 0, text, _hash(text))


def unseal(shift: Shift) -> Report:
    """The report of a closed shift, as it was closed. Raises ValueError when it is none."""
    try:
        content = json.loads(shift.content)
        sums = Sums(**content["sums"])
        plain = {name: content[name] for name in _PLAIN}
        # A shift that was closed before there was a table of this name has none.
        by = {name: tuple(Line(*line) for line in sums.by.get(name, ())) for name in DIMENSIONS}
        still_open = (Open(*one) for one in content["open"])
        return Report(
            **plain,
            sums=sums._replace(by=by),
            open=tuple(one._replace(outcome=Outcome(one.outcome)) for one in still_open),
            alarms=tuple(
                one._replace(event=Event(one.event))
                for one in (Alarm(*alarm) for alarm in content.get("alarms", ()))
            ),
            corrections=tuple(Correction(*one) for one in content.get("corrections", ())),
            unreached=tuple(
                OpenOf(Merchant(*merchant), *rest)
                for merchant, *rest in content.get("unreached", ())
            ),
            unreached_paid=tuple(
                PaidOf(Merchant(*merchant), *rest)
                for merchant, *rest in content.get("unreached_paid", ())
            ),
            part_paid=tuple(PartPaid(*one) for one in content.get("part_paid", ())),
            hash=shift.hash,
        )
    except (KeyError, TypeError) as error:
        raise ValueError("no closed shift") from error


_NOT_PLAIN = (
    *("sums", "open", "hash", "only", "alarms", "unreached", "unreached_paid"),
    *("corrections", "part_paid"),
)
_PLAIN = tuple(name for name in Report._fields if name not in _NOT_PLAIN)


class _Contents(NamedTuple):
    """What a shift vouches for: its payments, counted, summed and hashed whatever their order."""

    n: int
    paid: int
    fee: int
    sha256: str


def _contents(payments: Iterable[Payment]) -> _Contents:
    lines = []
    paid = fee = 0
    for one in (payment.as_booked for payment in payments):
        if one.open:
            continue
        outcome = outcome_of(one.standing)
        line = (
            *(one.request_id, outcome, one.fee, one.operator_id, one.machine_id),
            *(one.pay_channel, one.created_ms, one.closed_ms, one.resolved_by),
        )
        lines.append(json.dumps(line, ensure_ascii=False))
        if outcome is Outcome.SUCCESS:
            paid += 1
            fee += one.fee
    return _Contents(len(lines), paid, fee, _hash("\n".join(sorted(lines))))


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _same(corrections: Iterable[Correction], sealed: Sequence[Sequence[Any]]) -> bool:
    """Whether these were sealed, perhaps before the last members were kept."""
    now = list(corrections)
    return len(now) == len(sealed) and all(
        list(one[: len(was)]) == list(was) for one, was in zip(now, sealed, strict=True)
    )


class Checked(NamedTuple):
    """What `check` found of one shift: None when all is as it was closed, else one of the faults.

    "missing": there is no such shift; "content": its text was altered; "chain": the shift before it
    was altered or exchanged; "payments": its payments or corrections were altered, or there are
    more or less of them; "gone": none of its payments is in the journal, as after pruning.
    """

    number: int
    fault: str | None


PaymentsOf = Callable[[int, str], Iterable[Payment]]
CorrectionsOf = Callable[[int, str], Iterable[Correction]]


def check(
    shifts: Sequence[Shift], payments_of: PaymentsOf, corrections_of: CorrectionsOf
) -> list[Checked]:
    """Recompute every hash. `payments_of` and `corrections_of` give what is in a shift, by its
    number and chain, as it is in the journal.

    posctl 0.1 kept a chain of shifts for each gateway. The one that went furthest goes on; the
    others end where they were, and are checked by themselves.
    """
    ended = {shift.chain for shift in shifts if shift.chain}
    # As the journal's `LATEST_SHIFT` has it.
    of_old = (shift for shift in shifts if shift.chain)
    last = min(of_old, key=lambda shift: (-shift.number, shift.chain), default=None)
    going_on = ("",) if last is None else (last.chain, "")
    checked = _check(shifts, going_on, payments_of, corrections_of)
    for chain in sorted(ended.difference(going_on)):
        checked += _check(shifts, (chain,), payments_of, corrections_of)
    return checked


def _check(
    shifts: Sequence[Shift],
    chains: Sequence[str],
    payments_of: PaymentsOf,
    corrections_of: CorrectionsOf,
) -> list[Checked]:
    found = {shift.number: shift for shift in shifts if shift.chain in chains}
    last = max(found, default=0)
    checked = []
    previous = ""
    for number in range(1, last + 1):
        shift = found.get(number)
        fault = _fault(shift, previous, payments_of, corrections_of) if shift else "missing"
        checked.append(Checked(number, fault))
        previous = shift.hash if shift else ""
    if "" in chains and next(iter(payments_of(last + 1, "")), None) is not None:
        checked.append(Checked(last + 1, "missing"))
    return checked


def _fault(
    shift: Shift, previous: str, payments_of: PaymentsOf, corrections_of: CorrectionsOf
) -> str | None:
    try:
        content = json.loads(shift.content)
        closed = unseal(shift)
    except ValueError:
        return "content"
    if _hash(shift.content) != shift.hash or content["shift"] != shift.number:
        return "content"
    if content["previous"] != previous:
        return "chain"
    if not _same(corrections_of(shift.number, shift.chain), content.get("corrections", [])):
        return "payments"
    now = _contents(payments_of(shift.number, shift.chain))
    if now.n == 0 < content["payments"]:
        return "gone"
    if now.sha256 != content["payments_sha256"]:
        return "payments"
    return None if (now.paid, now.fee) == (closed.sums.paid, closed.sums.fee) else "content"
