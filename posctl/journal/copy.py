"""A whole journal into another one: from the file of one till into the database of many, and back.

Batch by batch, payment by payment: what is already there must be the very same, and is skipped, so
that an interrupted copy is simply begun again. Every batch is read back and compared. Then the
source is sealed: two journals that go on from one payment would each send it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from posctl.errors import Busy, UsageError
from posctl.hint import Say, Type
from posctl.journal.backup import nobody_at_work
from posctl.journal.open import open_database
from posctl.journal.place import is_database, masked_url
from posctl.journal.rows import COLUMNS, OF_CHECKOUT, payment_of
from posctl.journal.sqlite import SqliteJournal
from posctl.journal.sqlite_file import row_crc, told_as_journal_error
from posctl.messages import _

BATCH = 500  # payments in one transaction
TRY_S = 30.0  # nothing is sent from here; the same lease as everywhere

_PAYMENT = (
    "request_id",
    *COLUMNS.replace("\n", " ").replace(" ", "").split(",")[2:],
    "shift",
    "clash",
)
_TRY = (
    *("n", "kind", "started_ms", "host", "pid", "machine_id", "operator_id", "event"),
    *("finished_ms", "http_status", "code", "sub_code", "message", "raw"),
)
_ALARM = ("at_ms", "event", "text", "acknowledged_by", "acknowledged_ms")
_PRINT = ("copy", "count")
_CORRECTION = ("at_ms", "word", "by_whom", "note", "in_shift")
_CHILDREN = (
    *(("tries", _TRY), ("alarms", _ALARM), ("prints", _PRINT)),
    ("corrections", _CORRECTION),
)
_BOOLEANS = ("live", "paid", "told", "own_id", "for_person", "clash", "corrected")
_YES_OR_NO = tuple(_PAYMENT.index(name) for name in _BOOLEANS)
_STATE, _FEE = _PAYMENT.index("state"), _PAYMENT.index("pay_fee")


class Whole(NamedTuple):
    """A payment with all that hangs on it, in plain values: alike whichever journal it is in."""

    payment: tuple[Any, ...]
    tries: tuple[tuple[Any, ...], ...]
    alarms: tuple[tuple[Any, ...], ...]
    prints: tuple[tuple[Any, ...], ...]
    corrections: tuple[tuple[Any, ...], ...]

    @property
    def request_id(self) -> str:
        return str(self.payment[0])


class Sum(NamedTuple):
    """How many payments are in a state, and their fees, in fen."""

    payments: int
    fee: int


class Copied(NamedTuple):
    """What a copy came to. `copied` of all `payments` were not there yet; `states` are all's."""

    payments: int
    copied: int
    tries: int
    alarms: int
    shifts: int
    states: dict[str, Sum]


def copy(source: str, target: str, progress: Callable[[int], None] = lambda _n: None) -> Copied:
    """Move the journal at `source` into the one at `target`, each a path or a URL.

    `progress` hears of each batch how many payments are done. Raises Busy while a payment is being
    sent from the source, UsageError for what is no journal or differs in both, JournalError, also
    for a source that was moved before.
    """
    if not is_database(source) and not Path(source).exists():
        raise UsageError("no_journal", _("There is no journal {path}.").format(path=source))
    with closing(_side(source)) as give, give.nobody_sends(), closing(_side(target)) as take:
        if give.identity() == take.identity():
            raise UsageError("same_journal", _("Both are the same journal."))
        before = give.mark()
        copied = _copy(give, take, progress)
        give.seal(before, take.place())
    return copied


def _side(place: str) -> _File | _Database:
    return _Database(place) if is_database(place) else _File(Path(place))


def _copy(give: Side, take: Side, progress: Callable[[int], None]) -> Copied:
    payments = copied = tries = alarms = 0
    asked: Counter[str] = Counter()
    fees: Counter[str] = Counter()
    for batch in give.batches():
        copied += take.add(batch)
        there = take.find([one.request_id for one in batch])
        for one in batch:
            _same(one, there.get(one.request_id), take)
            asked[str(one.payment[_STATE])] += 1
            fees[str(one.payment[_STATE])] += int(one.payment[_FEE])
            tries, alarms = tries + len(one.tries), alarms + len(one.alarms)
        payments += len(batch)
        progress(payments)
    _copy_codes(give, take)
    _copy_merchants(give, take)
    shifts = give.shifts()
    take.add_shifts(shifts)
    if not set(shifts) <= set(take.shifts()):
        raise UsageError(
            "other_shift",
            _("A closed shift of the same number differs in {target}.").format(target=take.shown),
            _("Journals of which each has closed shifts cannot become one."),
        )
    states = {state: Sum(asked[state], fees[state]) for state in sorted(asked)}
    return Copied(payments, copied, tries, alarms, len(shifts), states)


def _copy_merchants(give: Side, take: Side) -> None:
    """Let the target know for whom each profile last paid, unless it knows better."""
    last = give.execute("SELECT profile, merchant FROM paid_for")

    def work() -> int:
        take.many(f"INSERT INTO paid_for VALUES (?,?) {_SKIP}", last)
        return len(last)

    take.transact(work)


