"""CSV that a spreadsheet opens as it is meant: as UTF-8, and with no cell run as a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from posctl.text import one_line

# A cell that begins so is a formula to a spreadsheet, in full width to some of them too.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)


class Id(str):
    """A text that is no number, though it may be digits: 001, or more of them than a spreadsheet
    keeps.
    """

    __slots__ = ()


def sheet(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV text. Excel takes a file for UTF-8 only when it begins with a mark."""
    text = io.StringIO()
    # Quoted, since a spreadsheet may take ; for the separator, and what follows it for a formula.
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(names)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return "\ufeff" + text.getvalue()


def _cell(value: object) -> object:
    if value is None or isinstance(value, int):
        return value
    text = str(value)
    if isinstance(value, Id) and text.isdecimal():
        return f"{text}\t"  # as in Alipay's own exports: what has a tab behind it stays text
    risky = text.startswith(_FORMULA) and not _NUMBER.fullmatch(text)
    return ("'" if risky else "") + one_line(text)
