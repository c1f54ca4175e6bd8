"""A statement's file as records of cells: whatever it is packed in, encoded in and quoted like."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from posctl.errors import UsageError
from posctl.messages import _
from posctl.table import SNIFFED, encoding_of, refuse_binary
from posctl.text import reason

if TYPE_CHECKING:
    from zipfile import ZipFile

MAX_LINE = 1 << 20  # bytes
MAX_JOINED = 50  # lines of one record
MAX_UNPACKED = 1 << 31  # bytes


class Record(NamedTuple):
    """`line` is the one it ends in, from 1."""

    line: int
    cells: list[str]


class Records:
    """The records of a statement. `width` is set by who knows how many columns the table has, and
    `separator` when it is no comma.
    """

    def __init__(self, path: Path, encoding: str | None) -> None:
        self.name = path.name
        self.width: int | None = None
        self.separator = ","
        self._path = path
        self._encoding = encoding
        self._ahead: deque[str] = deque()

    def __iter__(self) -> Iterator[Record]:
        """Raises UsageError, with the line."""
        try:
            with _opened(self._path) as file:
                yield from self._records(self._lines(file))
        except OSError as error:
            raise UsageError(
                "bad_statement",
                _("{path} cannot be read: {why}.").format(path=self._path, why=reason(error)),
            ) from None

    def bad(self, line: int, why: str) -> UsageError:
        """What is wrong in a line."""
        return UsageError(
            "bad_statement",
            _("{name}, line {line}: {why}.").format(name=self.name, line=line, why=why),
        )

    def split(self, text: str, separator: str) -> list[str]:
        """A line's cells by another separator."""
        return next(csv.reader([text], delimiter=separator), [])

    def _records(self, lines: Iterator[str]) -> Iterator[Record]:
        number = 0
        while (text := self._next(lines)) is not None:
            number += 1
            try:
                cells = self.split(text if text.endswith("\n") else text + "\n", self.separator)
                if cells and cells[-1].endswith(("\n", "\r")):  # a quote in it is left open
                    cells, more = self._quoted(text, lines)
                    number += more
            except csv.Error as error:
                why = _("it is not CSV ({why})").format(why=error)
                raise self.bad(number, why) from None
            yield Record(number, cells)

    def _quoted(self, text: str, lines: Iterator[str]) -> tuple[list[str], int]:
        """The cells of a line that opens a quote and does not close it, and how many more lines
        they take: a cell of several lines; else the quote is a sign like any other.
        """
        taken: list[str] = []
        while len(taken) < MAX_JOINED and (more := self._next(lines)) is not None:
            taken.append(more)
            try:
                reader = csv.reader([text, *taken], delimiter=self.separator, strict=True)
                cells = next(reader)
            except csv.Error as error:
                if "unexpected end" in str(error):
                    continue
                break
            if self.width is None or len(cells) == self.width:
                return cells, len(taken)
            break
        self._ahead.extendleft(reversed(taken))
        reader = csv.reader([text.rstrip("\r\n")], delimiter=self.separator, quoting=csv.QUOTE_NONE)
        return [_without_quotes(cell) for cell in next(reader, [])], 0

    def _next(self, lines: Iterator[str]) -> str | None:
        return self._ahead.popleft() if self._ahead else next(lines, None)

    def _lines(self, file: IO[bytes]) -> Iterator[str]:
        head = file.read(SNIFFED)
        file.seek(0)
        encoding = self._encoding or encoding_of(head)
        codec = {"gbk": "gb18030"}.get(encoding, encoding)
        if codec.startswith("utf-16"):
            yield from self._utf16(file, codec)
            return
        number = 0
        while raw := file.readline(MAX_LINE + 1):
            number += 1
            if len(raw) > MAX_LINE:
                raise self.bad(number, _("the line is too long"))
            try:
                text = raw.decode(codec)
            except UnicodeDecodeError:
                why = _("it is not {encoding} text; set encoding in the profile (statement)")
                shown = {"utf-8-sig": "utf-8", "gb18030": "gbk"}.get(codec, codec)
                raise self.bad(number, why.format(encoding=shown)) from None
            yield text.removeprefix("\ufeff") if number == 1 else text

    def _utf16(self, file: IO[bytes], codec: str) -> Iterator[str]:
        number = 0
        try:
            with io.TextIOWrapper(file, codec, newline="") as text:
                while line := text.readline(MAX_LINE):
                    number += 1
                    yield line.removeprefix("\ufeff") if number == 1 else line
        except UnicodeError:
            raise self.bad(number + 1, _("it is not UTF-16 text")) from None


def _without_quotes(cell: str) -> str:
    text = cell.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].replace('""', '"')
    return cell


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The file, or the one statement in an archive, as the platform packs it."""
    with path.open("rb") as file:
        head = file.read(SNIFFED)
        file.seek(0)
        if not head.startswith(b"PK\x03\x04") or b"[Content_Types].xml" in head:
            refuse_binary(head, path.name, "bad_statement")
            yield file
            return
        from zipfile import BadZipFile, ZipFile

        try:
            with ZipFile(file) as archive, archive.open(_statement_in(archive, path)) as inner:
                refuse_binary(inner.read(SNIFFED), path.name, "bad_statement")
                inner.seek(0)
                yield inner
        except (BadZipFile, NotImplementedError, EOFError) as error:
            words = _("{name} is a zip archive that cannot be read ({why}). Unpack it yourself.")
            why = type(error).__name__
            raise UsageError("bad_statement", words.format(name=path.name, why=why)) from None


def _statement_in(archive: ZipFile, path: Path) -> str:
    """The name of the one CSV file in an archive; sums beside it (汇总) are none."""
    found = []
    for entry in archive.infolist():
        shown = entry.filename
        if not entry.flag_bits & 0x800:  # its name is not UTF-8: Chinese Windows writes GBK
            shown = shown.encode("cp437", "replace").decode("gb18030", "replace")
        hidden = shown.startswith("__MACOSX/") or entry.is_dir()
        if not hidden and shown.lower().endswith((".csv", ".txt")):
            found.append((entry, shown))
    tables = [one for one in found if "汇总" not in one[1]] or found
    if len(tables) != 1:
        words = _("{name} holds {n} CSV files, and one is needed: unpack it and give that one.")
        raise UsageError("bad_statement", words.format(name=path.name, n=len(tables)))
    entry = tables[0][0]
    if entry.flag_bits & 1:
        words = _("{name} is locked with a password: unpack it, then give the CSV file in it.")
        raise UsageError("bad_statement", words.format(name=path.name))
    if entry.file_size > MAX_UNPACKED:
        raise UsageError(
            "bad_statement", _("What is in {name} is too large.").format(name=path.name)
        )
    return entry.filename


def is_blank(cells: Sequence[str]) -> bool:
    """Whether nothing stands in a record."""
    return not any(cell.strip() for cell in cells)
