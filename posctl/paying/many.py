"""Many payments on their way at once: opened in bounded chunks, posted by threads, recorded in
groups.

Every try is committed before it is sent, and a crash leaves at most WORKERS payments in
doubt. Only the calling thread touches the journal; the threads sign and post, each over a
connection that it keeps. A rate limit stops all of them together for the ban it names.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

from posctl.errors import JournalError, PosctlError
from posctl.gateway.exchange import Exchange
from posctl.journal import Transaction
from posctl.money import advice
from posctl.money.admit import Refuse, Tell
from posctl.money.codes import codes_of
from posctl.money.outcome import FROM_ANOTHER, Event, ban_s
from posctl.money.record import Payment
from posctl.money.result import Result
from posctl.paying.answer import Reading, believed, close_row, read_ahead, read_exchange, unrecorded
from posctl.paying.desk import Desk, after_sending, form_of, looks_again
from posctl.paying.pay import as_result, due_if_known, still_due, told

WORKERS = 128  # so many payments are on their way at the most
# A longer ban is not waited out: nobody sits there, and a payment may grow too old to be resent.
MAX_BAN_WAIT_S = 60.0
_LEFT = Exchange(Event.INTERRUPTED_UNSENT, may_have_left=False)
_LOST = Exchange(Event.CUT, may_have_left=True)
# So long an answer that is there waits for others: far from a database a commit takes long, and
# nobody sits there.
GATHER_S = 0.05
CHUNK = 64  # payments opened in one commit, as soon as so many more may be on their way

J = TypeVar("J")


class Work(Protocol[J]):
    """What is to be sent, job by job, and how a job's row is opened."""

    def waiting(self) -> bool:
        """Whether there is more to take once a ban is over."""

    def take(self, most: int) -> list[J]:
        """The next jobs, at most `most`; none when all that is left waits for others."""

    def read_ahead(self, tx: Transaction, jobs: Sequence[J]) -> None:
        """Ask for all that opening these jobs asks for, and claim what is open of them."""

    def open(self, tx: Transaction, job: J) -> Payment | Tell | Refuse:
        """Claim the job's payment and write its try, or say why it is not sent. Repeatable."""

    def refused(self, job: J, why: Refuse) -> Result:
        """What to tell of a job that was refused."""


class Done(NamedTuple, Generic[J]):
    """A job and its recorded result; `ban_s` is set when a rate limit turned it away."""

    job: J
    result: Result
    ban_s: int | None = None


class Watch(NamedTuple):
    """`monotonic` gives seconds; `stopping` is called after a first KeyboardInterrupt, when what
    is on its way is still waited for.
    """

    monotonic: Callable[[], float]
    stopping: Callable[[], None]


def send_all(work: Work[J], desk: Desk, watch: Watch) -> Iterator[list[Done[J]]]:
    """Send what `work` gives, yielding each group of results once it is recorded.

    After a KeyboardInterrupt nothing new is opened, and what is on its way is still recorded;
    after a second one it is left, unknown. When the journal fails, what is on its way is still
    told, then its JournalError raised.
    """
    with Workers(desk, watch.monotonic) as workers:
        sending = _Sending(work, desk, workers, watch.stopping)
        while sending.interrupts < 2:
            taken, unsent = sending.open_chunk()
            if unsent:
                yield unsent
            if not workers.in_flight:
                if taken:
                    continue  # all of it was refused; there may be more
                if not sending.waits_for_ban():
                    break
            if settled := sending.collect():
                yield settled
        if left := sending.left_behind():
            yield left
    if sending.failure is not None:
        raise sending.failure


