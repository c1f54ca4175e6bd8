"""Many payments from one file: checked as a whole, sent by the crew, resumable at any point.

The memory of a batch is the journal, where every payment is found by its request_id, and the
results file beside it. Both survive a kill at any moment, because a line's request_id is the same
in every run, whatever file it stands in: the one it gives, or one made of the merchant, what the
line says and the attempt. A line is attempted again, under its next id, only when the journal
proves that the attempt before never reached the business (`not_sent`, `rejected`).
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import json
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from posctl.admit import TELL_AGAIN_MS, Block, Refuse, Tell
from posctl.batch_results import Results, Said
from posctl.crew import CHUNK, Done, Watch, send_all
from posctl.errors import Busy, JournalError, PosctlError, UsageError
from posctl.journal import Journal, Payment, Transaction
from posctl.messages import _
from posctl.order import (
    FIELDS,
    Limits,
    PayRequest,
    check,
    check_value,
    discreet,
    intent,
    one_time_code,
    read_file,
)
from posctl.outcome import EXIT_OF, Exit, Outcome, State, outcome_of, worst
from posctl.payment import Desk, blocked, checkout_of, open_order, told
from posctl.profiles import Profile
from posctl.result import Asked, Result
from posctl.shell import lines_of

MAX_BYTES = 64 << 20
MAX_LINES = 100_000
MAX_SHOWN = 20  # bad lines that are listed
BAN_TRIES = 3  # so often one line waits out a rate limit in one run

# Nobody was charged, and the business never saw it: a later run may attempt the line once more.
UNSEEN = frozenset({State.NOT_SENT, State.REJECTED})


class Line(NamedTuple):
    """One payment of the file; `number` is its line, from 1. `order` has a request_id only if the
    file gives one. `says` is the merchant and what the line says, for the ids that are made of it;
    `meant` tells that the line itself says it is a payment besides others of the same.
    """

    number: int
    order: PayRequest
    says: str
    meant: bool = False

    @property
    def id(self) -> str:
        """What the line is known by, in whatever file: the request_id of its first attempt."""
        return self.order.request_id or request_id_of(self.says, 0)


class Batch(NamedTuple):
    """A whole file, checked. `id` names its lines, in whatever order."""

    id: str
    lines: Sequence[Line]


# ── the file ─────────────────────────────────────────────────────────────────────────────────


def read_batch(raw: bytes, name: str, profile: Profile, *, another: bool) -> Batch:
    """Check every line of the file called `name`; CSV when it is named so, else JSON Lines.

    Without `another` no checkout_id may be asked the same fee twice. Raises UsageError, which
    lists the bad lines with their numbers and reasons.
    """
    if len(raw) > MAX_BYTES:
        raise _bad_file(name, _("it is larger than {most} MiB").format(most=MAX_BYTES >> 20))
    limits = Limits(profile.max_fee, profile.allow_card_numbers)
    records = _csv_records(raw, name) if name.lower().endswith(".csv") else _json_records(raw)
    bad = BadLines(name)
    twice = _Twice(another=another)
    lines: list[Line] = []
    alike: Counter[str] = Counter()
    for number, read in records:
        if len(lines) == MAX_LINES:
            raise _bad_file(name, _("it holds more than {most} payments").format(most=MAX_LINES))
        try:
            members = read()
            attempt = _attempt(members)
            order = check({}, members, profile.defaults, limits)
            twice.refuse(number, order, attempt)
        except UsageError as error:
            bad.add(number, error)
        else:
            says = _says(members, attempt, order, profile)
            lines.append(Line(number, order, f"{says} {alike[says]}", attempt is not None))
            alike[says] += 1
    bad.refuse()
    if not lines:
        raise _bad_file(name, _("it holds no payment"))
    names = "\n".join(sorted(line.id for line in lines))
    return Batch(hashlib.sha256(names.encode()).hexdigest()[:32], lines)


def _says(
    members: Mapping[str, Any], attempt: int | None, order: PayRequest, profile: Profile
) -> str:
    """Whose payment a line is, and what it says: in whatever order, spelling or file format."""
    said = {name: str(value) for name, value in members.items()}
    what = [*profile.merchant, order.shop_id, attempt, sorted(said.items())]
    return hashlib.sha256(json.dumps(["posctl batch line", what]).encode()).hexdigest()


ATTEMPT = "attempt"  # the one member of a line that is none of the API's


def _attempt(members: dict[str, Any]) -> int | None:
    """Take the line's own count of payments of the same out of its members."""
    attempt = members.pop(ATTEMPT, None)
    if attempt is None or re.fullmatch(r"[1-9][0-9]{0,5}", str(attempt)):
        return attempt if attempt is None else int(attempt)
    raise UsageError("bad_attempt", _("attempt is a whole number from 1, as in 2."))


