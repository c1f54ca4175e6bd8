"""Sending a batch."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from posctl.batch.file import Batch, Line, request_id_of
from posctl.batch.plan import LOOKED_UP, UNSEEN, Job, Plan, checkout_of_line
from posctl.batch.results import Results, Said
from posctl.errors import Busy, JournalError, PosctlError, UsageError
from posctl.journal import Transaction
from posctl.messages import _
from posctl.money.admit import TELL_AGAIN_MS, Block, Refuse, Tell
from posctl.money.outcome import EXIT_OF, Exit, Outcome, outcome_of, worst
from posctl.money.record import Payment
from posctl.money.result import Asked, Result
from posctl.paying.desk import Desk
from posctl.paying.many import Done, Watch, send_all
from posctl.paying.pay import blocked, told
from posctl.paying.row import checkout_of, open_order, read_ahead
from posctl.text import reason

BAN_TRIES = 3  # so often one line waits out a rate limit in one run


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

    def read_ahead(self, tx: Transaction, jobs: Sequence[Job]) -> None:
        orders = [job.order for job in jobs]
        read_ahead(tx, orders, self._desk.profile, to_send=True)

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
    for at in range(0, len(plan.decided), LOOKED_UP):
        some = plan.decided[at : at + LOOKED_UP]
        known = desk.journal.payments([request_id for _line, request_id in some if request_id])
        yield from book.enter(
            [
                (line.number, _decided(line, known.get(request_id or ""), results, desk))
                for line, request_id in some
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


def _decided(line: Line, payment: Payment | None, results: Results, desk: Desk) -> Result:
    """What is recorded of a line, in the journal or, when that has let it go, in the results. Of
    what stands in the results as well, only what counts: nothing more is asked for.
    """
    order = line.order
    if payment is not None:
        said = results.said.get(line.number)
        age_ms = abs(desk.now_ms() - (payment.closed_ms or 0))
        if order.request_id is None and payment.standing.paid and age_ms > TELL_AGAIN_MS:
            if _is_new(said, Outcome.BLOCKED):
                return blocked(Refuse(Block.PAID, payment), order, desk)
            return Result(Exit.BLOCKED, Outcome.BLOCKED, blocked_by=payment)
        outcome = outcome_of(payment.standing)
        if _is_new(said, outcome):
            return told(payment, desk)
        return Result(EXIT_OF[outcome], outcome, payment)
    said = results.said[line.number]
    return Result(
        exit_code=EXIT_OF[said.outcome],
        outcome=said.outcome,
        asked=Asked(said.request_id, order.shop_id, order.checkout_id, pay_fee=order.pay_fee),
        resumed=True,
    )


def _is_new(said: Said | None, outcome: Outcome | None) -> bool:
    """Whether a line's outcome is not what the results say of it."""
    if said is None:
        return True
    # Once told as paid it stays so there, though a later run is told that it may not again.
    was_paid = said.outcome is Outcome.SUCCESS and outcome is Outcome.BLOCKED
    return said.outcome is not outcome and not was_paid


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
                said = self._results.said
                news = [(n, one) for n, one in group if _is_new(said.get(n), one.outcome)]
                self._results.add(news, self._desk.profile)
            except OSError as error:
                self.failure = _unwritable(self._results.path, error)
            else:
                self._mark_told(result.payment for _number, result in group)
        for number, result in group:
            self._tally.add(result, self._fees[number])
            yield result._replace(payment=None, blocked_by=None)

    def _mark_told(self, payments: Iterable[Payment | None]) -> None:
        news = [p.request_id for p in payments if p is not None and not p.open and not p.told]
        if news:
            with suppress(JournalError):  # told once more by a later run: no harm
                self._desk.journal.mark_told(news, self._desk.now_ms())


def _unwritable(path: Path, error: OSError) -> JournalError:
    return JournalError(
        "results_unwritable",
        _("The results file {path} cannot be written: {why}.").format(path=path, why=reason(error)),
        _("The journal has every payment. Make room, then run the same command again."),
    )
