"""The journal beside the platform's or the bank's statement. Reads the statement; pure otherwise.

A statement is CSV as others export it: UTF-8 or GBK, with or without lines before the table and
behind it (Alipay's begin with #), amounts such as 1,234.50, ids that are padded or begin with ` so
that a spreadsheet leaves them alone. It is read line by line, however large it is.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import BinaryIO, NamedTuple
from unicodedata import normalize

from posctl.config.profile import Statement
from posctl.errors import UsageError
from posctl.messages import _
from posctl.money.outcome import Outcome, outcome_of
from posctl.money.record import Payment

# The names of columns in the usual exports, the best first; spelled as `_plain` spells them.
_IDS = (
    *("支付宝交易号", "商户订单号", "交易号", "商家订单号", "交易订单号", "业务流水号"),
    *("payment_order_id", "channel_order_id", "request_id"),
)
_AMOUNTS = {
    **dict.fromkeys(("订单金额(元)", "收入金额(+元)", "收入(+元)", "金额(元)"), "yuan"),
    **dict.fromkeys(("订单金额", "交易金额", "金额", "amount"), "yuan"),
    **dict.fromkeys(("pay_fee", "fee"), "fen"),
}
_TIMES = (
    *("完成时间", "付款时间", "发生时间", "入账时间", "交易时间", "创建时间"),
    *("time", "created_at"),
)
_CHINA = timezone(timedelta(hours=8))  # the platform's clock (protocol, section 2)
_DAY_MS = 86_400_000
MARGIN_MS = 2 * _DAY_MS  # an open payment may be charged up to a day after it was begun
MAX_LINE = 1 << 20  # bytes
MAX_PREAMBLE = 200  # lines before the table
MAX_LISTED = 10_000  # of each kind; the rest is counted


class Row(NamedTuple):
    """One line of a statement: every id it names, its amount in fen, and when."""

    line: int
    ids: tuple[str, ...]
    fee: int
    at_ms: int | None


class Item(NamedTuple):
    """What does not match. `request_id` and `outcome` are those of the journal, if it knows any.

    `fee` is what the journal holds paid (of an open one: what it asked for), `theirs` what the
    statement says, in fen; `line` is the statement's.
    """

    request_id: str | None
    checkout_id: str | None
    outcome: Outcome | None
    fee: int
    theirs: int
    at_ms: int | None
    ids: tuple[str, ...] = ()
    line: int | None = None


class Found:
    """Items of one kind: all counted and summed, the first MAX_LISTED kept."""

    def __init__(self) -> None:
        self.n = 0
        self.fee = 0
        self.items: list[Item] = []

    def add(self, item: Item, fee: int) -> None:
        self.n += 1
        self.fee += fee
        if len(self.items) < MAX_LISTED:
            self.items.append(item)


class Reconciled:
    """The journal beside a statement. `open` is open here and not in the statement: no mismatch,
    and no proof of anything.
    """

    def __init__(self, since_ms: int, until_ms: int) -> None:
        self.since_ms = since_ms
        self.until_ms = until_ms
        self.rows = 0
        self.outside = 0
        self.matched = 0
        self.matched_fee = 0
        self.only_ours = Found()
        self.only_theirs = Found()
        self.differ = Found()
        self.open = Found()

    @property
    def good(self) -> bool:
        return not (self.only_ours.n or self.only_theirs.n or self.differ.n)

    def covers(self, at_ms: int | None) -> bool:
        """Whether that moment is in the period; a line without a time is."""
        return at_ms is None or self.since_ms <= at_ms < self.until_ms


class _Group:
    """Payments of ours that share an id, and what the statement says of them together."""

    __slots__ = ("covered", "line", "payments", "rows", "theirs")

    def __init__(self) -> None:
        self.payments: list[Item] = []
        self.theirs = 0
        self.rows = 0
        self.covered = False
        self.line: int | None = None


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
    for row in rows:
        done.rows += 1
        group = next((known[one] for one in row.ids if one in known), None)
        if group is not None:
            group.theirs += row.fee
            group.rows += 1
            group.line = group.line or row.line
            group.covered = group.covered or done.covers(row.at_ms)
        elif done.covers(row.at_ms):
            item = Item(None, None, None, 0, row.fee, row.at_ms, row.ids, row.line)
            done.only_theirs.add(item, row.fee)
        else:
            done.outside += 1
    for group in groups.values():
        if group.covered:
            _judge(group, done)
        else:
            done.outside += group.rows
    return done


def _place(
    payment: Payment, known: dict[str, _Group], groups: dict[int, _Group], done: Reconciled
) -> None:
    verdict = payment.verdict
    given = (payment.request_id, verdict.payment_order_id, verdict.channel_order_id)
    ids = tuple(_cell(one) for one in given if one)
    group = next((known[one] for one in ids if one in known), None) or _Group()
    groups[id(group)] = group
    for one in ids:
        known.setdefault(one, group)
    outcome = outcome_of(payment.standing)
    item = Item(
        payment.request_id,
        payment.checkout.checkout_id,
        outcome,
        payment.fee if outcome is Outcome.SUCCESS else 0,
        0,
        payment.created_ms,
        ids,
    )
    if payment.open:  # what it may come to
        item = item._replace(fee=payment.pay_fee)
    group.payments.append(item)
    group.covered = group.covered or done.covers(payment.created_ms)


_OPEN = frozenset({Outcome.PENDING, Outcome.UNKNOWN, Outcome.CONFLICT})


def _judge(group: _Group, done: Reconciled) -> None:
    paid = [one for one in group.payments if one.outcome is Outcome.SUCCESS]
    ours = sum(one.fee for one in paid)
    if not group.rows:
        for one in paid:
            done.only_ours.add(one, one.fee)
        for one in group.payments:
            if one.outcome in _OPEN:
                done.open.add(one, one.fee)
    elif paid and ours == group.theirs:
        done.matched += len(paid)
        done.matched_fee += ours
    elif paid:
        item = paid[0]._replace(fee=ours, theirs=group.theirs, line=group.line)
        done.differ.add(item, group.theirs - ours)
    elif group.theirs:
        item = group.payments[0]._replace(fee=0, theirs=group.theirs, line=group.line)
        done.only_theirs.add(item, group.theirs)


# ── the file ─────────────────────────────────────────────────────────────────────────────────


def span_of(rows: Iterable[Row]) -> tuple[int, int] | None:
    """The platform's days that `rows` cover, half open, in milliseconds; None without any time."""
    first_ms = last_ms = None
    for row in rows:
        if row.at_ms is not None:
            first_ms = row.at_ms if first_ms is None else min(first_ms, row.at_ms)
            last_ms = row.at_ms if last_ms is None else max(last_ms, row.at_ms)
    if first_ms is None or last_ms is None:
        return None
    shift_ms = 8 * 3_600_000
    first, last = ((ms + shift_ms) // _DAY_MS for ms in (first_ms, last_ms))
    return first * _DAY_MS - shift_ms, (last + 1) * _DAY_MS - shift_ms


def read_rows(path: Path, how: Statement) -> Iterator[Row]:
    """The lines of a statement that name an amount. Raises UsageError, with the line."""
    try:
        with path.open("rb") as file:
            yield from _rows(file, how, path.name)
    except OSError as error:
        raise UsageError(
            "bad_statement",
            _("{path} cannot be read: {why}.").format(
                path=path, why=error.strerror or type(error).__name__
            ),
        ) from None


def _rows(file: BinaryIO, how: Statement, name: str) -> Iterator[Row]:
    reader = csv.reader(_lines(file, how.encoding or _encoding(file, name), name), strict=True)
    columns: _Columns | None = None
    seen: list[str] = []
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            why = _("it is not CSV ({why})").format(why=error)
            raise _bad(name, reader.line_num, why) from None
        if not any(cell.strip() for cell in cells):
            continue
        if columns is None:
            columns = _Columns.of(cells, how)
            seen = max(seen, cells, key=len)
            if columns is None and reader.line_num > MAX_PREAMBLE:
                break
            continue
        row = columns.row(cells, reader.line_num, name)
        if row is not None:
            yield row
    if columns is None:
        raise _no_table(name, how, seen)


def _no_table(name: str, how: Statement, seen: Sequence[str]) -> UsageError:
    wanted = " + ".join(one for one in (how.id, how.amount, how.time) if one)
    words = (
        _("{name}: no line names the columns {wanted}.")
        if wanted
        else _("{name}: no line names the columns of an id and an amount.")
    )
    return UsageError(
        "no_table",
        words.format(name=name, wanted=wanted),
        _("Say in the profile what they are called (statement). It has: {names}").format(
            names=", ".join(cell.strip() for cell in seen)[:300]
        ),
    )


def _encoding(file: BinaryIO, name: str) -> str:
    head = file.read(1 << 16)
    file.seek(0)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head:
        raise _bad(name, 1, _("it is not CSV in UTF-8 or GBK; export or save it as one"))
    try:
        head[: head.rfind(b"\n") + 1 or len(head)].decode()
    except UnicodeDecodeError:
        return "gbk"
    return "utf-8"


def _lines(file: BinaryIO, encoding: str, name: str) -> Iterator[str]:
    """The file's lines as text; comments are blank, so that lines keep their numbers."""
    codec = {"utf-8": "utf-8", "gbk": "gb18030"}[encoding]  # gb18030 is all of GBK, and more
    number = 0
    while raw := file.readline(MAX_LINE + 1):
        number += 1
        if len(raw) > MAX_LINE:
            raise _bad(name, number, _("the line is too long"))
        try:
            text = raw.decode(codec)
        except UnicodeDecodeError:
            why = _("it is not {encoding} text; set encoding in the profile (statement)")
            raise _bad(name, number, why.format(encoding=encoding)) from None
        text = text.removeprefix("\ufeff") if number == 1 else text
        yield "\n" if text.lstrip().startswith("#") else text


class _Columns(NamedTuple):
    """Where in a line ids, amount and time stand."""

    ids: tuple[int, ...]
    amount: int
    unit: str
    time: int | None

    @classmethod
    def of(cls, cells: Sequence[str], how: Statement) -> _Columns | None:
        """The columns, if `cells` are the head of the table."""
        names = [_plain(cell) for cell in cells]
        ids = [_plain(how.id)] if how.id else _IDS
        amounts = [_plain(how.amount)] if how.amount else list(_AMOUNTS)
        times = [_plain(how.time)] if how.time else _TIMES
        amount = next((one for one in amounts if one in names), None)
        time = next((one for one in times if one in names), None)
        found = tuple(names.index(one) for one in ids if one in names)
        if not found or amount is None or (how.time and time is None):
            return None
        unit = how.amount_unit or _AMOUNTS.get(amount, "yuan")
        return cls(found, names.index(amount), unit, None if time is None else names.index(time))

    def row(self, cells: Sequence[str], line: int, name: str) -> Row | None:
        """One line of the table; None when it names no amount. Raises UsageError."""
        if len(cells) <= max(*self.ids, self.amount, self.time or 0):
            raise _bad(name, line, _("it has too few columns"))
        amount = _cell(cells[self.amount])
        if not amount:
            return None
        fee = _fen(amount) if self.unit == "fen" else _yuan(amount)
        if fee is None:
            raise _bad(name, line, _("{text} is not an amount").format(text=ascii(amount[:40])))
        at_ms = None
        if self.time is not None and (when := _cell(cells[self.time])):
            at_ms = _moment(when)
            if at_ms is None:
                raise _bad(name, line, _("{text} is not a time").format(text=ascii(when[:40])))
        ids = tuple(dict.fromkeys(one for i in self.ids if (one := _cell(cells[i]))))
        return Row(line, ids, fee, at_ms)


def _plain(name: str) -> str:
    """A column's name whatever its spaces, its case and the width of its brackets."""
    return "".join(normalize("NFKC", _cell(name)).casefold().split())


def _cell(text: str) -> str:
    return text.strip().lstrip("`'").strip()


def _yuan(text: str) -> int | None:
    """Yuan as fen, exactly; None for what is no amount."""
    found = re.fullmatch(
        r"([+-]?)[￥¥]?([+-]?)([0-9]{1,12}|[0-9]{1,3}(?:,[0-9]{3}){1,4})(?:\.([0-9]{1,2})0*)?", text
    )
    if found is None or (found[1] and found[2]):
        return None
    fen = int(found[3].replace(",", "")) * 100 + int((found[4] or "").ljust(2, "0"))
    return -fen if "-" in (found[1], found[2]) else fen


def _fen(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,15}", text) else None


_COMPACT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})", re.ASCII)
_SPELLED = re.compile(
    r"([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})(?:[ T]+([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?)?"
    r"(?:\.[0-9]+)?",
    re.ASCII,
)


def _moment(text: str) -> int | None:
    """A time as milliseconds; without a zone it is the platform's."""
    found = _COMPACT.fullmatch(text) or _SPELLED.fullmatch(text)
    try:
        if found is None:
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=_CHINA)
        else:
            year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
            moment = datetime(year, month, day, hour, minute, second, tzinfo=_CHINA)
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _bad(name: str, line: int, why: str) -> UsageError:
    return UsageError(
        "bad_statement",
        _("{name}, line {line}: {why}.").format(name=name, line=line, why=why),
    )
