"""What is installed is what was tested: the locks, pyproject, the README and CI say the same."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NEEDED = PYPROJECT["project"]["dependencies"]
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
LOCKS = ("requirements.txt", "till.txt", "till-postgres.txt")


def text(lock: str) -> str:
    return (ROOT / ".ci" / lock).read_text()


def locked(lock: str) -> dict[str, str]:
    """Name → the version it is locked at."""
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", text(lock), re.MULTILINE))


@pytest.mark.parametrize(
    ("lock", "asked"),
    [
        (
            "requirements.txt",
            [*NEEDED, *chain(*EXTRAS.values()), *PYPROJECT["build-system"]["requires"]],
        ),
        ("till.txt", NEEDED),
        ("till-postgres.txt", NEEDED + EXTRAS["postgres"]),
    ],
)
def test_every_dependency_is_locked_as_it_is_asked_for(lock: str, asked: list[str]) -> None:
    """Each requirement is in the lock, in a version it allows."""
    versions = locked(lock)
    for requirement in map(Requirement, asked):
        name = canonicalize_name(requirement.name)
        if name != "posctl":
            assert requirement.specifier.contains(versions[name], prereleases=True), requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_has_hashes_and_none_a_place(lock: str) -> None:
    """Nothing is installed unseen, and wherever a mirror is, it is not written down."""
    packages = [
        block for block in re.split(r"\n(?=[a-z])", text(lock)) if not block.startswith("#")
    ]
    assert len(packages) > 12
    for block in packages:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block
    assert not re.search(r"https?://|file:|--(?:extra-)?index-url|--find-links", text(lock))


def test_a_till_runs_what_was_tested() -> None:
    """A till's packages are some of the tested ones, in the same versions, and no tests' own."""
    few, more, tested = (locked(lock) for lock in ("till.txt", "till-postgres.txt", LOCKS[0]))
    assert few.items() < more.items() < tested.items()
    assert not {"pytest", "hypothesis", "taobaopy", "hatchling"} & more.keys()


@pytest.mark.parametrize("page", ["README.md", "docs/README.zh.md"])
def test_the_test_command_installs_the_lock(page: str) -> None:
    """The one test command installs by hashes, and posctl itself with nothing from elsewhere."""
    commands = re.findall(
        r"^python3 -m venv \.venv && .*pytest$", (ROOT / page).read_text(), re.MULTILINE
    )
    (command,) = commands
    installs = [step for step in command.split(" && ") if "pip install" in step]
    assert installs == [
        ".venv/bin/pip install -q --require-hashes -r .ci/requirements.txt",
        ".venv/bin/pip install -q --no-deps --no-build-isolation -e .",
    ]


def test_ci_decides_by_the_lock() -> None:
    """CI runs the README's test command, and installs nothing else before its last check."""
    script = (ROOT / ".ci" / "run").read_text()
    deciding, report = script.split("for name in newest lowest; do")
    assert "'^python3 -m venv .*pytest' README.md" in deciding
    assert "pip install" not in deciding
    assert "newest" not in deciding.partition("nox -s")[2].partition("\n")[0]
    assert 'if timeout 900 nox -s "$name"' in report  # whatever comes of it, CI goes on


def test_the_lowest_versions_are_those_of_pyproject() -> None:
    """Each direct dependency is tried at the lowest version that its requirement names."""
    ran = subprocess.run(
        [sys.executable, ROOT / ".ci" / "lowest"], capture_output=True, text=True, check=True
    )
    lowest = dict(line.split("==") for line in ran.stdout.splitlines())
    asked = map(Requirement, [*NEEDED, *EXTRAS["postgres"], *EXTRAS["test"]])
    bounds = {
        requirement.name: spec.version
        for requirement in asked
        for spec in requirement.specifier
        if spec.operator in (">=", "==")
    }
    assert lowest == bounds