def _copy_codes(give: Side, take: Side) -> None:
    """Let the target know the codes that payments of the source carry: each pays once.

    A target that knows codes of its own keeps its key; then those of the source mean nothing there.
    """
    ((key,),) = give.execute("SELECT code_key FROM whole")
    codes = give.execute("SELECT code_hash, request_id FROM payments WHERE code_hash IS NOT NULL")

    def work() -> int:
        if not take.execute("SELECT 1 FROM payments WHERE code_hash IS NOT NULL LIMIT 1"):
            take.many("UPDATE whole SET code_key=?", [(key,)])
        ((kept,),) = take.execute("SELECT code_key FROM whole")
        if kept == key:
            take.many(
                """UPDATE payments SET code_hash=? WHERE request_id=?
                     AND NOT EXISTS (SELECT 1 FROM payments AS one WHERE one.code_hash=?)""",
                [(code_hash, request_id, code_hash) for code_hash, request_id in codes],
            )
        return len(codes)

    take.transact(work)


def _same(given: Whole, there: Whole | None, take: Side) -> None:
    """Refuse when the target has something else under the same id, or in its place."""
    if there == given:
        return
    raise UsageError(
        "differs",
        _("The payment {request_id} differs in {target}, or another one stands in its way.").format(
            request_id=given.request_id, target=take.shown
        ),
        (Say(_("Nothing of it was changed. Compare both:")), Type(("show", given.request_id))),
    )


# ── the two sides ────────────────────────────────────────────────────────────────────────────


class Side:
    """A journal that is copied from or to, by plain rows. Statements have `?` for values."""

    def __init__(self, place: str) -> None:
        self.shown = masked_url(place)

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        raise NotImplementedError

    def many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        raise NotImplementedError

    def transact(self, work: Callable[[], int]) -> int:
        raise NotImplementedError

    def add_payments(self, fresh: Sequence[Whole]) -> None:
        """Rows of payments, without what hangs on them; one that is in the way stays."""
        raise NotImplementedError

    def identity(self) -> tuple[Any, ...]:
        """The same for the same journal, however it is named."""
        raise NotImplementedError

    def nobody_sends(self) -> AbstractContextManager[None]:
        """Entered while the journal is copied from. Raises Busy."""
        raise NotImplementedError

    def mark(self) -> tuple[Any, ...]:
        """Changes when anything is written that a copy would miss."""
        (found,) = self.execute(
            """SELECT count(*), max(seq), max(updated_ms), sum(tries), count(closed_ms),
                 (SELECT count(*) FROM tries), (SELECT count(*) FROM alarms),
                 (SELECT count(*) FROM shifts), (SELECT count(*) FROM corrections) FROM payments"""
        )
        return tuple(found)

    def place(self) -> str:
        """Where it is, for whoever looks for it from another folder; without a password."""
        return self.shown

    def alone(self) -> None:
        """First in a transaction: no other one is under way, or begins before this one ends."""

    def seal(self, mark: tuple[Any, ...], place: str) -> None:
        """Let nothing be sent from it any more: it is now at `place`. Raises Busy when it is not as
        it was at `mark`.
        """

        def work() -> int:
            self.alone()
            if self.mark() != mark:
                raise Busy(
                    "in_use",
                    _("The journal was written to while it was copied."),
                    _("Stop the tills, then run the same command again."),
                )
            self.many("UPDATE whole SET moved_to=?", [(place,)])
            return 1

        self.transact(work)

    def batches(self) -> Iterator[list[Whole]]:
        """All payments, oldest first."""
        last = 0
        while rows := self.execute(
            f"SELECT seq, {_names(_PAYMENT)} FROM payments WHERE seq > ? ORDER BY seq LIMIT ?",
            (last, BATCH),
        ):
            yield list(self._whole(rows).values())
            last = rows[-1][0]

    def find(self, request_ids: Sequence[str]) -> dict[str, Whole]:
        """Those of these payments that are there."""
        if not request_ids:  # no database knows an empty list
            return {}
        return self._whole(
            self.execute(
                f"""SELECT seq, {_names(_PAYMENT)} FROM payments
                    WHERE request_id IN ({_marks(request_ids)})""",
                request_ids,
            )
        )

    def _whole(self, rows: Sequence[Sequence[Any]]) -> dict[str, Whole]:
        if not rows:
            return {}
        numbers = [row[0] for row in rows]
        hanging = [self._children(table, names, numbers) for table, names in _CHILDREN]
        found = {}
        for seq, *values in rows:
            parts = [tuple(sorted(one.get(seq, ()), key=repr)) for one in hanging]
            found[str(values[0])] = Whole(_plain(values, _YES_OR_NO), *parts)
        return found

    def _children(
        self, table: str, names: Sequence[str], numbers: Sequence[int]
    ) -> dict[int, list[tuple[Any, ...]]]:
        found: dict[int, list[tuple[Any, ...]]] = {}
        for seq, *values in self.execute(
            f"SELECT seq, {_names(names)} FROM {table} WHERE seq IN ({_marks(numbers)})", numbers
        ):
            found.setdefault(seq, []).append(_plain(values))
        return found

    def add(self, batch: Sequence[Whole]) -> int:
        """Write those that are not there yet, in one transaction; how many."""

        def work() -> int:
            known = self.find([one.request_id for one in batch])
            missing = [one for one in batch if one.request_id not in known]
            self.add_payments(missing)
            written = self.find([one.request_id for one in missing])
            fresh = [one for one in missing if one.request_id in written]
            for position, (table, names) in enumerate(_CHILDREN, start=1):
                self.many(
                    f"""INSERT INTO {table} (seq, {_names(names)}) VALUES
                        ((SELECT seq FROM payments WHERE request_id=?), {_marks(names)})""",
                    [(one.request_id, *child) for one in fresh for child in one[position]],
                )
            return len(fresh)

        return self.transact(work)

    def shifts(self) -> list[tuple[Any, ...]]:
        rows = self.execute("SELECT gateway, app_key, number, content, hash FROM shifts")
        return [tuple(row) for row in rows]

    def add_shifts(self, shifts: Sequence[tuple[Any, ...]]) -> None:
        def work() -> int:
            self.many(f"INSERT INTO shifts VALUES (?,?,?,?,?) {_SKIP}", shifts)
            return len(shifts)

        self.transact(work)


