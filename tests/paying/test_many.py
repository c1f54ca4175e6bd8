"""Many payments at once, in milliseconds: the crew's threads, the real journal, a scripted gateway.

The same with real sockets and processes is in `test_sweep.py` and `tests/batch`.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from road import BANNED, LOST, PAID, PENDING, Does, Till, error, model, says
from scenes import DEFAULTS

from posctl.errors import AfterSending, JournalError
from posctl.gateway.exchange import Exchange, Sent
from posctl.money.order import Limits, check
from posctl.money.outcome import Event, Outcome, State
from posctl.money.record import Payment
from posctl.money.result import Result
from posctl.paying import many
from posctl.paying.answer import read_exchange
from posctl.paying.many import Watch, Workers, record
from posctl.paying.retries import Sweep, sweep
from posctl.paying.row import open_order


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    made = Till(tmp_path / "journal.db")
    with closing(made.journal):
        yield made


def watch(stops: Stops | None = None, step_s: float = 30) -> Watch:
    """A clock that goes on whenever somebody looks at it."""
    clock = itertools.count()
    return Watch(lambda: next(clock) * step_s, stops.say if stops else lambda: None)


def ids_of(till: Till) -> list[str]:
    return [row["request_id"] for row in till.rows("SELECT request_id FROM payments ORDER BY seq")]


def swept(till: Till, *lines: Does, automatic: bool = False) -> list[Result]:
    till.then(*lines)
    return list(sweep(ids_of(till), Sweep(till.desk, frozenset(), automatic, watch())))


def opened(till: Till, n: int) -> None:
    for one in range(n):
        till.pay(LOST, checkout_id=f"c{one}", channel_account="")


def test_a_sweep_settles_all(till: Till) -> None:
    """Each once, each recorded, each let go."""
    opened(till, 70)
    results = swept(till, says(model(1)))
    assert [one.outcome for one in results] == [Outcome.SUCCESS] * 70
    assert len({one.payment.request_id for one in results if one.payment}) == 70
    assert all(one.resumed for one in results)
    assert {row["state"] for row in till.rows("SELECT state FROM payments")} == {"success"}
    assert len(till.gateway.forms) == 140
    assert till.is_free()


def test_a_sweep_tells_what_it_does_not_send(till: Till) -> None:
    """Closed ones as recorded, those for a person as blocked."""
    opened(till, 3)
    till.retry(says(model(1)))
    till.now_s += 901
    results = swept(till, says(model(1)), automatic=True)
    assert sorted(str(one.outcome) for one in results) == ["blocked", "blocked", "success"]
    assert len(till.gateway.forms) == 4


def test_a_sweep_waits_out_a_ban_three_times(till: Till) -> None:
    """Then the payment is told as it is."""
    opened(till, 1)
    (result,) = swept(till, BANNED)
    assert result.outcome is Outcome.UNKNOWN
    assert len(till.gateway.forms) == 1 + 4
    (result,) = swept(till, BANNED, BANNED, says(model(1)))
    assert result.outcome is Outcome.SUCCESS


def test_a_sweep_whose_journal_fails(till: Till) -> None:
    """What is on its way is told, with a warning, and then why it went no further."""
    opened(till, 2)
    till.fails_after = 1
    found: list[Result] = []
    till.then(says(model(1)))
    found.extend(sweep(ids_of(till), Sweep(till.desk, frozenset(), False, watch())))
    assert len(found) == 2
    assert all(any("record" in warning for warning in one.warnings) for one in found)
    assert {row["state"] for row in till.rows("SELECT state FROM payments")} == {"sending"}


def by_id(played: dict[str, list[Does]]) -> Does:
    """Each payment its own script, in whatever order the threads come."""

    def play(form: bytes, sent: Sent) -> Exchange:
        lines = next(lines for name, lines in played.items() if name.encode() in form)
        return (lines.pop(0) if len(lines) > 1 else lines[0])(form, sent)

    return play


def test_a_sweep_whose_journal_fails_in_a_ban(till: Till) -> None:
    """What waited for the end of the ban is told, once, as it stands; what was paid meanwhile is
    not told again; then why it went no further.
    """
    ids = ["order-000A", "order-000B"]
    for name in ids:
        till.pay(LOST, request_id=name, checkout_id=name, channel_account="")
    till.then(by_id({ids[0]: [BANNED, says(model(1))], ids[1]: [BANNED]}))
    till.fails = lambda: len(till.gateway.forms) >= 2 + 2 + 2
    found: list[Result] = []
    with pytest.raises(JournalError):
        for one in sweep(ids, Sweep(till.desk, frozenset(), False, watch())):
            found.append(one)  # noqa: PERF402  what was told before it failed
    assert sorted(named(found)) == [(ids[0], "success"), (ids[1], "unknown")]


def named(results: list[Result]) -> list[tuple[str, str]]:
    """Whose each result is, and what it says."""
    return [(one.payment.request_id, str(one.outcome)) for one in results if one.payment]


def test_a_crew_of_one_and_two_commits(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a chunk goes in several commits, and each payment is sent once."""
    monkeypatch.setattr(many, "CHUNK", 2)
    opened(till, 5)
    results = swept(till, says(model(1)))
    assert [one.outcome for one in results] == [Outcome.SUCCESS] * 5
    assert len(till.gateway.forms) == 10


