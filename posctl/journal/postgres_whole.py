"""That a shared journal is the one, whole and the latest, for all that this till knows.

A database that was set back in time forgets what was charged, and nothing in it tells. So each
payment's row has a number from when it was begun and one from when it was closed, which grow and
are never given twice; each till keeps on its own machine the highest that it has seen acknowledged,
in the form of what stands beside a file (`companion.py`). A journal without that number is not the
latest: other tills going on from there do not hide it, since half of a number is drawn by lot.
"""

from __future__ import annotations

import os
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from posctl.errors import Busy, JournalError
from posctl.hint import Hint, Say, Type
from posctl.journal import moved, seen
from posctl.journal.companion import Companion, Mark, mark_at
from posctl.journal.postgres_link import Link
from posctl.journal.rows import COLUMNS, sound_payment
from posctl.journal.seen import Seen
from posctl.messages import _
from posctl.money.record import Payment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from psycopg import Cursor

# Grows with every transaction that takes it, and comes out differently when it is taken again.
NEXT_COUNT = "nextval('whole_count') * 1048576 + floor(random() * 1048576)::BIGINT"


class Whole(NamedTuple):
    """What a database says of its journal. `unknown`: of the numbers that it was asked for, those
    that it does not have. `former` are the ids that it had before it was taken over.
    """

    id: str
    moved_to: str | None
    former: tuple[str, ...]
    unknown: tuple[int, ...]
    code_key: bytes


_WHOLE = """SELECT id, moved_to, former, code_key, ARRAY(
    SELECT asked FROM unnest(%s::BIGINT[]) AS asked
    WHERE NOT EXISTS (SELECT 1 FROM payments WHERE begun_count=asked)
      AND NOT EXISTS (SELECT 1 FROM payments WHERE closed_count=asked)
      AND NOT EXISTS (SELECT 1 FROM corrections WHERE id=asked))
  FROM whole"""
# In every transaction, about one number: planning this takes half as long. Locked: who seals the
# journal or takes it over waits for this one, or this for him.
_STILL_WHOLE = """SELECT id, moved_to, former, code_key, CASE WHEN asked=0
      OR EXISTS (SELECT 1 FROM payments WHERE closed_count=asked)
      OR EXISTS (SELECT 1 FROM payments WHERE begun_count=asked)
      OR EXISTS (SELECT 1 FROM corrections WHERE id=asked)
    THEN '{}' ELSE ARRAY[asked] END
  FROM whole, (VALUES (%s::BIGINT)) AS latest(asked) FOR SHARE OF whole"""


def whole(link: Link, counts: Iterable[int] = ()) -> Whole:
    """Ask for it, and which of `counts` it does not know. Raises JournalError."""
    return _whole_in(link.execute(_WHOLE, (sorted(set(counts) - {0}),)).fetchone())


def _whole_in(row: Sequence[Any] | None) -> Whole:
    if row is None:
        raise AssertionError("this table always has a row")
    journal_id, moved_to, former, code_key, unknown = row
    return Whole(journal_id, moved_to, tuple(former.split()), tuple(unknown), code_key.encode())


def refuse_unless_whole(
    link: Link, marks: Iterable[Mark | None], note: Path | None = None
) -> Whole:
    """Raises JournalError unless the journal is the one that `marks` speak of, has all that they
    know of, and was not moved. With `note`, the latest payments that this machine has seen are
    asked for, too: another process of it may have been acknowledged later with a lower number.
    """
    known = [mark for mark in marks if mark is not None]
    counts = {_reached(known)}
    if note is not None and known:
        counts |= {one.number for one in seen.latest(seen.seen_at(note), known[0].id)}
    return _checked(link, whole(link, counts), known, note)


def _reached(known: Sequence[Mark]) -> int:
    return max((mark.reached for mark in known), default=0)


def _checked(link: Link, found: Whole, known: Sequence[Mark], note: Path | None) -> Whole:
    """Raises JournalError."""
    shown = link.shown
    if found.moved_to is not None:
        raise moved(shown, found.moved_to, _adopt())
    if any(mark.id != found.id for mark in known):
        raise JournalError(
            "journal_other",
            _("The journal {path} is not the one that this machine has used.").format(path=shown),
            (
                Say(
                    _(
                        "Another database is behind this address, or somebody adopted it at "
                        "another till. Ask whoever runs it."
                    )
                ),
                *_adopt(),
            ),
        )
    if found.unknown:
        raise JournalError(
            "journal_older",
            _(
                "The journal {path} is older than what was recorded on this machine: "
                "it does not know the latest payments."
            ).format(path=shown),
            (
                Say(
                    _(
                        "The database was set back, or a standby that lacks them took over. "
                        "Stop all tills; let the newer one be put back."
                    )
                ),
                *_named(link, known[0].id, note),
                *_adopt(),
            ),
        )
    return found


