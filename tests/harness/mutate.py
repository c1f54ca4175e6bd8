"""Small faults, one at a time, put into the rooms that decide about money; do fast tests see them?

    python tests/harness/mutate.py                        # every file of TARGETS, a seeded sample
    python tests/harness/mutate.py --only money/admit.py --all
    python tests/harness/mutate.py --show money/admit.py:17   # one mutant, as a diff

A mutant is one place of one file changed: a comparison turned, `and` for `or`, a condition negated,
a number off by one, a constant of an enumeration exchanged, a `return` or a statement left out.
Only the tests of FAST run, and each mutant lives in a process of its own:

- The quick way: one process collects the tests and runs them once, to see which test calls which
  function. Forked from it, a mutant's process puts the changed code into the function and runs the
  tests that call it, the quickest first.
- The thorough way, for what is no function's (a table, a class), and for a survivor whose function
  was called when the tests were collected: forked from a process that has nothing of posctl, it
  imports everything anew, the changed file among it.

The list of those that survive, and why each one may, is in docs/testing.md.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import gc
import importlib.abc
import importlib.machinery
import io
import os
import pickle
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]
POSCTL = str(ROOT / "posctl") + "/"
SEED = 16
EACH = 15  # mutants of a file, unless --all
LIMIT_S = 30  # of one mutant's tests: a loop without an end is a fault that was seen

FAST = (
    *("tests/money", "tests/gateway/test_judge.py", "tests/gateway/test_top.py"),
    *("tests/paying/test_answer.py", "tests/paying/test_many.py", "tests/paying/test_road.py"),
    *("--deselect", "tests/money/test_refusal.py::test_the_figures_are_of_this_state_of_the_code"),
)
TARGETS = {
    "money": ("admit", "codes", "order", "outcome", "record", "refusal", "result"),
    "paying": ("answer", "by_hand", "desk", "many", "pay", "retries", "row", "status"),
    "gateway": ("judge", "top"),
}


class Function(NamedTuple):
    """A function or method of a file: its qualified name, and its first line."""

    file: str
    name: str
    line: int


class Mutant(NamedTuple):
    """Number `n` of its file: the source with one place changed, in a function's body or not."""

    file: str
    n: int
    line: int
    what: str
    source: str
    function: Function | None

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
    functions = _functions(file, tree)
    found: list[Mutant] = []
    for node in ast.walk(tree):
        if id(node) in skipped or _is_about_types(node) or not hasattr(node, "lineno"):
            continue
        for what, new in _changes(node):
            changed = _with(source, node, new)
            if changed is not None:
                inside = functions.get(id(node))
                found.append(Mutant(file, 0, node.lineno, what, changed, inside))
    found.sort(key=lambda one: (one.line, one.what))
    return [one._replace(n=n) for n, one in enumerate(found)]


def _functions(file: str, tree: ast.Module) -> dict[int, Function]:
    """Which function each node of a function's body is in: the outermost, or a class's method."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    within = [(node, "") for node in tree.body]
    within += [(node, f"{one.name}.") for one in classes for node in one.body]
    return {
        id(inner): Function(file, before + node.name, _first_line(node))
        for node, before in within
        if isinstance(node, ast.FunctionDef)
        for statement in node.body
        for inner in ast.walk(statement)
    }


def _first_line(node: ast.FunctionDef) -> int:
    return min([node.lineno, *(one.lineno for one in node.decorator_list)])


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


# ── a process ────────────────────────────────────────────────────────────────────────────────


def forked(life: Callable[[], object]) -> Any:
    """What `life` returns in a process of its own; None where that did not come to its end."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(read)
            told = pickle.dumps(life())
            with os.fdopen(write, "wb") as pipe:
                pipe.write(told)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return pickle.loads(told) if told else None


