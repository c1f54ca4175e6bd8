"""Count the instructions of `pay --json`, now and at earlier commits: no busy hour moves them.

    python benchmarks/instructions.py [COMMIT…]

Needs valgrind. The figure of the bare script stands beside each. It has no disk and no network in
it: how long a payment takes is `run.py`'s to say; this tells what a change costs.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from run import HERE, Bench

# A commit's own posctl, whatever is installed here.
START = """
import sys
sys.path.insert(0, {tree!r})
from posctl.__main__ import main
sys.exit(main())
"""
COUNT = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")


def instructions(command: list[str], another: list[str]) -> float:
    """Millions of instructions of `command`, once `another` like it has left its bytecode."""
    subprocess.run(another, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    counted = [*COUNT, *command]
    done = subprocess.run(
        counted, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    assert found, done.stderr
    return int(found[1].replace(",", "")) / 1e6


def tree_of(commit: str, folder: Path) -> Path:
    """The posctl of `commit` in a folder of its own."""
    tree = folder / commit
    tree.mkdir()
    packed = subprocess.run(
        ["git", "archive", commit, "posctl"], cwd=HERE.parent, capture_output=True, check=True
    )
    subprocess.run(["tar", "x", "-C", str(tree)], input=packed.stdout, check=True)
    return tree


def main(commits: list[str]) -> None:
    with tempfile.TemporaryDirectory() as named:
        bench = Bench(Path(named), 1, 0)
        with bench.stub() as port:
            config = str(bench.config(port, bench.folder / "bare.db"))

            def bare() -> list[str]:
                return [sys.executable, str(HERE / "bare.py"), config, bench.unique()]

            yardstick = instructions(bare(), bare())
            print(f"bare script {yardstick:.0f} million")
            for commit in commits:
                tree = tree_of(commit, bench.folder)
                start = tree / "start.py"
                start.write_text(START.format(tree=str(tree)))
                own = bench.config(port, bench.folder / f"{commit}.db")
                for beside in bench.folder.glob(f"{commit}.db*"):
                    beside.unlink()  # that commit begins its own
                posctl = [sys.executable, str(start), "--config", str(own)]
                begin = [*posctl, "journal", "create"]
                subprocess.run(begin, capture_output=True, check=False)  # 0.1 has no such command

                def pay(posctl: list[str] = posctl) -> list[str]:
                    asked = ("--fee", "100", "--checkout", bench.unique(), "--json")
                    return [*posctl, "pay", *asked]

                found = instructions(pay(), pay())
                print(f"{commit} {found:.0f} million, {found / yardstick:.3f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or ["HEAD"])