class Note:
    """What this till keeps of a shared journal: which one it is, and the highest number it saw
    acknowledged. In the file at `path` for the next process too, where one can be kept.
    """

    def __init__(self, link: Link, path: Path | None) -> None:
        """Begin it if there is none. Raises JournalError unless the journal is the one, whole and
        the latest.
        """
        self._link = link
        self._path = path
        self._file = _opened(path)
        self._mark: Mark | None = None
        self.is_asked = False  # in the transaction that runs
        try:
            said = self._file.read() if self._file else None
            found = refuse_unless_whole(link, (said,), note=path)
            # Another address of the same journal is no other journal.
            self.code_key = found.code_key
            reached = 0 if said or path is None else _known_elsewhere(path, found.id)
            self._mark = Mark(found.id, reached)
            if reached:
                refuse_unless_whole(link, (self._mark,))
            if self._file and said is None:
                self._file.write(self._mark)
        except BaseException:
            self.close()
            raise

    def refuse_unless_whole(self) -> None:
        """Ask with the next statement of this transaction, which raises JournalError unless the
        journal is the one, whole and the latest.
        """
        # Before the journal: another process of this till may go on counting in between.
        said = self._file.read() if self._file else None
        known = [mark for mark in (said, self._mark) if mark is not None]
        self.is_asked = False

        def answered(cursor: Cursor[Any]) -> None:
            _checked(self._link, _whole_in(cursor.fetchone()), known, self._path)
            self.is_asked = True

        self._link.later(_STILL_WHOLE, (_reached(known),), answered)

    def acknowledged(self, numbers: Mapping[int, Payment]) -> None:
        """A transaction is acknowledged that gave these payments these numbers."""
        if self._mark is None or not numbers:
            return
        self._mark = self._mark._replace(reached=max(self._mark.reached, *numbers))
        if self._file and self._path:
            # The next one that is told makes up for it.
            with suppress(OSError):
                self._file.raise_to(self._mark)
            with suppress(OSError):
                seen.add(seen.seen_at(self._path), _as_seen(self._mark.id, numbers))

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None


def _opened(path: Path | None) -> Companion | None:
    """The note's file. A till that can keep none goes on: what it knows lasts for one command."""
    if path is None:
        return None
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Companion(path, make=True)
    return None


def _known_elsewhere(path: Path, journal_id: str) -> int:
    marks = [mark_at(other) for other in path.parent.glob("database.*.note") if other != path]
    return max((mark.reached for mark in marks if mark and mark.id == journal_id), default=0)


def _as_seen(journal_id: str, numbers: Mapping[int, Payment]) -> Iterator[Seen]:
    for count, payment in numbers.items():
        name = payment.request_id, payment.checkout.checkout_id, payment.pay_fee
        yield Seen(journal_id, count, *name, payment.standing.paid)


def lost_from(link: Link, journal_id: str, note: Path | None) -> list[Seen]:
    """What this machine has seen of the journal of this id and the database at `link` does not
    know, each payment once, as it was last seen. Raises JournalError.
    """
    known = seen.all_beside(note, journal_id) if note is not None else []
    unknown = set(whole(link, (one.number for one in known)).unknown)
    latest = {one.request_id: one for one in known}
    return [one for one in latest.values() if one.number in unknown]


def _named(link: Link, journal_id: str, note: Path | None) -> Iterator[Say]:
    """The lost payments, for people; all of them stand in what `journal adopt` tells."""
    lost = lost_from(link, journal_id, note)
    for one in lost[-NAMED:]:
        yield Say(one.line())
    if len(lost) > NAMED:
        more = _("and {count} more, which posctl journal adopt lists before it asks")
        yield Say(more.format(count=len(lost) - NAMED))


NAMED = 5  # so many lost payments in an error; a person must be able to read it


def _adopt() -> Hint:
    return Say(_("To go on with this one on purpose:")), Type(("journal", "adopt"))


# ── taking it over ───────────────────────────────────────────────────────────────────────────


def open_in(url: str) -> list[Payment]:
    """The open payments of the journal at `url`, oldest first, whatever this till knows of it.

    Raises JournalError.
    """
    with closing(_link(url)) as link:
        rows: Sequence[Sequence[object]] = link.execute(
            f"SELECT {COLUMNS} FROM payments WHERE closed_ms IS NULL ORDER BY seq"
        ).fetchall()
        found = [sound_payment(row) for row in rows]
    return [payment for payment in found if payment is not None]


def adopt(url: str, path: Path | None) -> None:
    """Take the journal at `url` over, on a person's word; the note is at `path`.

    It gets an id of its own, so that no other copy passes for it, and its open payments wait for a
    person. Where another till has done so already, this one only takes note of it. Raises Busy
    while somebody sends from it, JournalError.
    """
    said = mark_at(path) if path is not None else None
    with closing(_link(url)) as link:
        adopted = link.transact(lambda: _adopt_in(link, said))
    file = _opened(path)
    if file is not None:
        with closing(file):
            file.write(adopted)


def lost(url: str, note: Path | None) -> list[Seen]:
    """What the journal at `url` has lost of what this machine has seen in it. Raises
    JournalError.
    """
    said = mark_at(note) if note is not None else None
    if said is None:
        return []
    with closing(_link(url)) as link:
        return lost_from(link, said.id, note)


def _adopt_in(link: Link, said: Mark | None) -> Mark:
    # Before the transaction's view of the tables is taken: it waits for all that have looked, and
    # those that come then look again.
    link.execute("LOCK TABLE whole IN EXCLUSIVE MODE")
    found = whole(link)
    if said is not None and said.id in found.former and found.moved_to is None:
        return Mark(found.id, 0)
    if link.execute("SELECT 1 FROM claims WHERE expires_at > clock_timestamp()").fetchone():
        raise Busy(
            "in_use",
            _("A payment is being sent from this journal at this very moment."),
            _("Stop the tills, then run the same command again."),
        )
    fresh = os.urandom(16).hex()
    # The other tills know it by one of these; they are told, and need not take it over again.
    former = dict.fromkeys((*found.former, found.id, *([said.id] if said else [])))
    link.execute("UPDATE whole SET id=%s, moved_to=NULL, former=%s", (fresh, " ".join(former)))
    link.execute("UPDATE payments SET for_person=TRUE WHERE closed_ms IS NULL")
    return Mark(fresh, 0)


def _link(url: str) -> Link:
    link = Link(url)
    try:
        link.bring_up_to_date(begin=False)
    except BaseException:
        link.close()
        raise
    return link
