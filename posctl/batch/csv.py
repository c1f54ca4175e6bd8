"""A batch as a spreadsheet saves it: CSV, its heads in the API's words or in a shop's."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple
from unicodedata import normalize

from posctl.errors import UsageError
from posctl.messages import _
from posctl.money.codes import CODE_FIELDS, discreet
from posctl.money.order import FIELDS, check_value, code_hint, seems_code, yuan
from posctl.table import (
    SNIFFED,
    encoding_of,
    fen_of,
    is_shortened,
    is_sum,
    lost_digits,
    plain_head,
    unquoted,
)
from posctl.text import nearest, one_line

Read = Callable[[], dict[str, Any]]
"""Reads one line's members by API name, as JSON values. Raises UsageError."""

ATTEMPT = "attempt"  # the one member of a line that is none of the API's

# What a shop calls its columns, spelled as `plain_head` spells them.
_NAMES = {
    **dict.fromkeys(("单号", "结账单", "结账单号", "收银单号", "账单号", "小票号"), "checkout_id"),
    **dict.fromkeys(("單號", "小票號"), "checkout_id"),
    **dict.fromkeys(("订单号", "订单", "订单编号", "訂單號"), "order_id"),
    **dict.fromkeys(("付款码", "支付码", "付款条码", "付款條碼", "付款碼"), "channel_account"),
    **dict.fromkeys(("支付授权码", "授权码", "条码", "条形码"), "channel_account"),
    **dict.fromkeys(("门店", "门店号", "门店编号", "店号", "門店"), "shop_id"),
    **dict.fromkeys(("收银员", "收银员号", "收银员编号", "操作员", "收銀員"), "operator_id"),
    **dict.fromkeys(("收银机", "收银机号", "机号", "款台", "收銀機"), "machine_id"),
    **dict.fromkeys(("付款编号", "请求号"), "request_id"),
    **dict.fromkeys(("第几次", "次数"), ATTEMPT),
}
_AMOUNTS = ("金额", "付款金额", "支付金额", "收款金额", "应收金额", "订单金额", "金額", "付款金額")
_YUAN = {"yuan", "元", "amount(yuan)", *(f"{one}(元)" for one in _AMOUNTS)}
_FEN = {"分", "pay_fee(fen)", *(f"{one}(分)" for one in _AMOUNTS)}


class _Column(NamedTuple):
    """`member` is the API's name for what stands in it, None when its head is empty; `head` what
    the file calls it; `in_yuan` tells that its amounts are not in fen.
    """

    member: str | None
    head: str
    in_yuan: bool = False


def csv_records(raw: bytes, name: str) -> Iterator[tuple[int, Read]]:
    """The lines of a CSV file by their numbers, empty ones left out. Raises UsageError."""
    try:
        text = raw.decode(encoding_of(raw[:SNIFFED])).removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise bad_file(name, _("it is not text in UTF-8, UTF-16 or GBK")) from None
    first = text.partition("\n")[0]
    tabs = "\t" in first and "," not in first  # as spreadsheets write UTF-16
    rows = csv.reader(io.StringIO(text, newline=""), "excel-tab" if tabs else "excel", strict=True)
    columns: list[_Column] = []
    try:
        for row in rows:
            if not any(cell.strip() for cell in row) or (not columns and _says_separator(row)):
                continue
            if columns:
                yield rows.line_num, partial(_members, columns, row)
            else:
                columns = _columns(row, name)
    except csv.Error:
        why = _("line {number} is not CSV").format(number=rows.line_num)
        raise bad_file(name, why) from None


def _says_separator(row: Sequence[str]) -> bool:
    return row[0].strip().casefold() in ("sep=", "sep=;")  # Excel's own first line


def _columns(row: Sequence[str], name: str) -> list[_Column]:
    columns = [_column(head, name, alone=len(row) == 1) for head in row]
    members = [column.member for column in columns]
    if "checkout_id" not in members and "order_id" in members:  # what most shops call it
        at = members.index("order_id")
        if columns[at].head != "order_id":
            columns[at] = columns[at]._replace(member="checkout_id")
            members[at] = "checkout_id"
    for member in members:
        if member is not None and members.count(member) > 1:
            raise bad_file(name, _("{name} is given twice").format(name=member))
    return columns


def _column(head: str, name: str, *, alone: bool) -> _Column:
    known = plain_head(head)
    if head in (*FIELDS, ATTEMPT):
        return _Column(head, head)
    if not known:
        return _Column(None, head)
    shown = one_line(head.strip())
    if known in _YUAN or known in _FEN:
        return _Column("pay_fee", shown, known in _YUAN)
    if known in _NAMES:
        return _Column(_NAMES[known], shown)
    if alone and not {";", "\t"}.isdisjoint(head):
        raise bad_file(name, _("its columns must be separated by commas, not ; or tabs"))
    if known in (*_AMOUNTS, "amount"):
        raise UsageError(
            "no_unit",
            _("{file}: {head} does not say whether it is yuan or fen.").format(
                file=name, head=shown
            ),
            _("Call the column 金额（元） or yuan, or else pay_fee when it is fen."),
        )
    near = nearest(head, FIELDS)
    is_code = seems_code(known)
    hints = (
        code_hint() if is_code else "",
        _("Did you mean {name}?").format(name=near) if near and not is_code else "",
        _("Columns are, say: pay_fee,checkout_id,channel_account (the payment code)."),
    )
    raise UsageError(
        "unknown_member",
        _("{file}: the API knows no {member}.").format(
            file=name, member=f"'{one_line(discreet(shown[:40]))}'"
        ),
        "\n".join(hint for hint in hints if hint),
    )