class NoProcess:
    """The plugin that leaves out what runs posctl as a process, on a machine of its own."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [one for one in items if "shop" not in getattr(one, "fixturenames", ())]


def _pytest(*more: object) -> tuple[int, str]:
    """The fast tests to their end or the first that fails, with plugins; and what was printed."""
    import pytest  # noqa: PLC0415  loaded in the parent

    os.chdir(ROOT)
    options = ["-x", "-q", "-n0", "--no-header", "--tb=short", f"--hypothesis-seed={SEED}"]
    options += ["-p", "no:cacheprovider", "-o", "tmp_path_retention_policy=failed", *FAST]
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        code = pytest.main(options, plugins=[NoProcess(), *more])
    return int(code), quiet.getvalue()


# ── the quick way ────────────────────────────────────────────────────────────────────────────


class Collected:
    """The plugin that runs the tests once, and then those that call a mutant's function."""

    def __init__(self, mutants: list[Mutant], jobs: int) -> None:
        self._mutants, self._jobs = mutants, jobs
        self._called: set[Function] = set()
        self._calls: dict[Function, list[tuple[float, int]]] = {}  # seconds, and the test's place
        self._functions: dict[Function, list[FunctionType]] = {}
        self.at_import: set[Function] = set()
        self.lived: list[bool] = []
        self.took_s = 0.0

    def _see(self, frame: FrameType, _event: str, _arg: object) -> None:
        function = _function_of(frame.f_code)
        if function is not None:
            self._called.add(function)

    def pytest_collection(self) -> None:
        sys.settrace(self._see)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.at_import = set(self._called)
        started = time.process_time()
        for n, item in enumerate(session.items):
            since = time.process_time()
            self._called.clear()
            sys.settrace(self._see)
            self._run(session, [item])
            sys.settrace(None)
            for function in self._called:
                self._calls.setdefault(function, []).append((time.process_time() - since, n))
        self.took_s = time.process_time() - started
        for one in gc.get_objects():
            place = _function_of(one.__code__) if isinstance(one, FunctionType) else None
            if place is not None:
                self._functions.setdefault(place, []).append(one)
        gc.freeze()  # a child that collects garbage would copy all that it shares with its parent
        if not session.testsfailed:
            with ThreadPoolExecutor(self._jobs) as pool:
                self.lived = list(pool.map(lambda one: self._survives(session, one), self._mutants))
        return True

    def _survives(self, session: pytest.Session, mutant: Mutant) -> bool:
        assert mutant.function is not None
        calls = sorted(self._calls.get(mutant.function, ()))
        lived = forked(lambda: self._passes(session, mutant, [n for _s, n in calls])) is True
        if lived:
            _say(f"survived: {mutant.name} line {mutant.line}: {mutant.what}")
        return lived

    def _passes(self, session: pytest.Session, mutant: Mutant, tests: list[int]) -> bool:
        assert mutant.function is not None
        signal.alarm(LIMIT_S)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        new = _code_of(mutant)
        for one in self._functions[mutant.function]:
            one.__code__ = new
        with tempfile.TemporaryDirectory() as folder:
            session.config._tmp_path_factory._basetemp = Path(folder)  # type: ignore[attr-defined]  # pytest's own
            self._run(session, [session.items[n] for n in tests])
        return not session.testsfailed

    @staticmethod
    def _run(session: pytest.Session, items: list[pytest.Item]) -> None:
        for item, after in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if session.testsfailed:
                return


def _function_of(code: CodeType) -> Function | None:
    if not code.co_filename.startswith(POSCTL):
        return None
    return Function(code.co_filename[len(POSCTL) :], code.co_qualname, code.co_firstlineno)


def _code_of(mutant: Mutant) -> CodeType:
    """The changed code of the function that it is in."""
    codes = [compile(mutant.source, POSCTL + mutant.file, "exec")]
    for code in codes:
        codes += [one for one in code.co_consts if isinstance(one, CodeType)]
    return next(code for code in codes if _function_of(code) == mutant.function)


# ── the thorough way ─────────────────────────────────────────────────────────────────────────


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


def _survives_anew(mutant: Mutant) -> bool:
    def life() -> bool:
        signal.alarm(LIMIT_S)
        module = "posctl." + mutant.file.removesuffix(".py").replace("/", ".")
        loader = _Instead(POSCTL + mutant.file, mutant.source)
        sys.meta_path.insert(0, _Finder(module, loader))
        return _pytest()[0] == 0

    lived = forked(life) is True
    if lived:
        _say(f"survived, read anew: {mutant.name} line {mutant.line}: {mutant.what}")
    return lived


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


def survivors(mutants: list[Mutant], jobs: int) -> set[Mutant]:
    """Those with which the fast tests pass."""
    inside = [one for one in mutants if one.function is not None]

    def quickly() -> tuple[float, list[bool], set[Function]] | str:
        plugin = Collected(inside, jobs)
        code, printed = _pytest(plugin)
        return printed[-3000:] if code else (plugin.took_s, plugin.lived, plugin.at_import)

    found = forked(quickly)
    if not isinstance(found, tuple):
        sys.exit(f"the fast tests fail without any mutant\n{found}")
    took_s, lived, at_import = found
    _say(f"the fast tests take {took_s:.1f} s of the processor, watched")
    passed = {one for one, alive in zip(inside, lived, strict=True) if alive}
    anew = [one for one in mutants if one.function is None]
    anew += [one for one in mutants if one in passed and one.function in at_import]
    _say(f"{len(mutants)} mutants, {len(anew)} of them the thorough way")
    with ThreadPoolExecutor(jobs) as pool:
        again = dict(zip(anew, pool.map(_survives_anew, anew), strict=True))
    return {one for one in mutants if again.get(one, one in passed)}


def _say(text: str) -> None:
    """At once, also while pytest's own words are not shown: a run takes minutes."""
    assert sys.__stdout__ is not None
    sys.__stdout__.write(text + "\n")
    sys.__stdout__.flush()


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

    if Path("/dev/shm").is_dir():  # journals that nobody keeps; a disk would be waited for
        os.environ["TMPDIR"] = "/dev/shm"
    mutants = chosen(files, every=given.all)
    alive = survivors(mutants, given.jobs)
    killed: dict[str, list[bool]] = {}
    for mutant in mutants:
        killed.setdefault(mutant.file, []).append(mutant not in alive)
        if mutant in alive:
            _say(f"survived: {mutant.name} line {mutant.line}: {mutant.what}")
    for file, ends in killed.items():
        _say(f"{file:24} {sum(ends):4} of {len(ends)}")
    ends = [end for many in killed.values() for end in many]
    _say(f"{'all':24} {sum(ends):4} of {len(ends)}: {100 * sum(ends) / max(1, len(ends)):.1f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