_SHORTENED = re.compile(r"[0-9](?:\.[0-9]+)?[Ee]\+[0-9]{2,}")  # 2.83457E+17: Excel's long numbers

_Read = Callable[[], dict[str, Any]]
"""Reads one line's members by API name, as JSON values. Raises UsageError."""


def _json_records(raw: bytes) -> Iterator[tuple[int, _Read]]:
    for number, line in enumerate(raw.removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
        if line.strip():
            yield number, partial(read_file, line, _("this line"), ATTEMPT)


def _csv_records(raw: bytes, name: str) -> Iterator[tuple[int, _Read]]:
    try:
        text = raw.decode("utf-8-sig")  # Excel writes the mark
    except UnicodeDecodeError:
        raise _bad_file(name, _("it is not UTF-8 text")) from None
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(rows, [])
        _check_header(header, name)
        for row in rows:
            if any(row):
                yield rows.line_num, partial(_csv_members, header, row)
    except csv.Error:
        why = _("line {number} is not CSV").format(number=rows.line_num)
        raise _bad_file(name, why) from None


def _check_header(header: Sequence[str], name: str) -> None:
    for member in header:
        if member not in (*FIELDS, ATTEMPT):
            from difflib import get_close_matches  # noqa: PLC0415  only for the hint

            near = get_close_matches(member, FIELDS, n=1)
            if len(header) == 1 and not {";", "\t"}.isdisjoint(member):
                raise _bad_file(name, _("commas stand between its columns, not ; or tabs"))
            raise UsageError(
                "unknown_member",
                _("{file}: the API knows no {member}.").format(
                    file=name, member=ascii(discreet(member[:40]))
                ),
                "".join(f"{_('Did you mean {name}?').format(name=one)}\n" for one in near[:1])
                + _("Columns are, say: pay_fee,checkout_id,channel_account (the payment code)."),
            )
        if header.count(member) > 1:
            raise _bad_file(name, _("{name} stands twice").format(name=member))


def _csv_members(header: Sequence[str], row: Sequence[str]) -> dict[str, Any]:
    if len(row) != len(header):
        raise UsageError(
            "bad_row",
            _("It has {count} values, the first line names {columns}.").format(
                count=len(row), columns=len(header)
            ),
        )
    cells = {name: cell for name, cell in zip(header, row, strict=True) if cell}
    for name, cell in cells.items():
        if _SHORTENED.fullmatch(cell):
            raise UsageError(
                "shortened_number",
                _("A spreadsheet has shortened {name} to {value}: its digits are lost.").format(
                    name=name, value=discreet(cell)
                ),
                _("Make that column text in the spreadsheet, and write the file again."),
            )
    # As JSON would have them: numbers as numbers. What profile and limits say of them comes later.
    return {
        name: cell if name == ATTEMPT else check_value(name, cell, name, allow_card_numbers=True)
        for name, cell in cells.items()
    }


class _Twice:
    """Refuses what stands in one file twice."""

    def __init__(self, *, another: bool) -> None:
        self._another = another
        self._first: dict[object, int] = {}

    def refuse(self, number: int, order: PayRequest, attempt: int | None) -> None:
        """Raises UsageError when an earlier line has the same request_id or the same wallet's
        code, or asks the same.
        """
        code = one_time_code(order.members)
        if code is not None:
            first = self._first.setdefault(("code", code), number)
            if first != number:
                raise UsageError(
                    "same_code",
                    _("It has the payment code of line {first}.").format(first=first),
                    _("A code pays once: each payment needs its own."),
                )
        if order.request_id is not None:
            first = self._first.setdefault(order.request_id, number)
            if first != number:
                raise UsageError(
                    "same_id", _("It has the request_id of line {first}.").format(first=first)
                )
        what = (order.shop_id, order.checkout_id, order.pay_fee, attempt)
        first = self._first.setdefault(what, number)
        if first != number and not self._another:
            raise UsageError(
                "same_payment",
                _("It has checkout_id and pay_fee of line {first}.").format(first=first),
                _("If both are meant, give --another, or each its own attempt: 1, 2."),
            )


class BadLines:
    """Collects what is wrong with the lines of one file, to refuse it as a whole."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0
        self._shown: list[str] = []

    def add(self, number: int, error: UsageError) -> None:
        self._count += 1
        if self._count <= MAX_SHOWN:
            names_flags = error.code.startswith("missing_")
            what = [error.message, *lines_of(() if names_flags else error.hint)]
            line = _("line {number}: {what}").format(number=number, what=" ".join(what))
            self._shown.append(line.rstrip())

    def refuse(self) -> None:
        """Raises UsageError when there are any."""
        if not self._count:
            return
        if self._count > MAX_SHOWN:
            self._shown.append(_("and {count} more").format(count=self._count - MAX_SHOWN))
        raise UsageError(
            "bad_lines",
            _("{path}: lines that cannot be used: {count}. Nothing was sent.").format(
                path=self._name, count=self._count
            ),
            "\n".join(self._shown),
        )


def _bad_file(name: str, why: str) -> UsageError:
    return UsageError("bad_file", _("{name} cannot be used: {why}.").format(name=name, why=why))


# ── what becomes of each line ────────────────────────────────────────────────────────────────


class Job(NamedTuple):
    """A line to be sent, under the request_id of this attempt. `attempt` is None when the file
    gave the id: then there is no other.
    """

    line: Line
    request_id: str
    attempt: int | None

    @property
    def order(self) -> PayRequest:
        return PayRequest({**self.line.order.members, "request_id": self.request_id})


class Plan(NamedTuple):
    """What a run has to do: the lines that are decided, and those to send or to ask about.

    A decided line without a request_id stands in the results file alone: its payment was pruned.
    """

    decided: list[tuple[Line, str | None]]
    jobs: list[Job]


def make_plan(
    batch: Batch, name: str, profile: Profile, journal: Journal, said: Mapping[int, Said]
) -> Plan:
    """Look every line up in the journal and among the results. Reads only.

    Raises UsageError when a request_id belongs to another payload, JournalError when the results
    tell of open payments that the journal does not hold.
    """
    bad = BadLines(name)
    lost = 0
    plan = Plan([], [])
    for line in batch.lines:
        job, known = _job(line, journal, said.get(line.number))
        if known is not None and known.open and _is_same(known, job, profile):
            job = _as_begun(job, known)
        earlier = said[line.number].outcome if line.number in said else None
        if known is not None and not _is_same(known, job, profile):
            bad.add(line.number, _other_payload(job))
        elif known is not None and (not known.open or known.standing.state is State.CONFLICT):
            plan.decided.append((line, known.request_id))
        elif known is None and earlier in (Outcome.SUCCESS, Outcome.FAIL):
            plan.decided.append((line, None))
        elif known is None and earlier in (Outcome.PENDING, Outcome.UNKNOWN, Outcome.CONFLICT):
            lost += 1
        else:
            plan.jobs.append(job)
    bad.refuse()
    if lost:
        raise JournalError(
            "journal_lacks_payments",
            _("Open payments in the results that this journal does not hold: {count}.").format(
                count=lost
            ),
            _("Use the journal that the batch was begun with, or restore a backup of it."),
        )
    return plan


def request_id_of(says: str, attempt: int) -> str:
    """The request_id of a line that gives none: the same in every run, whatever file it is in.

    A UUID of version 8, for ids made in a way of their own (RFC 9562).
    """
    raw = bytearray(hashlib.sha256(f"{says} {attempt}".encode()).digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _job(line: Line, journal: Journal, said: Said | None) -> tuple[Job, Payment | None]:
    """The line under the request_id that counts now, and its payment if there is one.

    What its results call by another id was sent by posctl 0.1, which made ids of the whole file.
    """
    if line.order.request_id is not None:
        given = Job(line, line.order.request_id, None)
        return given, journal.payment(given.request_id)
    if said is not None and said.of_old and said.request_id is not None:
        known = journal.payment(said.request_id)
        if known is None or known.standing.state not in UNSEEN:
            return Job(line, said.request_id, 0), known
    attempt = 0
    while True:
        job = Job(line, request_id_of(line.says, attempt), attempt)
        known = journal.payment(job.request_id)
        if known is None or known.standing.state not in UNSEEN:
            return job, known
        attempt += 1


def _is_same(known: Payment, job: Job, profile: Profile) -> bool:
    """Whether the line's id bears its payment. An id that was made of the line does, also when the
    profile's defaults have changed since.
    """
    order = job.order
    if known.checkout != checkout_of(order, profile) or known.pay_fee != order.pay_fee:
        return False
    return job.attempt is not None or intent(known.pay_request) == intent(
        order.wire(known.request_id)
    )


def _as_begun(job: Job, known: Payment) -> Job:
    """The job with the payload that its open payment was begun with."""
    order = PayRequest(json.loads(known.pay_request))
    return job._replace(line=job.line._replace(order=order)) if job.attempt is not None else job


def _other_payload(job: Job) -> UsageError:
    what = _("The request_id {request_id} belongs to another payment.")
    return UsageError("request_id_taken", what.format(request_id=job.request_id))


# ── sending ──────────────────────────────────────────────────────────────────────────────────


class _Lines:
    """The jobs as work for the crew. Lines of one checkout go one after another."""

    def __init__(self, jobs: Iterable[Job], desk: Desk, waived: frozenset[Block]) -> None:
        self._left = deque(jobs)
        self._behind: dict[tuple[str, str], list[Job]] = {}  # by a checkout that is on its way
        self._bans: Counter[int] = Counter()
        self.turned_away: dict[int, Result] = {}  # by a rate limit, and not sent again since
        self._desk = desk
        self._waived = waived
        self.stopped = False

    def waiting(self) -> bool:
        return bool(self._left) and not self.stopped

    def take(self, most: int) -> list[Job]:
        jobs: list[Job] = []
        while self._left and len(jobs) < most and not self.stopped:
            job = self._left.popleft()
            behind = self._behind.get(checkout_of_line(job))
            if behind is None:
                self._behind[checkout_of_line(job)] = []
                jobs.append(job)
            else:
                behind.append(job)
        return jobs

    def open(self, tx: Transaction, job: Job) -> Payment | Tell | Refuse:
        paid = self._paid_by_another(tx, job)
        if paid is not None:
            return Refuse(Block.PAID, paid)
        try:
            return open_order(tx, job.order, "", self._desk, self._waived)
        except UsageError as error:  # not so a moment ago, when the plan was made
            raise Busy(error.code, error.message, error.hint) from None

    def _paid_by_another(self, tx: Transaction, job: Job) -> Payment | None:
        """What has paid this fee on the line's checkout under another id: the line as it was before
        somebody changed it, or another batch. A part of the same size is meant when it says so.
        """
        if job.line.meant or job.attempt is None or Block.PAID in self._waived:
            return None
        payments = tx.payments_of(checkout_of(job.order, self._desk.profile))
        if any(payment.request_id == job.request_id for payment in payments):
            return None
        fee = job.order.pay_fee
        return next((p for p in payments if p.standing.paid and p.pay_fee == fee), None)

    def refused(self, job: Job, why: Refuse) -> Result:
        return blocked(why, job.order, self._desk)

    def settle(self, done: Done[Job]) -> bool:
        """Let the next line of the checkout go; False when the job is to go once more itself."""
        again = self._again(done)
        if again is None:
            self.turned_away.pop(done.job.line.number, None)
        else:
            self.turned_away[done.job.line.number] = done.result
        behind = self._behind.pop(checkout_of_line(done.job))
        self._left.extendleft(reversed([again, *behind] if again else behind))
        return again is None

    def _again(self, done: Done[Job]) -> Job | None:
        """The job after the ban that it met; None when that was so too often."""
        job, payment = done.job, done.result.payment
        number = job.line.number
        if (
            not done.ban_s
            or payment is None
            or self._bans[number] == BAN_TRIES
            or (not payment.open and payment.standing.state not in UNSEEN)
        ):
            return None
        self._bans[number] += 1
        if payment.open:
            return job
        if job.attempt is None:
            return None  # closed under the id that the file gave, and so told again for ever
        attempt = job.attempt + 1
        return Job(job.line, request_id_of(job.line.says, attempt), attempt)


def checkout_of_line(job: Job) -> tuple[str, str]:
    return job.line.order.shop_id, job.line.order.checkout_id


class Tally:
    """What has become of the lines so far: how many, and for how many fen, by outcome."""

    def __init__(self, lines: int) -> None:
        self.left = lines
        self.lines: Counter[Outcome] = Counter()
        self.fees: Counter[Outcome] = Counter()
        self._codes: set[Exit] = set()

    def add(self, result: Result, pay_fee: int) -> None:
        outcome = result.outcome or Outcome.BLOCKED
        self.left -= 1
        self.lines[outcome] += 1
        self.fees[outcome] += pay_fee
        by = result.blocked_by
        # As `retry` of several counts it: by what stands in the way while that is open.
        stands = EXIT_OF[outcome_of(by.standing)] if by is not None and by.open else None
        self._codes.add(stands or result.exit_code)

    def exit_code(self) -> Exit:
        """The worst of the lines; one that was blocked gives way to every other but a success."""
        code = worst(self._codes - {Exit.BLOCKED})
        if self.left:
            return self.stopped(Exit.INTERRUPTED)
        return Exit.BLOCKED if code is Exit.OK and Exit.BLOCKED in self._codes else code

    def stopped(self, unsent: Exit) -> Exit:
        """The exit code of a batch that did not come to its end; `unsent` when nothing was sent.

        It is open, as the lines are: run it again.
        """
        codes = self._codes - {Exit.BLOCKED}
        return worst(codes | {Exit.UNKNOWN}) if codes else unsent


def send_batch(
    batch: Batch,
    plan: Plan,
    results: Results,
    desk: Desk,
    waived: frozenset[Block],
    watch: Watch,
    tally: Tally,
) -> Iterator[Result]:
    """Send what is to be sent, yielding a result for each line once it stands in the file.

    The results are without their payments: a batch may be long. Raises JournalError, also when
    the results cannot be written; what is on its way is recorded before.
    """
    book = _Book(batch, results, desk, tally)
    for at in range(0, len(plan.decided), CHUNK):
        yield from book.enter(
            [
                (line.number, _decided(line, request_id, results, desk))
                for line, request_id in plan.decided[at : at + CHUNK]
            ]
        )
    work = _Lines(plan.jobs, desk, waived)
    failure: PosctlError | None = None
    try:
        for group in send_all(work, desk, watch):
            yield from book.enter(
                [(done.job.line.number, done.result) for done in group if work.settle(done)]
            )
            work.stopped = book.failure is not None
    except PosctlError as error:
        failure = error
    yield from book.enter(list(work.turned_away.items()))  # sent once, whatever came between
    failure = failure or book.failure
    if failure is not None:
        raise failure


def _decided(line: Line, request_id: str | None, results: Results, desk: Desk) -> Result:
    """What is recorded of a line, in the journal or, when that has let it go, in the results."""
    payment = desk.journal.payment(request_id) if request_id else None
    order = line.order
    if payment is not None:
        age_ms = abs(desk.now_ms() - (payment.closed_ms or 0))
        if order.request_id is None and payment.standing.paid and age_ms > TELL_AGAIN_MS:
            return blocked(Refuse(Block.PAID, payment), order, desk)
        return told(payment, desk)
    said = results.said[line.number]
    return Result(
        exit_code=EXIT_OF[said.outcome],
        outcome=said.outcome,
        asked=Asked(said.request_id, order.shop_id, order.checkout_id, pay_fee=order.pay_fee),
        resumed=True,
    )


class _Book:
    """Enters results: into the file, durably, then as told into the journal."""

    def __init__(self, batch: Batch, results: Results, desk: Desk, tally: Tally) -> None:
        self.failure: JournalError | None = None
        self._results, self._tally = results, tally
        self._desk = desk
        self._fees = {line.number: line.order.pay_fee for line in batch.lines}

    def enter(self, group: Sequence[tuple[int, Result]]) -> Iterator[Result]:
        """The results of a group, without their payments, once they are entered.

        When the file cannot be written, they are still counted, and `failure` says why.
        """
        if self.failure is None:
            try:
                self._results.add([one for one in group if self._is_new(*one)], self._desk.profile)
            except OSError as error:
                self.failure = _unwritable(self._results.path, error)
            else:
                self._mark_told(result.payment for _number, result in group)
        for number, result in group:
            self._tally.add(result, self._fees[number])
            yield result._replace(payment=None, blocked_by=None)

    def _is_new(self, number: int, result: Result) -> bool:
        said = self._results.said.get(number)
        if said is None:
            return True
        # Once told as paid it stays so there, though a later run is told that it may not again.
        was_paid = said.outcome is Outcome.SUCCESS and result.outcome is Outcome.BLOCKED
        return said.outcome is not result.outcome and not was_paid

    def _mark_told(self, payments: Iterable[Payment | None]) -> None:
        news = [p.request_id for p in payments if p is not None and not p.open and not p.told]
        if news:
            with suppress(JournalError):  # told once more by a later run: no harm
                self._desk.journal.mark_told(news, self._desk.now_ms())


def _unwritable(path: Path, error: OSError) -> JournalError:
    return JournalError(
        "results_unwritable",
        _("The results file {path} cannot be written: {why}.").format(
            path=path, why=error.strerror or type(error).__name__
        ),
        _("The journal has every payment. Make room, then run the same command again."),
    )