def _members(columns: Sequence[_Column], row: Sequence[str]) -> dict[str, Any]:
    width = len(columns)
    if len(row) < width or any(cell.strip() for cell in row[width:]):
        raise UsageError(
            "bad_row",
            _("It has {count} values, the first line names {columns}.").format(
                count=len(row), columns=width
            ),
        )
    members: dict[str, Any] = {}
    for column, cell in zip(columns, row, strict=False):
        if not cell:
            continue
        if column.member is None:
            raise UsageError("no_head", _("It has a value in a column without a name."))
        _refuse_spoiled(column, cell)
        members[column.member] = _value(column, cell)
    return members


def _value(column: _Column, cell: str) -> str | int:
    """A cell as JSON would have it: numbers as numbers. What profile and limits say of it comes
    later. Raises UsageError.
    """
    name = column.member or ""
    if name == ATTEMPT:
        return cell
    if name == "checkout_id" and is_sum(cell):
        raise UsageError("sum_row", _("It is a sum, not a payment: take it out of the file."))
    if name == "pay_fee":
        cell = _yuan(column, cell) if column.in_yuan else _fen(column, cell)
    return check_value(name, cell, column.head, allow_card_numbers=True)


def _yuan(column: _Column, cell: str) -> str:
    fen = fen_of(normalize("NFKC", cell).strip())
    if fen is None or fen < 1:
        raise _bad_fee(column, cell, _("It is yuan, at least 0.01, as in 12.50 or 1,250.00."))
    return str(fen)


def _fen(column: _Column, cell: str) -> str:
    cell = cell.strip()
    fen = fen_of(normalize("NFKC", cell))
    if cell.isdecimal() or fen is None or fen < 1:
        return cell
    if "," in cell and "." not in cell:
        words = _("For {fen} fen write {fen} without the comma; for ￥{yuan} call the column yuan.")
        raise _bad_fee(column, cell, words.format(fen=fen // 100, yuan=yuan(fen)))
    words = _("It is in fen: for ￥{yuan} write {fen}, or call the column yuan.")
    raise _bad_fee(column, cell, words.format(fen=fen, yuan=yuan(fen)))


def _bad_fee(column: _Column, cell: str, allowed: str) -> UsageError:
    # As the words of `check` begin, and what the cell holds.
    words = _("{where} cannot be used. {allowed}").format(where=column.head, allowed=allowed)
    shown = one_line(discreet(cell.strip()[:24]))
    return UsageError("bad_pay_fee", words + " " + _("The file has {cell}.").format(cell=shown))


_ERRORS = r"#{2,}|#(?:N/A|REF!|NAME\?|VALUE!|DIV/0!|NUM!|NULL!)"
_AROUND = "='\"`‘’“”"


def _refuse_spoiled(column: _Column, cell: str) -> None:
    """What a spreadsheet, or somebody who wanted to spare a value from it, has made of a cell.

    Raises UsageError: a code that was guessed at might be another customer's.
    """
    name = column.member or ""
    if FIELDS[name].kind == "free" if name in FIELDS else name == ATTEMPT:
        return
    is_code = name in CODE_FIELDS
    shown = one_line(discreet(cell.strip()[:40]))
    if re.fullmatch(_ERRORS, cell.strip()):
        words = _("A spreadsheet shows {value} for {name}: the value is not in the file.")
        raise _spoiled(words, column.head, shown)
    if is_shortened(cell) and (is_code or not cell.strip().isalnum()):
        words = _("A spreadsheet has shortened {name} to {value}: its digits are lost.")
        raise _spoiled(words, column.head, shown)
    bare = unquoted(normalize("NFKC", cell))
    if cell[0] in _AROUND and (is_code or cell[0] == "=" or re.match("[0-9]{8}", bare)):
        words = _("{name} is quoted for a spreadsheet: {value}. It must be the bare value.")
        raise _spoiled(words, column.head, shown)
    if name != "channel_account":
        return
    digits = re.sub(r"[\s.,'+_=\"`‘’“”-]", "", bare)
    if digits.isdecimal() and len(digits) >= 10 and digits != cell:
        words = _("{name} is not digits alone: {value}. A payment code has nothing else in it.")
        raise _spoiled(words, column.head, shown)
    if lost_digits(cell) > 1:  # one 0 at the end is every tenth code's own
        words = _("A spreadsheet has rounded {name} to {value}: its last digits are lost.")
        raise _spoiled(words, column.head, shown)


def _spoiled(words: str, name: str, value: str) -> UsageError:
    return UsageError(
        "shortened_number",
        words.format(name=name, value=value),
        _("Make that column text in the spreadsheet, and write the file again."),
    )


def bad_file(name: str, why: str) -> UsageError:
    return UsageError("bad_file", _("{name} cannot be used: {why}.").format(name=name, why=why))
