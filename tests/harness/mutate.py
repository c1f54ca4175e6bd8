"""Small faults, one at a time, put into the rooms that decide about money; do fast tests see them?

    python tests/harness/mutate.py                        # every file of TARGETS, a seeded sample
    python tests/harness/mutate.py --only money/admit.py --all
    python tests/harness/mutate.py --show money/admit.py:17   # one mutant, as a diff

A mutant is one place of one file changed: a comparison turned, `and` for `or`, a condition negated,
a number off by one, a constant of an enumeration exchanged, a `return` or a statement left out.
Each lives in a process of its own, forked from one that has pytest loaded and nothing of posctl,
where the file is compiled with the change; only the tests of FAST run there. The
list of those that survive, and why each one may, is in docs/testing.md.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import importlib.abc
import importlib.machinery
import io
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SEED = 16
EACH = 15  # mutants of a file, unless --all
LIMIT_S = 300  # of one mutant's tests: a loop without an end is a fault that was seen

FAST = (
    *("tests/paying/test_road.py", "tests/money", "tests/gateway/test_top.py"),
    *("--ignore", "tests/money/test_newer_try.py"),  # processes and a terminal
    *("--deselect", "tests/money/test_refusal.py::test_the_figures_are_of_this_state_of_the_code"),
)
TARGETS = {
    "money": ("admit", "codes", "order", "outcome", "record", "refusal", "result"),
    "paying": ("answer", "by_hand", "desk", "many", "pay", "retries", "row", "status"),
    "gateway": ("judge", "top"),
}


class Mutant(NamedTuple):
    """Number `n` of its file: the source with one place changed."""

    file: str
    n: int
    line: int
    what: str
    source: str

    @property
    def name(self) -> str:
        return f"{self.file}:{self.n}"


# ── the changes ──────────────────────────────────────────────────────────────────────────────

_TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OTHERS = {  # what a member of an enumeration is exchanged for
    "Event": ("PAID", "CUT"),
    "Outcome": ("SUCCESS", "UNKNOWN"),
    "State": ("SUCCESS", "UNKNOWN"),
    "Doubt": ("PENDING", "UNKNOWN"),
    "Block": ("PAID", "OPEN"),
}


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What can be put in a node's place, each with its name."""
    yield from _of_conditions(node)
    yield from _of_values(node)
    yield from _of_statements(node)


def _of_conditions(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _TURNED:
        op = _TURNED[type(node.ops[0])]()
        turned = ast.Compare(node.left, [op, *node.ops[1:]], node.comparators)
        yield f"{type(node.ops[0]).__name__} becomes {type(op).__name__}", turned
    elif isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "and, or exchanged", ast.BoolOp(other, node.values)
        for n in range(len(node.values)):
            rest = [value for m, value in enumerate(node.values) if m != n]
            kept: ast.expr = rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
            yield f"condition {n + 1} left out", kept
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not left out", node.operand
    elif isinstance(node, ast.IfExp):
        yield "branches exchanged", ast.IfExp(node.test, node.orelse, node.body)


def _of_values(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.Constant) and type(node.value) is int and abs(node.value) < 1000:
        yield "one more", ast.Constant(node.value + 1)
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield "the contrary", ast.Constant(not node.value)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        yield "plus, minus exchanged", ast.BinOp(node.left, op, node.right)
    elif (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in _OTHERS
        and node.attr.isupper()
    ):
        other = next(one for one in _OTHERS[node.value.id] if one != node.attr)
        new = ast.Attribute(node.value, other, ast.Load())
        yield f"{node.attr} becomes {other}", new


def _of_statements(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.If):
        yield "condition negated", ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
        yield "branch left out", node.orelse[0] if len(node.orelse) == 1 else ast.Pass()
    elif isinstance(node, ast.Return) and node.value is not None:
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield "nothing is returned", ast.Return(ast.Constant(None))
    elif isinstance(node, ast.Raise) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ):
        yield "statement left out", ast.Pass()


def _is_about_types(node: ast.AST) -> bool:
    """Annotations and docstrings decide nothing."""
    return isinstance(node, ast.arg | ast.alias)


def mutants_of(file: str) -> list[Mutant]:
    """Every mutant of a file of posctl, in the order of its lines."""
    source = (ROOT / "posctl" / file).read_text(encoding="utf-8")
    tree = ast.parse(source)
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        for part in (
            *(getattr(node, "decorator_list", ()) or ()),
            getattr(node, "annotation", None),
            getattr(node, "returns", None),
        )
        if part is not None
        for inner in ast.walk(part)
    }
    found: list[Mutant] = []
    for node in ast.walk(tree):
        if id(node) in skipped or _is_about_types(node) or not hasattr(node, "lineno"):
            continue
        for what, new in _changes(node):
            changed = _with(source, node, new)
            if changed is not None:
                found.append(Mutant(file, 0, node.lineno, what, changed))
    found.sort(key=lambda one: (one.line, one.what))
    return [one._replace(n=n) for n, one in enumerate(found)]


