"""The development environment can be had with hashes, and is the one that pyproject asks for."""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / ".ci" / "requirements.txt").read_text()


def test_every_dependency_is_locked_as_it_is_asked_for() -> None:
    """Each requirement of the package and of its extras is in the lock, in a version it allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    locked = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", LOCK, re.MULTILINE))
    for requirement in map(Requirement, asked):
        name = canonicalize_name(requirement.name)
        if name != "posctl":
            assert requirement.specifier.contains(locked[name], prereleases=True), requirement


def test_every_package_has_hashes_and_none_a_place() -> None:
    """Nothing is installed unseen, and wherever a mirror is, it is not written down."""
    packages = [
        block for block in re.split(r"\n(?=[a-z])", LOCK) if not block.lstrip().startswith("#")
    ]
    assert len(packages) > 20
    for block in packages:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block
    assert not re.search(r"https?://|file:|--(?:extra-)?index-url|--find-links", LOCK)
