"""kill -9 wherever posctl writes, sends or reads: the same command again makes it right."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from sim_check import World, check
from sim_gateway import HONEST, Account, Fault
from sim_machine import Run, read_payments
from sim_schedule import POINTS, How, Key
from simulator import Simulator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="loopback addresses")

CODE = "281234567890123456"
AGAIN = "289876543210987654"  # scanned afresh for the second run

_PAY_POINTS = [p for p in POINTS if p.partition(".")[0] not in ("resolve", "status")]
_AT = _PAY_POINTS.index
NOTHING_KEPT = _PAY_POINTS[: _AT("begin.after_commit")]
OPEN = _PAY_POINTS[_AT("begin.after_commit") : _AT("record.after_commit")]
CLOSED_UNTOLD = _PAY_POINTS[_AT("record.after_commit") : _AT("told.after")]
TOLD = _PAY_POINTS[_AT("told.after") :]


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator() as one:
        yield one


def first_answer_is_lost(account: Account) -> Fault:
    """The first try is charged and the connection cut; later ones are answered."""
    return HONEST if account.charges else Fault("cut")


def pay(world: World, code: str, point: str | None = None) -> Run:
    how = How(armed=((point, 1, "kill"),)) if point else How()
    words = ("pay", "--fee", "100", "--checkout", "111", "--code-stdin")
    return world.machine.run(*words, how=how, code=code)


def kill(world: World, point: str, *words: str) -> None:
    """Run `posctl WORDS` and kill it at `point`."""
    killed = world.machine.run(*words, how=How(armed=((point, 1, "kill"),)))
    assert killed.killed
    assert killed.reached == (f"{point} kill",)


def assert_paid_once(world: World) -> None:
    """One row and one charge, equal, and every invariant holds."""
    world.gateway.idle()
    (payment,) = read_payments(world.machine.journal).values()
    (account,) = world.gateway.charged()
    assert account.request_id == payment.request_id
    assert (payment.open, payment.paid) == (False, 1)
    world.owed[Key("111", "111", 100)] = world.begun[Key("111", "111", 100)] = 1
    assert check(world) == []


@pytest.mark.parametrize("point", _PAY_POINTS)
def test_pay_killed_and_run_again_charges_once(simulator: Simulator, point: str) -> None:
    """Killed before its row is durable, `pay` starts anew; until its answer is recorded, it is
    resumed; until that was told, it is told; from then on it is refused as already paid.
    """
    with simulator.world() as world:
        killed = pay(world, CODE, point)
        assert killed.killed
        assert killed.reached == (f"{point} kill",)
        world.gateway.idle()
        before = len(world.gateway.seen)
        again = pay(world, AGAIN)
        sent = len(world.gateway.seen) - before
        data = again.data
        assert data is not None
        if point in NOTHING_KEPT:
            assert (again.code, data["resumed"], data["tries"], sent) == (0, False, 1, 1)
        elif point in OPEN:
            assert (again.code, data["resumed"], data["tries"], sent) == (0, True, 2, 1)
        elif point in CLOSED_UNTOLD:
            assert (again.code, data["resumed"], data["tries"], sent) == (0, True, 1, 0)
        else:
            assert point in TOLD
            assert (again.code, again.error_code, sent) == (30, "already_paid", 0)
        assert_paid_once(world)


@pytest.mark.parametrize("way", ["--all", "--last", "--checkout"])
@pytest.mark.parametrize("point", [p for p in _PAY_POINTS if not p.startswith("create")])
def test_retry_killed_and_run_again_charges_once(
    simulator: Simulator, point: str, way: str
) -> None:
    """An unknown payment whose `retry` is killed: the same `retry` again, then `pay` again, and
    it was charged once and is told once more or refused.
    """
    with simulator.world(first_answer_is_lost) as world:
        assert pay(world, CODE).code == 21
        words = ("retry", way, "111") if way == "--checkout" else ("retry", way)
        kill(world, point, *words)
        assert world.machine.run(*words).code == 0
        again = pay(world, AGAIN)
        assert again.code in (0, 30)
        if again.code == 0:
            assert again.data is not None
            assert again.data["resumed"] is True
        assert_paid_once(world)


@pytest.mark.parametrize("point", ["resolve.before_commit", "resolve.after_commit"])
def test_resolve_killed_and_run_again_closes_once(simulator: Simulator, point: str) -> None:
    """Killed before its commit, `resolve` can be run again; after it, the payment is closed and
    `resolve` says so. Either way the same `pay` is refused as already paid.
    """
    with simulator.world(first_answer_is_lost) as world:
        unknown = pay(world, CODE)
        assert unknown.data is not None
        words = ("resolve", unknown.data["request_id"], "--as", "paid", "--note", "receipt")
        kill(world, point, *words)
        again = world.machine.run(*words)
        assert again.code == (0 if point == "resolve.before_commit" else 2)
        refused = pay(world, AGAIN)
        assert (refused.code, refused.error_code) == (30, "already_paid")
        assert_paid_once(world)


@pytest.mark.parametrize("point", ["status.before_commit", "status.after_commit"])
def test_status_killed_and_run_again_closes_once(simulator: Simulator, point: str) -> None:
    """The platform's word is recorded once, and the payment it closes is told by the next `pay`."""
    with simulator.world(first_answer_is_lost) as world:
        unknown = pay(world, CODE)
        assert unknown.data is not None
        words = ("status", unknown.data["request_id"])
        kill(world, point, *words)
        assert world.machine.run(*words).code == 0
        told = pay(world, AGAIN)
        assert told.code == 0
        assert told.data is not None
        assert (told.data["resumed"], told.data["tries"]) == (True, 1)
        assert_paid_once(world)


@pytest.mark.parametrize("point", ["create.before", "create.after"])
def test_a_journal_that_was_being_made_is_whole_or_none(simulator: Simulator, point: str) -> None:
    """`journal create` killed while the journal gets its name: the same command again, then pay."""
    with simulator.world() as world:
        for path in world.machine.journal.parent.glob("journal.db*"):
            path.unlink()
        kill(world, point, "journal", "create")
        assert world.machine.run("journal", "create").code == 0
        assert pay(world, CODE).code == 0
        assert_paid_once(world)