def _with(source: str, old: ast.AST, new: ast.AST) -> str | None:
    """The source with `new` in the place of `old`; None where that is no Python."""
    lines = source.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    first = starts[old.lineno - 1] + old.col_offset  # type: ignore[attr-defined]  # asked for above
    last = starts[old.end_lineno - 1] + old.end_col_offset  # type: ignore[attr-defined]  # likewise
    ast.fix_missing_locations(new)
    text = ast.unparse(new)
    if isinstance(old, ast.stmt):
        text = text.replace("\n", "\n" + " " * old.col_offset)
    else:
        text = f"({text})"
    raw = source.encode()
    if raw[first : first + 4] == b"elif" and not text.startswith("if "):
        text = f"elif False: {text}"
    elif raw[first : first + 4] == b"elif":
        text = "el" + text
    changed = (raw[:first] + text.encode() + raw[last:]).decode()
    try:
        ast.parse(changed)
    except SyntaxError:
        return None
    return changed


# ── one mutant's life ────────────────────────────────────────────────────────────────────────


class _Instead(importlib.abc.SourceLoader):
    """Gives the changed source of one module."""

    def __init__(self, path: str, source: str) -> None:
        self._path, self._source = path, source

    def get_filename(self, fullname: str) -> str:
        return self._path

    def get_data(self, path: str | bytes) -> bytes:
        return self._source.encode()


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, module: str, loader: _Instead) -> None:
        self._module, self._loader = module, loader

    def find_spec(
        self, fullname: str, _path: object = None, _target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._module:
            return None
        return importlib.machinery.ModuleSpec(fullname, self._loader, origin="mutant")


def survives(mutant: Mutant | None) -> bool:
    """Whether the fast tests pass with it (without any, for None)."""
    child = os.fork()
    if child == 0:
        signal.alarm(LIMIT_S)
        try:
            _run(mutant)
        finally:
            os._exit(1)
    _pid, status = os.waitpid(child, 0)
    return status == 0


def _run(mutant: Mutant | None) -> None:
    """In a child of its own: never returns."""
    import pytest  # noqa: PLC0415  loaded in the parent

    if mutant is not None:
        module = "posctl." + mutant.file.removesuffix(".py").replace("/", ".")
        loader = _Instead(str(ROOT / "posctl" / mutant.file), mutant.source)
        sys.meta_path.insert(0, _Finder(module, loader))
    os.chdir(ROOT)
    quiet = io.StringIO()
    code = 1
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        code = int(
            pytest.main(
                ["-x", "-q", "-n0", "-p", "no:cacheprovider", "--no-header", "--tb=short", *FAST]
            )
        )
    if mutant is None and code:
        os.write(1, quiet.getvalue()[-3000:].encode())
    os._exit(min(code, 100))


# ── all of them ──────────────────────────────────────────────────────────────────────────────


def chosen(files: list[str], *, every: bool) -> list[Mutant]:
    """The mutants to try: all, or EACH of a file, by SEED."""
    found = []
    for file in files:
        mutants = mutants_of(file)
        if not every and len(mutants) > EACH:
            mutants = random.Random(f"{SEED} {file}").sample(mutants, EACH)
        found += sorted(mutants, key=lambda one: one.n)
    return found


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", help="money/admit.py, or a room")
    parser.add_argument("--all", action="store_true", help="every mutant, not a sample")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--show", help="money/admit.py:17, as a diff")
    given = parser.parse_args()
    if given.show:
        file, _colon, n = given.show.rpartition(":")
        one = mutants_of(file)[int(n)]
        before = (ROOT / "posctl" / file).read_text(encoding="utf-8").splitlines()
        diff = difflib.unified_diff(before, one.source.splitlines(), file, one.what, lineterm="")
        _say("\n".join(diff))
        return 0
    files = [f"{room}/{name}.py" for room, names in TARGETS.items() for name in names]
    if given.only:
        files = [file for file in files if any(file.startswith(one) for one in given.only)]
    import pytest  # noqa: F401, PLC0415  loaded once, for all the children

    since = time.monotonic()
    if not survives(None):
        _say("the fast tests fail without any mutant")
        return 1
    _say(f"the fast tests take {time.monotonic() - since:.1f} s")
    mutants = chosen(files, every=given.all)
    with ThreadPoolExecutor(given.jobs) as pool:
        lived = list(pool.map(survives, mutants))
    killed: dict[str, list[bool]] = {}
    for mutant, alive in zip(mutants, lived, strict=True):
        killed.setdefault(mutant.file, []).append(not alive)
        if alive:
            _say(f"survived: {mutant.name} line {mutant.line}: {mutant.what}")
    for file, ends in killed.items():
        _say(f"{file:24} {sum(ends):4} of {len(ends)}")
    ends = [end for many in killed.values() for end in many]
    _say(f"{'all':24} {sum(ends):4} of {len(ends)}: {100 * sum(ends) / max(1, len(ends)):.1f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