class _Sending(Generic[J]):
    """Where `send_all` is: which jobs are on their way, and whether it is still to go on."""

    def __init__(
        self, work: Work[J], desk: Desk, workers: Workers, stopping: Callable[[], None]
    ) -> None:
        self.interrupts = 0
        self.failure: PosctlError | None = None
        self._since_s = 0.0  # when the last chunk was begun
        self._jobs: dict[str, J] = {}
        self._work, self._desk, self._workers = work, desk, workers
        self._stopping = stopping

    @property
    def has_room(self) -> bool:
        """Whether a whole chunk more may be on its way."""
        return len(self._workers.in_flight) <= WORKERS - CHUNK

    @property
    def _going_on(self) -> bool:
        return not self.interrupts and self.failure is None

    def waits_for_ban(self) -> bool:
        """Whether only a rate limit stands between now and the next chunk."""
        banned_s = self._workers.banned_s()
        return self._going_on and 0 < banned_s <= MAX_BAN_WAIT_S and self._work.waiting()

    def open_chunk(self) -> tuple[int, list[Done[J]]]:
        """One commit for the tries of a chunk: how many were taken, and what is not sent."""
        if not self._going_on or not self.has_room or self._workers.banned_s():
            return 0, []
        taken = self._work.take(CHUNK)
        try:
            begun = self._open(taken) if taken else []
        except PosctlError as error:
            self.failure = error
            return 0, []
        for job, one in zip(taken, begun, strict=True):
            if isinstance(one, Payment):
                self._jobs[one.request_id] = job
                self._workers.send(one, self._since_s)
        unsent: list[Done[J]] = []
        try:
            for job, one in zip(taken, begun, strict=True):
                if isinstance(one, Tell):
                    unsent.append(Done(job, told(one.payment, self._desk)))
                elif isinstance(one, Refuse):
                    unsent.append(Done(job, self._work.refused(job, one)))
        except PosctlError as error:
            self.failure = error
        return len(taken), unsent

    def _open(self, jobs: Sequence[J]) -> list[Payment | Tell | Refuse]:
        def open_all(tx: Transaction) -> list[Payment | Tell | Refuse]:
            self._work.read_ahead(tx, jobs)
            return [self._work.open(tx, job) for job in jobs]

        self._since_s = self._desk.uptime_s()
        return self._desk.journal.transact(open_all)

    def collect(self) -> list[Done[J]]:
        """Wait for answers, or for the end of a ban; what was recorded."""
        try:
            with self._desk.interruptible():
                self._workers.wait(None if self._workers.in_flight else self._workers.banned_s())
                if not (self.has_room and self._work.waiting()):  # nothing waits for this one
                    self._workers.gather(min(CHUNK, len(self._workers.in_flight)), GATHER_S)
        except KeyboardInterrupt:
            self.interrupts += 1
            self._workers.give_up()
            if self.interrupts == 1 and self._workers.in_flight:
                self._stopping()
            return []
        settled = record(self._workers.arrived(), self._desk)
        return [Done(self._jobs.pop(one.request_id), one.result, one.ban_s) for one in settled]

    def left_behind(self) -> list[Done[J]]:
        """What is still on its way, as its rows tell."""
        return [
            Done(
                self._jobs[one.request_id],
                as_result(one, None, (), due_if_known(one, self._desk), resumed=one.tries > 1),
            )
            for one in self._workers.in_flight.values()
        ]


class Settled(NamedTuple):
    """How a try ended, as recorded."""

    request_id: str
    result: Result
    ban_s: int | None


def record(
    answers: Sequence[tuple[Payment, Reading]], desk: Desk, *, forget: bool = True
) -> list[Settled]:
    """One commit for all answers that have come in; the payments are let go.

    Without `forget` the codes of closed payments are still in the journal's files: the caller
    sees to it. Raises AfterSending for a bug.
    """
    if not answers:
        return []
    notes: tuple[str, ...] = ()
    try:
        try:
            closed = desk.journal.transact(lambda tx: _close_rows(tx, answers, desk))
        except JournalError:
            closed = _unrecorded(answers, desk)
            notes = ("not_recorded",)
    except Exception as bug:
        raise after_sending(answers[0][0].request_id, advice.next_step(answers[0][0])) from bug
    for _payment, reading, _fee in closed:
        if reading.end.event in FROM_ANOTHER:
            desk.gateway.mistrust(reading.connection)
    if forget and any(codes_of(payment.pay_request) for payment, _reading in answers):
        with suppress(JournalError):  # the next command that closes a payment catches up
            desk.journal.forget_codes()
    desk.journal.let_go(*(payment for payment, _reading, _fee in closed))
    settled = []
    for payment, reading, remaining_fee in closed:
        resumed = payment.tries > 1
        result = as_result(payment, reading.end, notes, remaining_fee, resumed=resumed)
        ban = ban_s(reading.end.event, reading.end.code, reading.end.message)
        settled.append(Settled(payment.request_id, result, ban))
    return settled


def _close_rows(
    tx: Transaction, answers: Sequence[tuple[Payment, Reading]], desk: Desk
) -> list[tuple[Payment, Reading, int | None]]:
    """In the order in which they came over each connection: once one was another payment's, none
    after it is believed. Each with what its checkout still needs. Repeatable.
    """
    read_ahead(tx, answers)
    closed = []
    lied: set[int] = set()
    for payment, reading in answers:
        row, counted = close_row(tx, payment, believed(payment, reading, desk, lied))
        if counted.end.event in FROM_ANOTHER:
            lied.add(counted.connection)
        closed.append((row, counted, still_due(row, tx)))
    return closed


