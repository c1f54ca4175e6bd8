"""Every check has one command: `nox -s NAME`; `nox -l` lists them.

They run in the environment they are started from, the one that README's test command makes (and
`pip install -e '.[dev]'`); only `bundle`, `packages`, `ways`, `newest` and `lowest` make one of
their own.
"""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["quick", "lint"]

# Tables and properties: seconds, no process, no socket.
QUICK = (
    *("tests/money", "tests/gateway/test_judge.py", "tests/gateway/test_top.py"),
    *("tests/paying/test_answer.py", "tests/paying/test_many.py", "tests/paying/test_road.py"),
    "tests/config/test_profiles.py",
    *("tests/screen/test_locale.py", "tests/journal/test_journal_contract.py"),
)
# What touches other people's packages most.
OTHERS = (
    *("tests/screen/test_locale.py", "tests/cli/test_light.py", "tests/cli/test_start_up.py"),
    *("tests/cli/test_completion.py", "tests/gateway/test_gateway.py", "tests/gateway/test_top.py"),
)


@nox.session
def test(session: nox.Session) -> None:
    """The default suite: under five minutes on two cores."""
    session.run("pytest", *session.posargs)


@nox.session
def long(session: nox.Session) -> None:
    """The tests that the default suite leaves out: long seeded runs and heavy races."""
    session.run("pytest", "-m", "long", *session.posargs)


@nox.session
def quick(session: nox.Session) -> None:
    """The tests that take seconds."""
    session.run("pytest", *QUICK, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, types, and what may import what."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("mypy", "--platform", "win32", "posctl")  # the tests are for POSIX
    session.run("lint-imports")
    session.run("python", "tests/harness/rooms.py", "--check")


@nox.session
def sim(session: nox.Session) -> None:
    """A slice of the seeded schedules, over PostgreSQL too; docs/testing.md has the long runs."""
    given = session.posargs or ["--seeds", "1000:1400", "--jobs", "6", "--everything"]
    session.run("python", "tests/harness/simulator.py", *given)
    if not session.posargs:
        over = ("--seeds", "0:60", "--everything")
        session.run("python", "tests/harness/sim_postgres.py", *over)


@nox.session
def failover(session: nox.Session) -> None:
    """Databases killed under tills at work: standbys take over, a pooler. It tells figures."""
    session.run(
        *("pytest", "-n", "0", "-s", "-m", "long", "tests/journal/test_postgres_failover.py"),
        *session.posargs,
    )


@nox.session
def mutate(session: nox.Session) -> None:
    """Small faults in the rooms that decide about money: do the fast tests see them? Minutes."""
    session.run("python", "tests/harness/mutate.py", *session.posargs)


@nox.session
def windows(session: nox.Session) -> None:
    """The smoke test and the tests on Windows, or under Wine, with $POSCTL_WINDOWS_PYTHON;
    tests/windows/left_out.txt says what is left out.
    """
    python = os.environ.get("POSCTL_WINDOWS_PYTHON")
    if not python:
        session.skip("POSCTL_WINDOWS_PYTHON is not set: docs/windows.md")
    session.run(python, "tests/windows/smoke.py", *session.posargs, external=True)
    if not session.posargs:
        here = {"PYTHONUTF8": "1"}
        limit = ("faulthandler_timeout=600", "faulthandler_exit_on_timeout=true")  # of one test
        told = [word for name in limit for word in ("-o", name)]
        told += ["-n", "3", "--durations", "20"]  # most of a test under Wine waits for its server
        session.run(python, "-m", "pytest", *told, "tests", env=here, external=True)


@nox.session(venv_backend="venv")
def bundle(session: nox.Session) -> None:
    """A folder for a till without Python: `nox -s bundle -- PYTHON OUT.zip`, see .ci/bundle."""
    session.install("-q", "pip", "distlib==0.4.4")  # another one's posctl.exe has other bytes
    session.run("python", ".ci/bundle", *session.posargs)


@nox.session(venv_backend="venv")
def packages(session: nox.Session) -> None:
    """What tills are given, into dist/: wheel, one file, bill of materials; see .ci/packages."""
    session.install("-q", "pip", "hatchling==1.33.0", "shiv==1.0.8", "cyclonedx-bom==7.5.0")
    session.run("python", ".ci/packages")


@nox.session(venv_backend="venv")
def ways(session: nox.Session) -> None:
    """Each way to install what `packages` made, for a user who has nothing; see .ci/ways."""
    session.install("-q", "pipx==1.18.4", "uv==0.13.9")
    session.run("python", ".ci/ways")


@nox.session
def words(session: nox.Session) -> None:
    """The Chinese catalogue: new sentences taken in, then compiled; lists what is untranslated."""
    pot = Path(session.create_tmp()) / "posctl.pot"
    where = ("-D", "posctl", "-l", "zh", "-d", "posctl/locale")
    session.run(
        *("pybabel", "-q", "extract", "--sort-by-file", "--add-location=file", "--no-wrap"),
        *("-o", str(pot), "posctl"),
    )
    session.run(
        *(
            "pybabel",
            "-q",
            "update",
            "--no-fuzzy-matching",
            "--ignore-obsolete",
            "--no-wrap",
            *where,
        ),
        *("-i", str(pot)),
    )
    session.run("pybabel", "-q", "compile", *where)
    session.run("python", "tests/harness/untranslated.py")


@nox.session
def bench(session: nox.Session) -> None:
    """Ratios to yardsticks, on a quiet machine."""
    session.run("python", "benchmarks/run.py", *session.posargs)


@nox.session(venv_backend="venv")
def newest(session: nox.Session) -> None:
    """With the newest dependencies that are allowed. It reports; it decides nothing."""
    session.install("-q", "-e", ".[test]")
    session.run("pytest", *OTHERS)


@nox.session(venv_backend="venv")
def lowest(session: nox.Session) -> None:
    """With the lowest direct dependencies that are allowed. It reports; it decides nothing."""
    limits = Path(session.create_tmp()) / "lowest.txt"
    limits.write_text(str(session.run("python", ".ci/lowest", silent=True)))
    session.install("-q", "-e", ".[test]", "-c", str(limits))
    session.run("pytest", *OTHERS)