# ── Ctrl-C ───────────────────────────────────────────────────────────────────────────────────


class Stops:
    """Ctrl-C at the waits of these numbers, from 1; `said` counts how often it is told that what
    is on its way is still recorded. The gateway answers once the last of them came.
    """

    def __init__(self, till: Till, *at: int) -> None:
        self.said = 0
        self._at, self._waits = at, 0
        self._answer = threading.Event()
        till.interruptible = self._wait

    @contextmanager
    def _wait(self) -> Iterator[None]:
        self._waits += 1
        if self._waits in self._at:
            if self._waits == max(self._at):
                self._answer.set()
            raise KeyboardInterrupt
        yield

    def then(self, does: Does) -> Does:
        def play(form: bytes, sent: Sent) -> Exchange:
            assert self._answer.wait(60)
            return does(form, sent)

        return play

    def say(self) -> None:
        self.said += 1


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit for each payment, so that an interrupt finds some that were not taken yet."""
    monkeypatch.setattr(many, "CHUNK", 1)


@pytest.mark.usefixtures("one_by_one")
def test_after_ctrl_c_what_is_on_its_way_is_recorded(till: Till) -> None:
    """It is said that it is waited for; the rest is told as it stands, and not sent."""
    opened(till, 3)
    stops = Stops(till, 1)
    till.then(stops.then(says(model(1))))
    results = list(sweep(ids_of(till), Sweep(till.desk, frozenset(), False, watch(stops))))
    assert [str(one.outcome) for one in results] == ["success", "unknown", "unknown"]
    assert [one.resumed for one in results] == [True] * 3
    assert (stops.said, len(till.gateway.forms)) == (1, 4)
    assert [row["state"] for row in till.rows("SELECT state FROM payments ORDER BY seq")] == [
        *("success", "unknown", "unknown")
    ]


@pytest.mark.usefixtures("one_by_one")
def test_a_second_ctrl_c_leaves_what_is_on_its_way(till: Till) -> None:
    """It is told as its row stands, open; nothing is said a second time."""
    till.pay(PENDING, checkout_id="c0", channel_account="")
    till.pay(LOST, checkout_id="c1", channel_account="")
    stops = Stops(till, 1, 2)
    left = threading.Event()

    def play(form: bytes, sent: Sent) -> Exchange:
        assert left.wait(60)
        return says(model(1))(form, sent)

    till.then(play)
    results = list(sweep(ids_of(till), Sweep(till.desk, frozenset(), False, watch(stops))))
    left.set()
    assert [str(one.outcome) for one in results] == ["pending", "unknown"]
    assert [one.resumed for one in results] == [True, True]
    assert [one.warnings for one in results] == [(), ()]
    assert stops.said == 1
    assert till.payment().standing.state is State.SENDING


@pytest.mark.usefixtures("one_by_one")
def test_ctrl_c_in_a_ban_says_nothing_of_what_is_on_its_way(till: Till) -> None:
    """There is nothing: what waits is told as it stands, and not sent again."""
    opened(till, 2)
    stops = Stops(till, 2)
    till.then(BANNED)
    results = list(sweep(ids_of(till), Sweep(till.desk, frozenset(), False, watch(stops, 0.001))))
    assert [str(one.outcome) for one in results] == ["unknown", "unknown"]
    assert (stops.said, len(till.gateway.forms)) == (0, 3)


@pytest.mark.usefixtures("one_by_one")
def test_a_chunk_that_is_not_sent_stops_nothing(till: Till) -> None:
    """The first is closed already; the next one goes."""
    opened(till, 2)
    till.retry(says(model(1)))
    results = swept(till, says(model(1)))
    assert [str(one.outcome) for one in results] == ["success", "success"]
    assert {row["state"] for row in till.rows("SELECT state FROM payments")} == {"success"}


@pytest.mark.usefixtures("one_by_one")
def test_a_payment_that_is_gone_is_not_told(till: Till) -> None:
    """The journal that a sweep began with is not the one that it ends with: that is said."""
    opened(till, 2)
    stops = Stops(till, 1)
    till.then(stops.then(says(model(1))))
    told = sweep(ids_of(till), Sweep(till.desk, frozenset(), False, watch(stops)))
    assert next(told).outcome is Outcome.SUCCESS
    till.write("DELETE FROM tries WHERE seq = 2", "DELETE FROM payments WHERE seq = 2")
    with pytest.raises(JournalError) as gone:
        next(told)
    assert gone.value.code == "journal_replaced"


# ── answers, recorded together ───────────────────────────────────────────────────────────────


def sent_and_answered(till: Till, does: Does, checkout_id: str) -> Any:
    """A payment whose try is on its way, and what came back."""
    code = f"28345678901234{checkout_id}"
    till.pay(LOST, checkout_id=checkout_id, request_id=f"order-{checkout_id}", channel_account=code)
    begun = till.begin(f"order-{checkout_id}")
    exchange = does(b"", Sent())
    return begun, read_exchange(begun, exchange, till.desk.now_ms())


def test_nothing_is_believed_after_anothers_answer(till: Till) -> None:
    """What came over the same connection after it is as if it had not come; over another one it
    counts. The connection is used no more.
    """
    anothers = says(model(1, request_id="somebody-else"))
    (one, stale), (two, after), (three, other) = (
        sent_and_answered(till, does, f"000{n}") for n, does in enumerate((anothers, PAID, PAID))
    )
    answers = [
        (one, stale._replace(connection=7)),
        (two, after._replace(connection=7)),
        (three, other._replace(connection=8)),
    ]
    settled = record(answers, till.desk)
    assert [(one.request_id, str(one.result.outcome)) for one in settled] == [
        *(("order-0000", "conflict"), ("order-0001", "unknown"), ("order-0002", "success"))
    ]
    assert till.gateway.mistrusted == {7}
    assert till.payment("order-0001").verdict.payment_order_id is None
    (raw,) = till.rows("SELECT raw, event FROM tries WHERE seq = 2 ORDER BY n DESC LIMIT 1")
    assert list(raw.values()) == [None, "connection_cut"]
    assert [one.result.resumed for one in settled] == [True] * 3
    assert [one.ban_s for one in settled] == [None] * 3


@pytest.mark.parametrize("how", ["again", "never"])
def test_anothers_answer_is_one_however_often_it_is_recorded(till: Till, how: str) -> None:
    """A transaction that runs again, as over a shared journal, finds the same; and what cannot be
    recorded is told no other way: nothing after it is taken for a payment's own.
    """
    anothers = says(model(1, request_id="somebody-else"))
    pairs = [sent_and_answered(till, does, f"000{n}") for n, does in enumerate((anothers, PAID))]
    answers = [(one, reading._replace(connection=7)) for one, reading in pairs]
    transact = till.journal.transact

    def not_at_once(work: Callable[[Any], Any]) -> Any:
        def undone(tx: Any) -> None:
            work(tx)
            raise JournalError("away", "It broke at the end.")

        if how == "never":
            transact(undone)
        with suppress(JournalError):
            transact(undone)
        return transact(work)

    till.journal.transact = not_at_once  # type: ignore[method-assign]
    settled = record(answers, till.desk)
    assert [str(one.result.outcome) for one in settled] == ["conflict", "unknown"]
    assert till.gateway.mistrusted == {7}


def test_codes_are_forgotten_once_for_a_group(till: Till) -> None:
    """After the commit, unless the caller sees to it; a full disk then is no reason to tell less;
    payments without a code ask for nothing.
    """
    for forget, asked in ((True, 1), (False, 1)):
        pair = sent_and_answered(till, says(model(1)), f"1{forget:d}00")
        (settled,) = record([pair], till.desk, forget=forget)
        assert settled.result.outcome is Outcome.SUCCESS
        assert till.forgot == asked
    assert record([], till.desk) == []
    till.fails_to_forget = True
    pair = sent_and_answered(till, says(model(1)), "1200")
    (settled,) = record([pair], till.desk)
    assert (settled.result.outcome, settled.result.warnings) == (Outcome.SUCCESS, ())


def test_a_bug_in_a_group_names_its_first_payment(till: Till) -> None:
    """Nobody knows what became of it: it is told with what to look at."""
    pairs = [sent_and_answered(till, says(model(1)), f"130{n}") for n in range(2)]
    till.fails = lambda: bool(1 // 0)
    with pytest.raises(AfterSending) as bug:
        record(pairs, till.desk)
    assert bug.value.request_id == "order-1300"
    assert "order-1300" in str(bug.value.hint)


def test_payments_without_a_code_rewrite_no_file(till: Till) -> None:
    """And a first try is told as no resumed one."""
    order = check({"pay_fee": "100", "checkout_id": "1"}, {}, DEFAULTS, Limits(500_000))
    one = till.journal.transact(lambda tx: open_order(tx, order, "id-1", till.desk, frozenset()))
    assert isinstance(one, Payment)
    (settled,) = record([(one, read_exchange(one, PAID(b"", Sent()), 0))], till.desk)
    assert (settled.result.outcome, settled.result.resumed) == (Outcome.SUCCESS, False)
    assert till.forgot == 0


# ── a ban, and how many go at once ───────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("named_s", "waited"), [(9, [10.0] * 3), (59, [60.0] * 3), (60, [])], ids=str
)
def test_how_long_a_ban_is_waited_out(
    till: Till, monkeypatch: pytest.MonkeyPatch, named_s: int, waited: list[float]
) -> None:
    """A minute at the most, a second more than it names, three times; nobody waits out the last."""
    now_s, waits = [0.0], []

    def wait(crew: Workers, timeout_s: float | None = None) -> None:
        if timeout_s is None:
            crew._some_done.wait()
        else:
            waits.append(timeout_s)
            now_s[0] += timeout_s

    monkeypatch.setattr(Workers, "wait", wait)
    opened(till, 1)
    till.then(says(error(7, None, f"This ban will last for {named_s} more seconds")))
    ends = Watch(lambda: now_s[0], lambda: None)
    (result,) = sweep(ids_of(till), Sweep(till.desk, frozenset(), False, ends))
    assert (result.outcome, waits) == (Outcome.UNKNOWN, waited)


@pytest.mark.parametrize(
    ("on_their_way", "banned_s", "interrupts", "failure", "takes"),
    [
        (0, 0.0, 0, None, True),
        (many.WORKERS - many.CHUNK, 0.0, 0, None, True),
        (many.WORKERS - many.CHUNK + 1, 0.0, 0, None, False),
        (0, 0.1, 0, None, False),
        (0, 0.0, 1, None, False),
        (0, 0.0, 0, JournalError("full", "The disk is full."), False),
    ],
)
def test_when_more_are_taken(
    till: Till,
    on_their_way: int,
    banned_s: float,
    interrupts: int,
    failure: JournalError | None,
    takes: bool,
) -> None:
    """A chunk at once, never more than the crew, and none in a ban, after Ctrl-C or a failure."""
    asked: list[int] = []

    def take(most: int) -> list[str]:
        asked.append(most)
        return []

    work: Any = SimpleNamespace(take=take)
    crew: Any = SimpleNamespace(in_flight=range(on_their_way), banned_s=lambda: banned_s)
    sending: Any = many._Sending(work, till.desk, crew, lambda: None)
    sending.interrupts, sending.failure = interrupts, failure
    assert sending.open_chunk() == (0, [])
    assert asked == ([many.CHUNK] if takes else [])


def test_what_is_left_on_its_way_says_what_its_checkout_needs(till: Till) -> None:
    """Whoever is interrupted twice is told what the last success of the checkout said."""
    till.pay(says(model(1, current_pay_fee=40, remaining_fee=60)), pay_fee="40")
    till.pay(LOST, request_id="order-0002", pay_fee="60", channel_account="")
    crew: Any = SimpleNamespace(in_flight={"order-0002": till.begin("order-0002")})
    work: Any = SimpleNamespace()
    sending: Any = many._Sending(work, till.desk, crew, lambda: None)
    sending._jobs = {"order-0002": "order-0002"}
    (left,) = sending.left_behind()
    assert left.result.remaining_fee == 60


# ── the threads ──────────────────────────────────────────────────────────────────────────────


def sent(till: Till, crew: Workers, *names: str) -> list[Payment]:
    """Open payments, each put on its way."""
    begun = []
    for name in names:
        till.pay(LOST, request_id=name, checkout_id=name, channel_account="")
        begun.append(till.begin(name))
    till.then(says(model(1)))
    for one in begun:
        crew.send(one, till.desk.uptime_s())
    return begun


def came_back(crew: Workers, count: int) -> list[Event]:
    events: list[Event] = []
    while len(events) < count:
        crew.wait(5)
        arrived = crew.arrived()
        assert arrived, "it came to nothing"
        events += [reading.end.event for _payment, reading in arrived]
    return events


def test_no_more_threads_than_asked_for(till: Till) -> None:
    """They end with the crew, and the machine's end waits for none of them."""
    with Workers(till.desk, lambda: 0.0, most=1) as crew:
        sent(till, crew, "order-0001", "order-0002")
        assert came_back(crew, 2) == [Event.PAID] * 2
        (thread,) = crew._threads
        assert thread.daemon
        assert (crew.in_flight, crew.some_arrived) == ({}, False)
        assert not crew._some_done.is_set(), "nothing is left to wait for"
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.parametrize("threads", [0, 1])
def test_a_machine_without_more_threads(
    till: Till, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """Each payment goes all the same: by a thread that is there, or by this one."""
    real, left = threading.Thread.start, [threads]

    def start(thread: threading.Thread) -> None:
        if not left[0]:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with Workers(till.desk, lambda: 0.0) as crew:
        sent(till, crew, "order-0001", "order-0002")
        assert came_back(crew, 2) == [Event.PAID] * 2
        assert len(crew._threads) == threads


def test_who_gives_up_waits_out_no_ban(till: Till) -> None:
    """What a thread still kept for its end comes back at once, as not sent."""
    with Workers(till.desk, lambda: 0.0, most=1) as crew:
        crew._banned_until_s = 59.0
        sent(till, crew, "order-0001")
        crew.give_up()
        assert came_back(crew, 1) == [Event.INTERRUPTED_UNSENT]
    assert len(till.gateway.forms) == 1
