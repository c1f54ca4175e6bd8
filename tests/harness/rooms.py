"""How posctl is laid out, counted: files, rooms, arrows, private names, the road of a fee.

    python tests/harness/rooms.py [ROOT]     of this checkout, or of another
    python tests/harness/rooms.py --check    1 when an arrow goes up or a private name crosses files

A room is a folder of `posctl`, and each file at the top for itself. An arrow is an import, wherever
it stands.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FEE = "12347"

# Runs one payment of FEE and counts what it passes: calls with the fee among their arguments.
_FOLLOW = """
import json, os, sys
passed, rooms, calls, changes, last = set(), set(), 0, [0, 0], [None, None]
root, fee = sys.argv[1], sys.argv[2]
def has(value, deep=0):
    if deep > 4:
        return False
    if isinstance(value, int):
        return value == int(fee)
    if isinstance(value, (str, bytes)):
        return (fee if isinstance(value, str) else fee.encode()) in value
    if isinstance(value, tuple):
        return any(has(one, deep + 1) for one in value)
    if isinstance(value, dict):
        return any(has(one, deep + 1) for one in value.values())
    return has(vars(value).get("members"), deep + 1) if hasattr(value, "__dict__") else False
def follow(frame, event, _argument):
    global calls, changes
    code = frame.f_code
    if event != "call" or not code.co_filename.startswith(root):
        return
    count = code.co_argcount + code.co_kwonlyargcount
    if any(has(frame.f_locals.get(name)) for name in code.co_varnames[:count]):
        calls += 1
        room = code.co_filename[len(root) + 1 :].partition("/")[0]
        for at, place in enumerate((code.co_filename, room)):
            changes[at] += last[at] != place
            last[at] = place
        rooms.add(room)
        passed.add((code.co_filename, code.co_qualname))
try:
    from posctl.cli.app import run
except ImportError:
    from posctl.cli import run
sys.setprofile(follow)
code = run(["--profile", "training", "pay", "--shop", "1", "--fee", fee, "--checkout", "111",
            "--operator", "1", "--machine", "1", "--buyer", "1", "--source", "s", "--merchant", "m",
            "--json"], os.environ, sys.stdin, open(os.devnull, "w"), sys.stderr)
sys.setprofile(None)
files = {file for file, _ in passed}
print(json.dumps([code, len(rooms), len(files), len(passed), calls, *changes]))
"""


def room_of(module: str) -> str:
    """`posctl.money.record` → `money`; a file at the top is a room of its own."""
    return module.split(".")[1] if "." in module else ""


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Every module of posctl, by its dotted name."""
    for path in sorted((root / "posctl").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        yield ".".join(parts).removesuffix(".__init__"), path


def imports(root: Path) -> Iterator[tuple[str, str, str]]:
    """Each import of posctl's own: (who, from where, what)."""
    known = {name for name, _ in modules(root)}
    for name, path in modules(root):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("posctl"):
                source = str(node.module)
                for alias in node.names:
                    whole = f"{source}.{alias.name}"
                    yield name, (whole if whole in known else source), alias.name


def fee_road(root: Path) -> list[int]:
    """Rooms, files, functions, calls with the fee in an argument, changes of file, and of room."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-c", _FOLLOW, str(root / "posctl"), FEE],
            cwd=home,
            env={"HOME": home, "PATH": os.environ["PATH"], "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=True,
        )
    code, *counted = json.loads(done.stdout)
    assert code == 0, done.stderr
    return [int(one) for one in counted]


def lowest_first() -> list[str]:
    """The rooms as the import contract has them, those that nobody is beneath first."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    (rooms,) = (
        c
        for c in project["tool"]["importlinter"]["contracts"]
        if c.get("exhaustive") and c["containers"] == ["posctl"]
    )
    return [room for layer in reversed(rooms["layers"]) for room in layer.split(" | ")]


def counted(root: Path) -> dict[str, Any]:
    """The figures of one checkout."""
    order = lowest_first()
    top = [path for _, path in modules(root) if path.parent == root / "posctl"]
    longest = max((len(path.read_text().splitlines()), path) for _, path in modules(root))
    arrows = {(room_of(who), room_of(where)) for who, where, _ in imports(root)}
    arrows = {(one, other) for one, other in arrows if one != other and one and other}
    up = {
        (one, other)
        for one, other in arrows
        if one in order and other in order and order.index(other) > order.index(one)
    }
    private = {
        (where, what)
        for who, where, what in imports(root)
        if what.startswith("_") and not what.startswith("__") and what != "_" and who != where
    }
    return {
        "files at the top": len(top),
        "rooms": len({path.parent for _, path in modules(root)} - {root / "posctl"}),
        "arrows between rooms": len(arrows),
        "arrows upwards": len(up),
        "private names imported across files": len(private),
        "largest file, in lines": f"{longest[0]} ({longest[1].relative_to(root)})",
    }


def road(root: Path) -> dict[str, Any]:
    """How far a fee travels, followed through one payment."""
    rooms, files, functions, calls, of_file, of_room = fee_road(root)
    return {
        "rooms that the fee passes": f"{rooms}, it changes room {of_room} times",
        "files that the fee passes": f"{files}, it changes file {of_file} times",
        "functions that the fee passes": f"{functions}, in {calls} calls",
    }


def main() -> int:
    """Print the table, or check it."""
    root = Path(next((w for w in sys.argv[1:] if w != "--check"), Path(__file__).parents[2]))
    figures = counted(root.resolve())
    checking = "--check" in sys.argv
    for name, value in (figures if checking else figures | road(root.resolve())).items():
        print(f"{name}: {value}")  # noqa: T201  a report
    wrong = figures["arrows upwards"] or figures["private names imported across files"]
    return 1 if checking and wrong else 0


if __name__ == "__main__":
    sys.exit(main())
