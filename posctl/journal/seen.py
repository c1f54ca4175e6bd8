"""What this machine saw acknowledged by a shared journal: its latest payments, by name.

The note (`postgres_whole.py`) tells that a database has lost something; this tells what. One line
of JSON for each payment begun and each closed is appended after the commit, so it is never ahead of
the journal. It is not synced: only a machine that dies as well loses the last of it.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from posctl.files import replace
from posctl.messages import _

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MOST_BYTES = 1 << 20  # some 5,000 lines; as much of what was before is kept, too
TAIL_BYTES = 8192


class Seen(NamedTuple):
    """A payment, begun or closed, in the journal of this `id`, in whose row `number` must be.
    `paid` is None while it is open; `pay_fee` is in fen.
    """

    id: str
    number: int
    request_id: str
    checkout_id: str
    pay_fee: int
    paid: bool | None

    def line(self) -> str:
        """One that is not in the journal any more, for people."""
        what = {None: _("outcome unknown"), True: _("paid"), False: _("not paid")}[self.paid]
        line = _("▲ Not in it any more: checkout {checkout}, {fee} fen, {what} ({request_id})")
        return line.format(
            checkout=self.checkout_id, fee=self.pay_fee, what=what, request_id=self.request_id
        )

    def told(self) -> dict[str, str | int | bool | None]:
        """The same for scripts."""
        told = self._asdict()
        del told["id"], told["number"]
        return told


def seen_at(note: Path) -> Path:
    """Where it stands: beside the `note`."""
    return note.with_suffix(".seen")


def add(path: Path, seen: Iterable[Seen]) -> None:
    """Append to the file at `path`. Raises OSError."""
    lines = "".join(json.dumps(one, separators=(",", ":")) + "\n" for one in seen)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, lines.encode())  # at once: another process may append, too
        size = os.fstat(fd).st_size
    finally:
        os.close(fd)
    if size > MOST_BYTES:
        replace(_before(path), path)


def latest(path: Path, journal_id: str) -> list[Seen]:
    """The last few of this journal."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        return [one for one in _read(file.read()) if one.id == journal_id]
    return []


def all_beside(note: Path, journal_id: str) -> list[Seen]:
    """All that is kept of this journal, under whichever address; the oldest first."""
    found: list[Seen] = []
    for path in note.parent.glob("database.*.seen*"):
        with suppress(OSError):
            found += [one for one in _read(path.read_bytes()) if one.id == journal_id]
    return sorted(found, key=lambda one: one.number)


def _before(path: Path) -> Path:
    return path.with_suffix(".seen-before")


def _read(data: bytes) -> Iterator[Seen]:
    for line in data.splitlines():
        # The first may be cut, the last half written; a damaged one must not stop a till.
        with suppress(ValueError, TypeError, LookupError):
            fields = json.loads(line)
            if type(fields[1]) is int and 0 < fields[1] < 1 << 63:
                yield Seen(*fields)