class _File(Side):
    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path
        self._journal = SqliteJournal(path)

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with told_as_journal_error(self._path):
            return self._journal._db.execute(statement, values).fetchall()

    def many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        self._journal._db.executemany(statement, rows)

    def transact(self, work: Callable[[], int]) -> int:
        return self._journal.transact(lambda _tx: work())

    def add_payments(self, fresh: Sequence[Whole]) -> None:
        self.many(
            f"""INSERT INTO payments ({_names(_PAYMENT)}, crc)
                VALUES ({_marks(_PAYMENT)}, ?) {_SKIP}""",
            [(*one.payment, row_crc(payment_of((0, *one.payment)))) for one in fresh],
        )
        ((newest,),) = self.execute("SELECT max(seq) FROM payments")
        self._journal._newest = newest or 0
        self._journal._grown += len(fresh)

    def place(self) -> str:
        return str(self._path.absolute())

    def identity(self) -> tuple[Any, ...]:
        return (self._path.resolve(),)

    def nobody_sends(self) -> AbstractContextManager[None]:
        return nobody_at_work(self._path)

    def close(self) -> None:
        self._journal.close()


class _Database(Side):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._journal = open_database(url, TRY_S)
        self._link = self._journal._link

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        rows: list[Any] = self._link.execute(statement.replace("?", "%s"), values).fetchall()
        return rows

    def many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        self._link.execute_many(statement.replace("?", "%s"), rows)

    def transact(self, work: Callable[[], int]) -> int:
        return self._link.transact(work)

    def add_payments(self, fresh: Sequence[Whole]) -> None:
        checkouts = [payment_of((0, *one.payment)).checkout for one in fresh]
        self.many(
            f"""INSERT INTO payments ({_names(_PAYMENT)}, nth) VALUES ({_marks(_PAYMENT)},
                  (SELECT coalesce(max(nth), 0) + 1 FROM payments
                   WHERE {OF_CHECKOUT})) {_SKIP}""",
            [(*one.payment, *at) for one, at in zip(fresh, checkouts, strict=True)],
        )

    def alone(self) -> None:
        # Before the transaction's view of the tables is taken: it waits for all that have looked
        # whether the journal is moved, and those that come then look again.
        self._link.execute("LOCK TABLE whole IN EXCLUSIVE MODE", ())

    def identity(self) -> tuple[Any, ...]:
        (found,) = self.execute(
            """SELECT inet_server_addr(), inet_server_port(), current_database(),
                 current_schema()"""
        )
        return tuple(found)

    @contextmanager
    def nobody_sends(self) -> Iterator[None]:
        if self.execute("SELECT 1 FROM claims WHERE expires_at > clock_timestamp() LIMIT 1"):
            raise Busy(
                "in_use",
                _("A payment is being sent from this journal at this very moment."),
                _("Stop the tills, then run the same command again."),
            )
        yield

    def close(self) -> None:
        self._journal.close()


_SKIP = "ON CONFLICT DO NOTHING"


def _names(names: Sequence[str]) -> str:
    return ", ".join(names)


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" for _value in values)


def _plain(values: Sequence[Any], yes_or_no: Sequence[int] = ()) -> tuple[Any, ...]:
    """Values as both databases keep them: yes and no as bool, no NUL in a text."""
    plain = [v.replace("\0", "\ufffd") if isinstance(v, str) else v for v in values]
    for i in yes_or_no:
        plain[i] = None if plain[i] is None else bool(plain[i])
    return tuple(plain)
