"""The results file of a batch: one record for each line, durable before it counts as told."""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

from posctl import files
from posctl.config.profile import Profile
from posctl.errors import Busy, UsageError
from posctl.files import lock, write_draft
from posctl.messages import _
from posctl.money.outcome import Outcome
from posctl.money.result import Result, result_json
from posctl.screen.contract import json_line
from posctl.text import reason


class Said(NamedTuple):
    """What the results file says of a line. `of_old` tells that posctl 0.1 wrote it, which made the
    request_ids of a batch in another way.
    """

    outcome: Outcome
    request_id: str | None
    of_old: bool = False


Asks = tuple[str, str, int]
"""The shop_id, checkout_id and pay_fee of a line."""


class Known(NamedTuple):
    """A line of the batch, by which its record is found: `id` whatever the file looks like now, and
    `asks` in the records of posctl 0.1, which have no such id.
    """

    number: int
    id: str
    asks: Asks


class Results:
    """The results file: JSON Lines, the last record of a line counts.

    While a batch runs, records are appended as they come; `tidy` leaves one a line, in the order
    of the lines. Only one process has the file at a time.
    """

    def __init__(self, path: Path, batch_id: str, lines: Sequence[Known]) -> None:
        """Open or make the file and read what it says of the batch's lines. What it says of others
        stays in it.

        Raises UsageError for a file that is no results file, or that knows none of the lines; Busy
        when another process has it.
        """
        self.path = path
        self.said: dict[int, Said] = {}
        self._batch_id = batch_id
        self._ids = {line.number: line.id for line in lines}
        self._by_id = {line.id: line.number for line in lines}
        self._by_asks: dict[Asks, list[int]] = {}
        for line in lines:
            self._by_asks.setdefault(line.asks, []).append(line.number)
        self._of_old: dict[int, int] = {}  # a line of the old file → the line that it is now
        self._strangers: list[tuple[int, int]] = []  # records of other lines, as in _places
        self._paid_strangers: set[str] = set()
        self._places: dict[int, tuple[int, int]] = {}  # line → offset and length of its record
        self._in_order = True
        flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        try:
            with suppress(FileExistsError):
                files.make_file(path)
            # Unbuffered: what a full disk refused must not be written when the file is closed.
            self._file = io.FileIO(os.open(path, flags, 0o600), "r+")
        except OSError as error:
            raise _unusable(path, reason(error)) from None
        try:
            self._lock()
            self._read()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()
        if not self._places and not self._strangers:  # nothing was sent: leave nothing behind
            with suppress(OSError):
                files.delete(self.path)
        self._file.close()

    def _let_go(self) -> None:
        """Before it is deleted or replaced, where that needs it: elsewhere it stays locked until it
        is gone. Whoever opens it in between keeps it as it is.
        """
        if files.OPEN_STAYS:
            self._file.close()

    def add(self, news: Sequence[tuple[int, Result]], profile: Profile) -> None:
        """Append the records of a group and sync them. Raises OSError; then nothing was added."""
        if not news:
            return
        begin = at = self._file.seek(0, os.SEEK_END)
        records = []
        for number, result in news:
            one = result_json(result, "batch", profile.name, live=profile.live)
            head = {"posctl": 1, "command": "batch", "batch": self._batch_id}
            data = head | {"line": number, "line_id": self._ids[number]} | one
            records.append(json_line(data, ascii_only=False).encode())
        try:
            self._write(b"".join(records))
            os.fsync(self._file.fileno())
        except OSError:
            with suppress(OSError):
                self._file.truncate(begin)
            raise
        for (number, result), record in zip(news, records, strict=True):
            payment = result.payment
            request_id = payment.request_id if payment else result.asked.request_id
            self._place(
                number, Said(result.outcome or Outcome.BLOCKED, request_id), at, len(record)
            )
            at += len(record)

    def tidy(self) -> None:
        """Leave one record a line, in their order, in a new file. Raises OSError."""
        if self._in_order:
            return
        draft = write_draft(self.path, self._records())
        try:
            self._let_go()
            files.replace(self.path, draft)
        finally:
            files.delete(draft)

    def _records(self) -> Iterator[bytes]:
        places = [place for _number, place in sorted(self._places.items())]
        for offset, length in (*places, *self._strangers):
            self._file.seek(offset)
            yield self._file.read(length)

    def _write(self, left: bytes) -> None:
        while left:
            left = left[self._file.write(left) :]

    def _place(self, number: int, said: Said, offset: int, length: int) -> None:
        if self._places and number <= next(reversed(self._places)):
            self._in_order = False
        self.said[number] = said
        self._places.pop(number, None)  # the latest comes last
        self._places[number] = offset, length

    def _lock(self) -> None:
        if not stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
            raise _unusable(self.path, _("it is not a file"))
        # Whoever had it may have put a tidy file in its place meanwhile.
        if not lock(self._file.fileno(), _NEVER_WRITTEN) or not self._is_still_there():
            raise Busy(
                "batch_at_work",
                _("Another posctl batch is writing {path}.").format(path=self.path),
                _("Wait until it is done."),
            )

    def _is_still_there(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self.path.stat())
        except FileNotFoundError:
            return False

    def _read(self) -> None:
        reader = io.BufferedReader(self._file)
        try:
            self._read_records(reader)
        finally:
            reader.detach()  # closing it would close the file, and let go of its lock

    def _read_records(self, reader: Iterable[bytes]) -> None:
        offset = 0
        for record in reader:
            if not record.endswith(b"\n"):  # the last write was cut short
                if offset or record.startswith(_BEGIN) or _BEGIN.startswith(record):
                    self._file.truncate(offset)
                    return
                raise _not_results(self.path)
            number, said = self._record(record)
            if number is None:
                self._strangers.append((offset, len(record)))
                if said.outcome is Outcome.SUCCESS:
                    self._paid_strangers.add(str(said.request_id))
            else:
                self._place(number, said, offset, len(record))
            offset += len(record)
        if self._strangers and not self._places:
            raise UsageError(
                "other_batch",
                _(
                    "{path} has the results of another batch, of which {paid} payments are paid: "
                    "no line of this one is in it."
                ).format(path=self.path, paid=len(self._paid_strangers)),
                _(
                    "Keep it: it goes with its own file. Write to another one with --out, and only "
                    "if none of those payments is meant again."
                ),
            )

    def _record(self, record: bytes) -> tuple[int | None, Said]:
        """The line of the batch that a record is about, if any, and what it says."""
        try:
            data = json.loads(record)
            of_old = "line_id" not in data
            said = Said(Outcome(data["outcome"]), data["request_id"], of_old)
            if not of_old:
                return self._by_id.get(data["line_id"]), said
            asks = str(data["shop_id"]), str(data["checkout_id"]), int(data["pay_fee"])
            return self._line_of_old(int(data["line"]), asks), said
        except (ValueError, KeyError, TypeError):
            raise _not_results(self.path) from None

    def _line_of_old(self, number: int, asks: Asks) -> int | None:
        """The first line that asks the same and is no other old line's."""
        if number not in self._of_old:
            taken = set(self._of_old.values())
            free = [one for one in self._by_asks.get(asks, ()) if one not in taken]
            if not free:
                return None
            self._of_old[number] = number if number in free else free[0]
        return self._of_old[number]


_BEGIN = b'{"posctl":1,"command":"batch",'
# The byte that is locked. Windows' C library locks none beyond 2 GiB; no batch writes half of that.
_NEVER_WRITTEN = 0x7FFFFFFE


def _unusable(path: Path, why: str) -> UsageError:
    return UsageError(
        "bad_out",
        _("The results file {path} cannot be used: {why}.").format(path=path, why=why),
        _("Name another one with --out."),
    )


def _not_results(path: Path) -> UsageError:
    return _unusable(path, _("it holds something else"))
