"""docs/man, which the wheel installs, is what the command table says."""

from __future__ import annotations

import shutil
import subprocess
import tomllib

import pytest
from man_page import FOLDER, files


def test_the_files_are_those_of_the_command_table() -> None:
    """The man page and the completion files are as `python tests/harness/man_page.py` writes them,
    and all of them are in the wheel.
    """
    made = files()
    assert {name: (FOLDER / name).read_text(encoding="utf-8") for name in made} == made
    project = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text())
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert {f"docs/man/{name}" for name in made} == set(shared)


@pytest.mark.skipif(shutil.which("man") is None, reason="no man here")
def test_man_reads_the_page() -> None:
    """The pager shows every command, and complains of nothing."""
    asked = ["man", "--warnings", "-l", str(FOLDER / "posctl.1")]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "posctl journal backup" in done.stdout
