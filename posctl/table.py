"""Tables as spreadsheets and platforms save them: what bytes are, and what became of numbers."""

from __future__ import annotations

import codecs
import re
from unicodedata import normalize

from posctl.errors import UsageError
from posctl.messages import _

SNIFFED = 1 << 16  # bytes; so many tell what a file is


def refuse_binary(head: bytes, name: str, code: str) -> None:
    """Refuse, in one line, what is no text at all by its first bytes. Raises UsageError."""
    if head.startswith(b"PK\x03\x04"):
        if b"[Content_Types].xml" in head or b"xl/" in head or b"mimetype" in head[:64]:
            raise _not_csv(name, code, "xlsx")
        words = _("{name} is a zip archive. Unpack it, then give the CSV file in it.")
        raise UsageError(code, words.format(name=name))
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise _not_csv(name, code, "xls")
    if head.startswith(b"\x1f\x8b"):
        words = _("{name} is a gzip archive. Unpack it, then give the file in it.")
        raise UsageError(code, words.format(name=name))


def encoding_of(head: bytes) -> str:
    """Python's name for the encoding that a text begins in, by its first SNIFFED bytes; a mark at
    its beginning is none of the text. What is neither UTF-8 nor UTF-16 is taken for GBK.
    """
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in head:  # a mark is missing; every second byte of ASCII is 0
        return "utf-16-le" if b"\0" in head[1::2] else "utf-16-be"
    whole = head if len(head) < SNIFFED else head[: head.rfind(b"\n") + 1 or len(head)]
    try:
        whole.decode()
    except UnicodeDecodeError:
        return "gb18030"  # all of GBK, and more
    return "utf-8-sig"


def plain_head(name: str) -> str:
    """A column's name whatever its spaces, its case and the width of its brackets."""
    return "".join(normalize("NFKC", unquoted(name)).casefold().split())


def unquoted(cell: str) -> str:
    """A cell without what others put around it so that a spreadsheet leaves its digits alone: tabs,
    back-ticks, an apostrophe before it, ="…" around it.
    """
    text = cell.strip()
    if found := re.fullmatch(r'="([^"]*)"|=([0-9]+)', text):
        text = found[1] or found[2] or ""
    return text.strip("`'\"‘’“” \t\u00a0\u3000").strip()


_YUAN = (
    r"([+-]?)[￥¥]?([+-]?)([0-9]{1,12}|[0-9]{1,3}(?:,[0-9]{3}){1,4})(?:\.([0-9]{1,2})0*)?(?:元)?"
)


def fen_of(text: str) -> int | None:
    """Yuan as fen, exactly; None for what is no amount, or could be read in two ways."""
    found = re.fullmatch(_YUAN, text)
    if found is None or (found[1] and found[2]):
        return None
    fen = int(found[3].replace(",", "")) * 100 + int((found[4] or "").ljust(2, "0"))
    return -fen if "-" in (found[1], found[2]) else fen


_SHORTENED = r"([0-9]+)(?:[.,]([0-9]+))?(?:[EeDd]|[×xX*]10\^?)\+?([0-9]{1,3})"  # 2.83457E+17


def is_shortened(text: str) -> bool:
    """Whether a spreadsheet has written a long number as a power of ten: its digits are lost."""
    found = re.fullmatch(_SHORTENED, "".join(normalize("NFKC", unquoted(text)).split()))
    return found is not None and len(found[1] + (found[2] or "")) < int(found[3]) + 1


KEPT_DIGITS = 15  # of a number in a spreadsheet; zeros stand for the others


def lost_digits(digits: str) -> int:
    """How many digits a spreadsheet may have taken from a number: the zeros behind the 15th, when
    nothing else stands there.
    """
    tail = digits[KEPT_DIGITS:]
    return len(tail) if digits.isdecimal() and not tail.strip("0") else 0


def as_rounded(digits: str) -> frozenset[str]:
    """What a spreadsheet may make of a number: cut, or rounded, to its first 15 digits."""
    kept, tail = digits[:KEPT_DIGITS], "0" * len(digits[KEPT_DIGITS:])
    return frozenset({kept + tail, str(int(kept) + 1) + tail} if tail else ())


_SUMS = r"(?:合计|总计|小计|共计|累计|汇总|sum|total|subtotal|grandtotal)(?:[:：(].*)?"


def is_sum(cell: str) -> bool:
    """Whether a cell says that its row adds up others."""
    return re.fullmatch(_SUMS, plain_head(cell)) is not None


def _not_csv(name: str, code: str, kind: str) -> UsageError:
    words = _("{name} is a spreadsheet's own file ({kind}). Save it as CSV there, then give that.")
    return UsageError(code, words.format(name=name, kind=kind))
