"""Seeded schedules over PostgreSQL hold the invariants, three hosts and a dying server included."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sim_postgres import KNOWN
from simulator import RACES

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="loopback addresses, pidfiles")

SCRIPT = Path(__file__).parents[1] / "harness" / "sim_postgres.py"


def played(*words: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, SCRIPT, *words], stdout=subprocess.PIPE, text=True, check=False
    )
    return done.stdout.splitlines()


def test_a_slice_of_schedules_holds_every_invariant() -> None:
    """Whatever the network, kill -9, three clocks and a killed server do, nobody is charged twice
    and no payment is lost.
    """
    said = played("--seeds", "0:8")
    assert "violations: 0" in said, "\n".join(said)
    assert any("server_killed" in line for line in said)


@pytest.mark.long  # of the harness itself, some seconds for each bug
@pytest.mark.parametrize("bug", KNOWN)
def test_the_harness_bites(bug: str) -> None:
    """With a deliberate bug a schedule breaks the right invariant; a race may need another go."""
    seed, invariants = KNOWN[bug]
    said: list[str] = []
    for _go in range(RACES):
        said += played("--seeds", f"{seed}:{seed + 1}", "--bug", bug)
        if any(line.startswith(f"invariant {one} ") for line in said for one in invariants):
            return
    pytest.fail("\n".join(said))
