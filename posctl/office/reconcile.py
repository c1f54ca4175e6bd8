"""The journal beside the platform's or the bank's statement. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from posctl.money.outcome import Outcome, outcome_of
from posctl.money.record import Payment
from posctl.office.statement import Row, What
from posctl.table import KEPT_DIGITS, as_rounded, lost_digits, unquoted
from posctl.times import DAY_MS

MARGIN_MS = 2 * DAY_MS  # an open payment may be charged up to a day after it was begun
MAX_LISTED = 10_000  # of each kind; the rest is counted
CERTAINLY_LOST = 6  # digits; so many zeros at the end of a long id are no chance


class Item(NamedTuple):
    """What does not match. `request_id` and `outcome` are those of the journal, if it knows any.

    `fee` is what the journal holds paid (of an open one: what it asked for), `theirs` what the
    statement says was charged, of money given back what it says of that, below 0; in fen. `line` is
    the statement's, `lines` are all that tell of money given back, `back_ms` is when, if a line of
    its own says so.
    """

    request_id: str | None
    checkout_id: str | None
    outcome: Outcome | None
    fee: int
    theirs: int
    at_ms: int | None
    ids: tuple[str, ...] = ()
    line: int | None = None
    lines: tuple[int, ...] = ()
    back_ms: int | None = None


class Found:
    """Items of one kind: all counted and summed, the first MAX_LISTED kept. `fee` is the net of
    `more` and `less`.
    """

    def __init__(self) -> None:
        self.n = 0
        self.more = 0
        self.less = 0
        self.items: list[Item] = []

    @property
    def fee(self) -> int:
        return self.more + self.less

    def add(self, item: Item, fee: int) -> None:
        self.n += 1
        if fee > 0:
            self.more += fee
        else:
            self.less += fee
        if len(self.items) < MAX_LISTED:
            self.items.append(item)


class Skipped:
    """Lines of one kind that are no payments: how many, their amounts in sum, the first of them."""

    def __init__(self) -> None:
        self.n = 0
        self.fee = 0
        self.lines: list[int] = []

    def add(self, row: Row) -> None:
        self.n += 1
        self.fee += row.fee
        if len(self.lines) < MAX_LISTED:
            self.lines.append(row.line)


class Reconciled:
    """The journal beside a statement. `open` is open here and not in the statement: no mismatch,
    and no proof of anything. `charged` and `given_back` are what the statement says of the period;
    `shortened` are lines that match nothing because a spreadsheet has spoiled their ids. `later` of
    those that only we have were begun after the statement's last line, which is of `last_ms`.
    """

    def __init__(self, since_ms: int, until_ms: int) -> None:
        self.since_ms = since_ms
        self.until_ms = until_ms
        self.rows = 0
        self.outside = 0
        self.matched = 0
        self.matched_fee = 0
        self.charged = 0
        self.given_back = 0
        self.only_ours = Found()
        self.only_theirs = Found()
        self.differ = Found()
        self.refunds = Found()
        self.open = Found()
        self.skipped: dict[What, Skipped] = {}
        self.shortened: list[int] = []
        self.last_ms: int | None = None
        self.later = 0

    @property
    def good(self) -> bool:
        found = (self.only_ours, self.only_theirs, self.differ, self.refunds)
        return not any(one.n for one in found)

    def covers(self, at_ms: int | None) -> bool:
        """Whether that moment is in the period; a line without a time is."""
        return at_ms is None or self.since_ms <= at_ms < self.until_ms

    def skip(self, row: Row) -> None:
        """Count a line that is no payment."""
        self.skipped.setdefault(row.what, Skipped()).add(row)


class _Group:
    """Payments of ours that share an id, and what the statement says of them together.

    What was given back may be told in a column of the paid line, in lines of its own, or in both.
    """

    __slots__ = (
        "back",
        "back_in_column",
        "back_ms",
        "charged",
        "charges",
        "covered",
        "line",
        "lines",
        "payments",
    )

    def __init__(self) -> None:
        self.payments: list[Item] = []
        self.charged = 0
        self.charges = 0
        self.back = 0
        self.back_in_column = 0
        self.back_ms: int | None = None
        self.covered = False
        self.line: int | None = None
        self.lines: list[int] = []

    @property
    def given_back(self) -> int:
        return max(self.back, self.back_in_column)

    def add(self, row: Row) -> None:
        if row.fee < 0:
            self.back -= row.fee
            self.back_ms = row.at_ms or self.back_ms
        else:
            self.charged += row.fee
            self.charges += 1
            self.line = self.line or row.line
        self.back_in_column += row.refund
        if row.fee < 0 or row.refund:
            self.lines.append(row.line)


def reconcile(
    payments: Iterable[Payment], rows: Iterable[Row], since_ms: int, until_ms: int
) -> Reconciled:
    """Set `payments` beside `rows`; both may reach over the period, so that what was begun before
    midnight and charged after it finds its other half.
    """
    done = Reconciled(since_ms, until_ms)
    groups: dict[int, _Group] = {}
    known: dict[str, _Group] = {}
    for payment in payments:
        _place(payment, known, groups, done)
    rounded = frozenset(r for one in known if len(one) > KEPT_DIGITS for r in _rounded(one))
    for row in rows:
        if row.what not in (What.PAYMENT, What.REFUND, What.OTHER):
            done.skip(row)
            continue
        group = next((known[one] for one in row.ids if one in known), None)
        if group is None and row.what is What.OTHER:
            done.skip(row)
            continue
        done.rows += 1
        if row.at_ms is not None:
            done.last_ms = max(row.at_ms, done.last_ms or row.at_ms)
        if group is not None:
            group.add(row)
            group.covered = group.covered or done.covers(row.at_ms)
        elif done.covers(row.at_ms):
            _add_theirs(row, rounded, done)
        else:
            done.outside += 1
    for group in groups.values():
        if group.covered:
            _judge(group, done)
        else:
            done.outside += group.charges + len(group.lines)
    return done


def _rounded(one: str) -> frozenset[str]:
    return as_rounded(one) if one.isdecimal() else frozenset()


def _add_theirs(row: Row, rounded: frozenset[str], done: Reconciled) -> None:
    lost = any(one in rounded or lost_digits(one) >= CERTAINLY_LOST for one in row.ids)
    if row.shortened or lost:
        done.shortened.append(row.line)
    item = Item(None, None, None, 0, row.fee, row.at_ms, row.ids, row.line)
    if row.fee < 0 and row.what is What.REFUND:
        done.given_back -= row.fee
        done.refunds.add(item._replace(lines=(row.line,), back_ms=row.at_ms), row.fee)
        return
    done.charged += row.fee
    done.only_theirs.add(item, row.fee)
    if row.refund:
        done.given_back += row.refund
        done.refunds.add(item._replace(theirs=-row.refund, lines=(row.line,)), -row.refund)


def name_earlier(done: Reconciled, payments: Iterable[Payment]) -> None:
    """Find, among earlier payments, those that were given back in the statement."""
    wanted = {one: n for n, i in enumerate(done.refunds.items) if not i.request_id for one in i.ids}
    for payment in payments if wanted else ():
        for one in _ids_of(payment):
            if one in wanted:
                at = wanted[one]
                found, item = done.refunds.items[at], _item_of(payment)
                done.refunds.items[at] = item._replace(
                    theirs=found.theirs,
                    line=found.line,
                    lines=found.lines,
                    back_ms=found.back_ms,
                )


def _ids_of(payment: Payment) -> tuple[str, ...]:
    verdict = payment.verdict
    given = (payment.request_id, verdict.payment_order_id, verdict.channel_order_id)
    return tuple(unquoted(one) for one in given if one)


def _item_of(payment: Payment) -> Item:
    outcome = outcome_of(payment.standing)
    return Item(
        payment.request_id,
        payment.checkout.checkout_id,
        outcome,
        payment.fee if outcome is Outcome.SUCCESS else payment.pay_fee if payment.open else 0,
        0,
        payment.created_ms,
        _ids_of(payment),
    )


def _place(
    payment: Payment, known: dict[str, _Group], groups: dict[int, _Group], done: Reconciled
) -> None:
    item = _item_of(payment)
    group = next((known[one] for one in item.ids if one in known), None) or _Group()
    groups[id(group)] = group
    for one in item.ids:
        known.setdefault(one, group)
    group.payments.append(item)
    group.covered = group.covered or done.covers(payment.created_ms)


_OPEN = frozenset({Outcome.PENDING, Outcome.UNKNOWN, Outcome.CONFLICT})


def _judge(group: _Group, done: Reconciled) -> None:
    paid = [one for one in group.payments if one.outcome is Outcome.SUCCESS]
    ours = sum(one.fee for one in paid)
    back = group.given_back
    done.charged += group.charged
    done.given_back += back
    if not group.charges:
        for one in paid:
            if done.covers(one.at_ms):
                done.only_ours.add(one, one.fee)
                done.later += _is_later(one, done)
        for one in group.payments:
            if one.outcome in _OPEN and not group.lines:
                done.open.add(one, one.fee)
    elif paid and ours == group.charged:
        done.matched += len(paid)
        done.matched_fee += ours
    elif paid:
        item = paid[0]._replace(fee=ours, theirs=group.charged, line=group.line)
        done.differ.add(item, group.charged - ours)
    elif group.charged != back:  # what was charged and wholly given back is no money
        theirs = group.charged - back
        item = group.payments[0]._replace(fee=0, theirs=theirs, line=group.line)
        done.only_theirs.add(item, theirs)
    if back and (paid or not group.charges):
        first = (paid or group.payments)[0]
        lines = tuple(group.lines)
        item = first._replace(
            fee=ours, theirs=-back, line=lines[0], lines=lines, back_ms=group.back_ms
        )
        done.refunds.add(item, -back)


def _is_later(one: Item, done: Reconciled) -> bool:
    """Whether it was begun after all that the statement tells: the next one may have it."""
    return one.at_ms is not None and done.last_ms is not None and one.at_ms > done.last_ms
