"""Seeded schedules hold the invariants, and each deliberate bug breaks one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from sim_bugs import KNOWN
from sim_child import BUGS
from sim_schedule import PEOPLE, make_schedule
from simulator import RACES, Simulator, run_many

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="loopback addresses, pidfiles")

SLICE = range(1, 13)  # `.ci/run` plays some hundreds, and looks whether every fault came up


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator() as one:
        yield one


def test_a_slice_of_schedules_holds_every_invariant() -> None:
    """Whatever the network, the disk, the clock and kill -9 do, nobody is charged twice and no
    payment is lost.
    """
    said: list[str] = []
    report = run_many(SLICE.start, SLICE.stop, 2 * (os.cpu_count() or 1), said.append)
    assert report.counts["schedules"] == len(SLICE)
    assert not report.violations, "\n".join(said)


@pytest.mark.long  # of the harness itself, some seconds for each bug
@pytest.mark.parametrize("bug", BUGS)
def test_the_harness_bites(simulator: Simulator, bug: str) -> None:
    """With a deliberate bug in posctl the checker finds a violation of the right invariant, and
    without it the same seed has none.
    """
    known = KNOWN[bug]
    assert simulator.hunt([known.seed] * RACES, bug, known.invariants)
    assert simulator.play(known.seed).violations == []


def test_whatever_people_do_comes_up_in_turn() -> None:
    """Consecutive seeds do all that people do, one thing each."""
    done = {
        (step.do, step.arg) for seed in range(len(PEOPLE)) for step in make_schedule(seed).steps
    }
    assert set(PEOPLE) <= done


def test_a_broken_ipv6_comes_up() -> None:
    """In some schedules whatever is sent meets an address that never answers first."""
    assert any(how.net == "first_swallows" for s in make_schedule(1).steps for how in s.hows)


def test_a_seed_is_a_schedule() -> None:
    """The same seed always means the same steps, another one means others."""
    assert make_schedule(7) == make_schedule(7)
    assert make_schedule(7) != make_schedule(8)