def _unrecorded(
    answers: Sequence[tuple[Payment, Reading]], desk: Desk
) -> list[tuple[Payment, Reading, int | None]]:
    """The same for answers that the journal could not take in."""
    closed = []
    lied: set[int] = set()
    for payment, reading in answers:
        counted = believed(payment, reading, desk, lied)
        if counted.end.event in FROM_ANOTHER:
            lied.add(counted.connection)
        row = unrecorded(payment, counted)
        closed.append((row, counted, row.remaining_fee))
    return closed


class Workers:
    """Threads that sign, post and read; payments go in, readings come out.

    `most` is how many there are at once. `wake` is called from a thread whenever an answer is
    there, for who waits for other things too. Seconds are those of `monotonic`.
    """

    def __init__(
        self,
        desk: Desk,
        monotonic: Callable[[], float],
        most: int = WORKERS,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.in_flight: dict[str, Payment] = {}
        self._desk = desk
        self._monotonic = monotonic
        self._most = most
        self._wake = wake
        self._todo: queue.SimpleQueue[tuple[Payment, float] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Payment, Reading]] = queue.SimpleQueue()
        self._some_done = threading.Event()
        self._awaited = 1
        self._leaving = threading.Event()
        self._banned_until_s = 0.0
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for _thread in self._threads:
            self._todo.put(None)

    def send(self, payment: Payment, since_s: float) -> None:
        """Put a payment on its way; its try is committed, and was begun at `since_s`."""
        self.in_flight[payment.request_id] = payment
        if len(self._threads) < min(len(self.in_flight), self._most):
            thread = threading.Thread(target=self._work, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads on this machine
                if not self._threads:
                    self._todo.put((payment, since_s))
                    self._todo.put(None)
                    self._work()  # this one thread does it
                    return
            else:
                self._threads.append(thread)
        self._todo.put((payment, since_s))

    def wait(self, timeout_s: float | None = None) -> None:
        """Until an answer is there. Takes none, so that an interrupt here loses none."""
        self._some_done.wait(timeout_s)

    def gather(self, count: int, timeout_s: float) -> None:
        """Until `count` answers are there. Takes none, either."""
        self._awaited = count
        try:
            self._some_done.clear()  # before looking: what comes later sets it again
            if self._done.qsize() < count:
                self._some_done.wait(timeout_s)
        finally:
            self._awaited = 1
            if self.some_arrived:
                self._some_done.set()

    @property
    def some_arrived(self) -> bool:
        """Whether there are answers to take."""
        return not self._done.empty()

    def arrived(self) -> list[tuple[Payment, Reading]]:
        """All answers that there are."""
        self._some_done.clear()  # before looking: what comes later sets it again
        answers = []
        with suppress(queue.Empty):
            while True:
                answers.append(self._done.get_nowait())
        for payment, _reading in answers:
            del self.in_flight[payment.request_id]
        return answers

    def banned_s(self) -> float:
        """How long the rate limit that was met still lasts; 0 when there is none."""
        return max(0.0, self._banned_until_s - self._monotonic())

    def give_up(self) -> None:
        """What still waits for the end of a ban is not sent any more."""
        self._leaving.set()

    def _work(self) -> None:
        while (job := self._todo.get()) is not None:
            payment, since_s = job
            while (left_s := self.banned_s()) and left_s <= MAX_BAN_WAIT_S:
                if self._leaving.wait(left_s):
                    break
            reading = self._read(payment, _LEFT) if left_s else self._post(payment, since_s)
            self._done.put((payment, reading))
            if self._done.qsize() >= self._awaited:
                self._some_done.set()
            self._wake()

    def _post(self, payment: Payment, since_s: float) -> Reading:
        sent = looks_again(payment, since_s, self._desk)
        try:
            exchange = self._desk.gateway.post(form_of(payment, self._desk), sent)
            reading = self._read(payment, exchange)._replace(connection=sent.connection)
        except Exception:  # noqa: BLE001  a bug must not lose the row: nobody knows whether it left
            return self._read(payment, _LOST)
        ban = ban_s(reading.end.event, reading.end.code, reading.end.message)
        if ban:
            self._banned_until_s = max(self._banned_until_s, self._monotonic() + ban)
        return reading

    def _read(self, payment: Payment, exchange: Exchange) -> Reading:
        declines = self._desk.profile.decline_codes
        return read_exchange(payment, exchange, self._desk.now_ms(), declines)
