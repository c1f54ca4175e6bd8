"""Twenty processes at once on one checkout: one charge, and the other nineteen know whose it is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from zlib import crc32

import pytest
from sim_check import World
from sim_machine import Run, read_payments
from sim_schedule import How
from simulator import Simulator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="loopback addresses")

CROWD = 20
ROUNDS = [pytest.param(4, id="some"), pytest.param(50, id="fifty", marks=pytest.mark.long)]
PATIENT = "{connect: 20, read: 20, total: 30}"
FIRST_CODE = 281234567890123456


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator() as one:
        yield one


def start_crowd(
    world: World, checkout: str, how: How | None = None, size: int = CROWD
) -> list[Run]:
    words = ("pay", "--fee", "100", "--checkout", checkout, "--code-stdin")
    code = str(FIRST_CODE + crc32(checkout.encode()))  # one customer's
    return [world.machine.start(*words, how=how, code=code) for _ in range(size)]


def assert_one_charge(world: World, checkout: str, runs: list[Run]) -> str:
    """One row, one charge, one request, no run that says otherwise; returns the request_id."""
    rows = [p for p in read_payments(world.machine.journal).values() if p.key[0] == checkout]
    assert len(rows) == 1
    request_id = rows[0].request_id
    assert (rows[0].state, rows[0].paid, rows[0].tries) == ("success", 1, 1)
    assert [a.request_id for a in world.gateway.charged() if a.checkout_id == checkout] == [
        request_id
    ]
    payers = [run for run in runs if run.data and not run.data["resumed"] and run.code == 0]
    assert len(payers) == 1
    for run in runs:
        data = run.data
        assert data is not None, run
        if run.code == 0:
            assert data["request_id"] == request_id
        else:
            assert (run.code, data["blocked_by"]) == (30, request_id), run
            told = data["error"]["message"]
            assert "operator 123" in told, told
            assert "till 001" in told, told
    assert world.blamed == []
    return request_id


@pytest.mark.parametrize("rounds", ROUNDS)
def test_nineteen_of_twenty_are_told_who_is_paying_and_since_when(
    simulator: Simulator, rounds: int
) -> None:
    """While one process waits for its answer, the other nineteen are refused and told by whom the
    checkout is held; and when it is paid, everybody is told so. Again and again.
    """
    with simulator.world(timeout=PATIENT) as world:
        for n in range(rounds):
            checkout = f"c{n}"
            world.gateway.may_answer.clear()
            runs = start_crowd(world, checkout)
            world.machine.finish(runs, leave=1)
            world.gateway.may_answer.set()
            world.machine.finish([run for run in runs if run.status is None])
            request_id = assert_one_charge(world, checkout, runs)
            held = [run for run in runs if run.error_code == "held"]
            assert len(held) == CROWD - 1
            late = world.machine.run("pay", "--fee", "100", "--checkout", checkout)
            assert (late.code, late.error_code) == (30, "already_paid")
            assert late.data is not None
            assert late.data["blocked_by"] == request_id


@pytest.mark.parametrize("rounds", ROUNDS)
def test_twenty_that_come_as_the_answer_does_share_one_outcome(
    simulator: Simulator, rounds: int
) -> None:
    """When the gateway answers at once, a process that comes after the answer tells the recorded
    outcome of the same request_id or is refused; none of them pays again.
    """
    with simulator.world(timeout=PATIENT) as world:
        for n in range(rounds):
            runs = start_crowd(world, f"c{n}")
            world.machine.finish(runs)
            assert_one_charge(world, f"c{n}", runs)
            assert {run.error_code for run in runs} <= {None, "held", "already_paid"}


def test_twenty_processes_started_from_the_shell_make_one_charge(simulator: Simulator) -> None:
    """The same with `python -m posctl`, which nothing was done to."""
    with simulator.world(timeout=PATIENT) as world:
        runs = start_crowd(world, "111", How(console=True))
        world.machine.finish(runs)
        assert_one_charge(world, "111", runs)


def test_a_process_that_died_holding_the_payment_blocks_nobody(simulator: Simulator) -> None:
    """After kill -9 of the sender, one of twenty resumes the payment under its own request_id."""
    with simulator.world(timeout=PATIENT) as world:
        how = How(armed=(("send.after", 1, "kill"),))
        dead = start_crowd(world, "111", how, size=1)
        world.machine.finish(dead)
        assert [run.killed for run in dead] == [True]
        runs = start_crowd(world, "111")
        world.machine.finish(runs)
        (payment,) = read_payments(world.machine.journal).values()
        assert (payment.state, payment.paid) == ("success", 1)
        assert [account.request_id for account in world.gateway.charged()] == [payment.request_id]
        assert 0 in {run.code for run in runs}
        assert {run.code for run in runs} <= {0, 30}
        assert world.blamed == []
