"""Seeded schedules hold the invariants, and each deliberate bug breaks one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from sim_schedule import make_schedule
from simulator import Simulator, run_many

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="loopback addresses, pidfiles")

SLICE = range(30)  # `.ci/run` plays some hundreds, and looks whether every fault came up
HUNT = range(240)  # so many seeds are enough to find each bug

# Each bug, what it is, and the invariants of which one must be found broken.
BUGS = {
    "new_uuid_on_retry": {1, 2},
    "commit_after_send": {2},
    "timeout_is_failure": {1, 4, 5},
    "failure_closes_unknown": {1, 4, 5},
    "refusal_by_words": {1, 4, 5},
    "redirect_followed": {3},
    "resolved_resent": {2, 3},
    "lease_for_ever": {5},
    "payload_from_flags": {3},
    "hold_for_everyone": {6},
    "told_too_early": {1},
    "codes_kept": {9},
    "late_resend": {8},
    "identity_by_url": {1},
    "session_ignored": {3, 11},
    "no_last_look": {8},
}


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


@pytest.mark.parametrize("bug", BUGS)
def test_the_harness_bites(simulator: Simulator, bug: str) -> None:
    """With a deliberate bug in posctl the checker finds a violation of the right invariant, and
    without it the same seed has none.
    """
    found = simulator.hunt(HUNT, bug, BUGS[bug])
    assert found is not None
    seed, violation = found
    assert violation.invariant in BUGS[bug]
    assert simulator.play(seed).violations == []


def test_a_seed_is_a_schedule() -> None:
    """The same seed always means the same steps, another one means others."""
    assert make_schedule(7) == make_schedule(7)
    assert make_schedule(7) != make_schedule(8)
