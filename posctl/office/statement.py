"""What the lines of a statement say: charged, given back, or nothing that a till would know of.

A statement is CSV as others export it: lines before the table and behind it (Alipay's begin with
#), amounts such as 1,234.50, ids that are padded or quoted so that a spreadsheet leaves them alone.
It is read line by line, however large it is. Which columns there are was taken from public parsers
of Alipay's 业务明细, 账务明细 and 交易记录 and of WeChat's 交易账单 and 资金账单.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from posctl.config.profile import Statement
from posctl.errors import UsageError
from posctl.messages import _
from posctl.office.statement_file import Record, Records, is_blank
from posctl.table import fen_of, is_shortened, is_sum, plain_head, unquoted
from posctl.times import DAY_MS

# The names of columns in the usual exports, the best first; spelled as `plain_head` spells them.
_IDS = (
    *("支付宝交易号", "商户订单号", "交易号", "商家订单号", "交易订单号", "业务流水号"),
    *("微信订单号", "微信支付订单号", "微信支付业务单号", "业务凭证号", "交易单号", "商户单号"),
    *("payment_order_id", "channel_order_id", "request_id", "付款编号", "平台付款单号"),
)
_AMOUNTS = {
    **dict.fromkeys(("订单金额(元)", "收入金额(+元)", "收入(+元)", "金额(元)"), "yuan"),
    **dict.fromkeys(("收支金额(元)", "收入金额(元)", "收入(元)", "交易金额(元)"), "yuan"),
    **dict.fromkeys(("订单金额", "总金额", "应结订单金额", "交易金额", "金额"), "yuan"),
    **dict.fromkeys(("收入金额", "收入", "amount"), "yuan"),
    **dict.fromkeys(("pay_fee", "fee", "金额(分)"), "fen"),
}
_OUT = ("支出金额(-元)", "支出(-元)", "支出金额(元)", "支出(元)", "支出金额", "支出")
_REFUNDS = (
    *("成功退款(元)", "成功退款金额(元)", "成功退款金额", "成功退款", "申请退款金额"),
    *("退款金额(元)", "退款金额", "已退款金额(元)", "已退款金额", "退款(元)", "refund"),
    *("refund_amount", "refund_fee"),
)
_TIMES = (
    *("完成时间", "付款时间", "发生时间", "入账时间", "记账时间", "支付时间", "交易时间"),
    *("创建时间", "交易创建时间", "time", "created_at"),
)
_STATES = ("交易状态", "当前状态", "订单状态", "状态", "trade_status", "status")
_KINDS = ("业务类型", "业务名称", "账务类型", "交易分类", "交易类型", "类型")
_WAYS = ("收/支", "收支类型", "收支方向", "收支", "借贷标志")

_CHINA = timezone(timedelta(hours=8))  # the platform's clock (protocol, section 2)
MAX_PREAMBLE = 200  # lines before the table


class What(StrEnum):
    """What a line is about. All but the first two are skipped, and told."""

    PAYMENT = "payment"
    REFUND = "refund"
    CLOSED = "closed"  # an order that nobody paid
    FEE = "fee"  # the platform's own
    OTHER = "other"  # money that comes from no customer
    NO_ID = "no_id"
    NO_AMOUNT = "no_amount"
    SUM = "sum"  # adds others up, or is a word behind the table
    COMMENT = "comment"


class Row(NamedTuple):
    """One line of a statement: every id it names, its amount in fen, and when.

    Of a line of its own about money given back `fee` is below 0; `refund` is what the line says,
    in a column of its own, was given back of its `fee`. `shortened` tells that a spreadsheet has
    spoiled an id of it.
    """

    line: int
    ids: tuple[str, ...]
    fee: int
    at_ms: int | None
    refund: int = 0
    what: What = What.PAYMENT
    shortened: bool = False


def span_of(rows: Iterable[Row]) -> tuple[int, int] | None:
    """The platform's days that `rows` cover, half open, in milliseconds; None without any time."""
    first_ms = last_ms = None
    for row in rows:
        if row.at_ms is not None and row.what in (What.PAYMENT, What.REFUND):
            first_ms = row.at_ms if first_ms is None else min(first_ms, row.at_ms)
            last_ms = row.at_ms if last_ms is None else max(last_ms, row.at_ms)
    if first_ms is None or last_ms is None:
        return None
    shift_ms = 8 * 3_600_000
    first, last = ((ms + shift_ms) // DAY_MS for ms in (first_ms, last_ms))
    return first * DAY_MS - shift_ms, (last + 1) * DAY_MS - shift_ms


def read_rows(path: Path, how: Statement) -> Iterator[Row]:
    """The lines of a statement behind the head of its table. Raises UsageError, with the line."""
    records = Records(path, how.encoding)
    columns: _Columns | None = None
    behind = False
    seen: list[str] = []
    for record in records:
        if is_blank(record.cells):
            continue
        head = _head(record, records, how)
        if head is not None:
            columns, behind, records.width = head, False, head.width
        elif columns is not None:
            row = columns.row(record, records, behind=behind)
            behind = behind or row.what is What.SUM
            yield row
        else:
            seen = max(seen, record.cells, key=len)
            if record.line > MAX_PREAMBLE:
                break
    if columns is None:
        raise _no_table(records.name, how, seen)


def unread_columns(path: Path, how: Statement) -> tuple[str, ...]:
    """Columns that look like money given back, where none of them is read. Raises UsageError."""
    records = Records(path, how.encoding)
    for record in records:
        columns = _head(record, records, how)
        if columns is not None:
            like = [
                cell for cell in record.cells if re.search("退款|refund|支出", plain_head(cell))
            ]
            money = [
                one.strip() for one in like if re.search("元|金额|amount|fee", plain_head(one))
            ]
            return () if columns.refund is not None or columns.out is not None else tuple(money)
    return ()


def _head(record: Record, records: Records, how: Statement) -> _Columns | None:
    """The columns, if the record is the head of a table; its separator may be no comma."""
    found = _Columns.of(record.cells, how)
    if found is None and len(record.cells) == 1:
        for separator in ("\t", ";"):
            cells = records.split(record.cells[0], separator)
            found = _Columns.of(cells, how)
            if found is not None:
                records.separator = separator
                record.cells[:] = cells
                return found
    return found


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


class _Columns(NamedTuple):
    """Where in a line everything stands. `out` is money that went out, when `amount` is only what
    came in.
    """

    width: int
    ids: tuple[int, ...]
    amount: int
    unit: str
    out: int | None
    refund: int | None
    times: tuple[int, ...]
    states: tuple[int, ...]
    funds: int | None
    kinds: tuple[int, ...]
    way: int | None

    @classmethod
    def of(cls, cells: Sequence[str], how: Statement) -> _Columns | None:
        """The columns, if `cells` are the head of the table."""
        names = [plain_head(cell) for cell in cells]
        while names and not names[-1]:
            names.pop()
        at = {name: n for n, name in reversed(list(enumerate(names)))}

        def all_of(wanted: Iterable[str]) -> tuple[int, ...]:
            return tuple(at[one] for one in wanted if one in at)

        ids = all_of([plain_head(how.id)] if how.id else _IDS)
        wanted = [plain_head(how.amount)] if how.amount else list(_AMOUNTS)
        amount = next((one for one in wanted if one in at), None)
        times = all_of([plain_head(how.time)] if how.time else _TIMES)
        if not ids or amount is None or (how.time and not times):
            return None
        refunds = [plain_head(how.refund)] if how.refund else list(_REFUNDS)
        if amount.startswith("应结") and not how.refund:  # without what a coupon paid
            refunds.insert(0, "退款金额")
        return cls(
            len(names),
            ids,
            at[amount],
            how.amount_unit or _AMOUNTS.get(amount, "yuan"),
            next(iter(all_of(_OUT)), None) if amount.startswith("收入") else None,
            next(iter(all_of(refunds)), None),
            times,
            all_of(_STATES),
            at.get("资金状态"),
            all_of(_KINDS),
            next(iter(all_of(_WAYS)), None),
        )

    @property
    def least(self) -> int:
        """So many cells a line must have."""
        return 1 + max(*self.ids, self.amount, self.out or 0, *self.times[:1])

    def row(self, record: Record, records: Records, *, behind: bool) -> Row:
        """One line of the table; `behind` it once sums have begun. Raises UsageError."""
        line, cells = record
        if not is_blank(cells[self.width :]):
            raise records.bad(line, _("it has more columns than the table"))
        aside = self._aside(cells, behind=behind)
        if aside is None and len(cells) < self.least:
            raise records.bad(line, _("it has too few columns"))
        cells = [*cells, *([""] * (self.width - len(cells)))]
        if aside is not None:
            return Row(line, (), 0, None, what=aside)
        named = [unquoted(cells[n]).removeprefix("REF") for n in self.ids]  # REF: WeChat's refunds
        ids = tuple(dict.fromkeys(one for one in named if one not in ("", "-", "/")))
        whole = tuple(one for one in ids if not is_shortened(one))
        fee, refund = self._money(cells, line, records)
        what, fee, refund = self._judged(cells, fee, refund)
        if not ids and what in (What.PAYMENT, What.REFUND):
            what = What.NO_ID
        at_ms = self._moment(cells, line, records)
        return Row(line, whole, fee or 0, at_ms, refund, what, shortened=whole != ids)

    def _aside(self, cells: Sequence[str], *, behind: bool) -> What | None:
        """What a line is that is none of the table."""
        filled = [cell.strip() for cell in cells if cell.strip()]
        if filled[0].startswith("#") and (len(cells) < self.width or len(filled) == 1):
            return What.COMMENT
        end = max(n for n, cell in enumerate(cells) if cell.strip()) + 1
        sums = is_sum(filled[0]) or any(is_sum(cells[n]) for n in self.ids if n < len(cells))
        if sums or re.fullmatch("[-=_*—─]{3,}.*", filled[0]):
            return What.SUM
        if end >= self.least:
            return None
        short = behind or any(re.search("总|合计|笔数|汇总", cell) for cell in filled)
        return What.SUM if short or (len(filled) == 1 and self.least > 1) else None

    def _money(self, cells: Sequence[str], line: int, records: Records) -> tuple[int | None, int]:
        """The line's amount, None when it names none, and what it says was given back."""
        fee = self._fen(cells[self.amount], line, records)
        if self.out is not None:
            out = self._fen(cells[self.out], line, records)
            fee = fee if out is None else (fee or 0) - abs(out)
        refund = None if self.refund is None else self._fen(cells[self.refund], line, records)
        return fee, abs(refund or 0)

    def _fen(self, cell: str, line: int, records: Records) -> int | None:
        text = unquoted(cell)
        if text in ("", "-", "--", "/"):
            return None
        fen = fen_of(text)
        if self.unit == "fen":
            fen = int(text) if re.fullmatch(r"[+-]?[0-9]{1,15}", text) else None
        if fen is None:
            why = _("{text} is not an amount").format(text=ascii(text[:40]))
            raise records.bad(line, why)
        return fen

    def _moment(self, cells: Sequence[str], line: int, records: Records) -> int | None:
        when = next((text for n in self.times if (text := unquoted(cells[n]))), None)
        if when in (None, "-", "/"):
            return None
        at_ms = moment_of(str(when))
        if at_ms is None:
            raise records.bad(line, _("{text} is not a time").format(text=ascii(str(when)[:40])))
        return at_ms

    def _judged(
        self, cells: Sequence[str], fee: int | None, refund: int
    ) -> tuple[What, int | None, int]:
        """What the line is about, by its own words; its amount, and what of it was given back."""
        state = " ".join(unquoted(cells[n]).casefold() for n in self.states)
        kind = " ".join(unquoted(cells[n]).casefold() for n in self.kinds)
        way = "" if self.way is None else unquoted(cells[self.way])
        funds = "" if self.funds is None else unquoted(cells[self.funds])
        if re.search(_FEE_WORDS, kind):
            return What.FEE, fee, 0
        if state in ("refund", "revoked"):  # WeChat's lines about what was given back
            back = refund or abs(fee or 0)
            return (What.REFUND if back else What.CLOSED), -back, 0
        moved = bool(refund or funds or way in ("收入", "支出"))
        if re.search(_CLOSED_WORDS, state) and not moved:
            return What.CLOSED, fee, 0
        if fee is None and not refund:
            return What.NO_AMOUNT, None, 0
        if re.search(_OTHER_WORDS, kind):
            return What.OTHER, -fee if fee and way == "支出" and fee > 0 else fee, 0
        if marked := re.search(r"(?:已|有|全额|部分)退款\D*([0-9.,]*)", state):  # on the paid line
            whole = 0 if "部分" in state else fee or 0
            return What.PAYMENT, fee, refund or fen_of(marked[1]) or whole
        if "退款" in kind or re.match("退款|转入退款", state):
            return What.REFUND, -abs(fee or refund) if way != "收入" else fee, 0
        if fee is not None and fee > 0 and way == "支出":
            return What.PAYMENT, -fee, 0
        if way in _NEITHER:
            return What.OTHER, fee, 0
        return What.PAYMENT, fee, refund


_FEE_WORDS = "收费|服务费|手续费|退费|佣金"
_OTHER_WORDS = "提现|充值|结算|利息|理财|余额宝|分账|分润|冻结|解冻|调拨|划拨"
_CLOSED_WORDS = (
    "关闭|等待|未支付|未付款|待付款|待支付|支付失败|交易失败|付款失败|已取消|已撤销|已失效"
    "|closed|notpay|payerror|userpaying|wait_buyer_pay|unpaid|cancel|failed"
)
_NEITHER = ("不计收支", "其他", "中性交易", "/")

_COMPACT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})", re.ASCII)
_SPELLED = re.compile(
    r"([0-9]{4})[-/.年]([0-9]{1,2})[-/.月]([0-9]{1,2})日?"
    r"(?:[ T]+([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?)?(?:\.[0-9]+)?",
    re.ASCII,
)


def moment_of(text: str) -> int | None:
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
