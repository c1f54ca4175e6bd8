"""Many payments over PostgreSQL, near and far, and over a file: two releases, in turn.

    python benchmarks/beside.py rates [PYTHON]
    python benchmarks/beside.py tills COUNT SECONDS [PYTHON CHECKOUT]
    python benchmarks/beside.py memory

PYTHON is that of another release, installed with its postgres extra, CHECKOUT where that one lies.
The figures in docs/many-tills.md come from here. Needs the test extra.
"""

from __future__ import annotations

import json
import queue
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import NamedTuple

sys.path.append(str(Path(__file__).parents[1] / "tests/harness"))

import many_tills
import pgserver
from run import peak_mb, stub

HERE = Path(__file__).parent
# As a server at work: a commit is on the disk when it is acknowledged.
pgserver._OPTIONS = ("listen_addresses=127.0.0.1", "max_connections=300", "jit=off")  # type: ignore[assignment]  # of another length
ROUNDS = 3
NEAR, FAR = 0.0, 0.0005  # seconds each way


class Setting(NamedTuple):
    """One posctl and where its journal lies; `away_s` is the way to the database, in seconds."""

    name: str
    python: str
    store: str
    away_s: float
    payments: int


class Far(pgserver.Between):
    """A way to a database that takes `delay_s` in each direction, to a tenth of a millisecond: an
    event loop's timers are too coarse. What follows is not held up by what is on its way.
    """

    def __init__(self, port: int, delay_s: float) -> None:
        super().__init__(port)
        self._delay_s = delay_s

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        self._carry(client, server)

    def _tell(self, client: socket.socket, server: socket.socket) -> None:
        self._carry(server, client)

    def _carry(self, source: socket.socket, to: socket.socket) -> None:
        to.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        on_its_way: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

        def arrive() -> None:
            with suppress(OSError):
                while (one := on_its_way.get())[1]:
                    time.sleep(max(0.0, one[0] - time.perf_counter()))
                    to.sendall(one[1])
            self._pass_end(to)

        threading.Thread(target=arrive, daemon=True).start()
        with suppress(OSError):
            while data := source.recv(65536):
                on_its_way.put((time.perf_counter() + self._delay_s, data))
        on_its_way.put((0.0, b""))


@contextmanager
def shop(
    setting: Setting, server: pgserver.Database, latency_ms: float
) -> Iterator[tuple[Path, dict[str, str], subprocess.Popen[bytes]]]:
    """A home, its environment, and the process of its gateway, which answers nothing until it is
    told to pay.
    """
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        url = server.url() if setting.store == "PostgreSQL" else f"{home}/journal.db"
        with (
            Far(server.port, setting.away_s) as far,
            stub(folder / "port", "cuts", latency_ms) as (port, process),
        ):
            if setting.away_s:
                url = url.replace(f":{server.port}/", f":{far.port}/")
            gateway = f"http://127.0.0.1:{port}/router/rest"
            yield folder, many_tills.machine(folder, url, gateway, setting.python), process


def lines(path: Path, count: int) -> str:
    """A file for `batch` of so many payments."""
    rows = (json.dumps({"pay_fee": 100, "checkout_id": f"{path.stem}-{n}"}) for n in range(count))
    path.write_text("\n".join(rows) + "\n")
    return str(path)


def run(setting: Setting, env: dict[str, str], *words: str, code: int = 0) -> float:
    """Payments a second of one command."""
    began_s = time.perf_counter()
    done = subprocess.run(
        [setting.python, "-m", "posctl", *words, "--json"],
        env=env,
        cwd=env["HOME"],
        capture_output=True,
        check=False,
    )
    if done.returncode != code:
        raise SystemExit(f"{setting}: {words} left with {done.returncode}: {done.stderr.decode()}")
    return setting.payments / (time.perf_counter() - began_s)


def once(setting: Setting, server: pgserver.Database) -> tuple[float, float]:
    """`batch`, then `retry --all` of as many that got no answer: payments a second."""
    with shop(setting, server, 0) as (folder, env, process):
        paid, cut = (lines(folder / f"{name}.jsonl", setting.payments) for name in ("paid", "cut"))
        run(setting, env, "batch", cut, code=21)
        process.send_signal(signal.SIGUSR1)
        resent = run(setting, env, "retry", "--all")
        return run(setting, env, "batch", paid), resent


def rates(other: str | None) -> None:
    """Each setting in turn, several times; then the middle of each."""
    settings = [
        Setting("now", sys.executable, "SQLite", NEAR, 2000),
        Setting("now", sys.executable, "PostgreSQL", NEAR, 2000),
        Setting("now", sys.executable, "PostgreSQL", FAR, 600),
    ]
    if other:
        settings += [one._replace(name="before", python=other) for one in settings]
    found: dict[Setting, list[tuple[float, float]]] = {one: [] for one in settings}
    with pgserver.Database() as server:
        for _round in range(ROUNDS):
            for one in settings:
                found[one].append(once(one, server))
                print(one.name, one.store, one.away_s, found[one][-1], flush=True)
    for one, figures in found.items():
        batch, retry = (statistics.median(column) for column in zip(*figures, strict=True))
        where = f"{one.store}, {2000 * one.away_s:.0f} ms away"
        print(f"{one.name}: {where}: batch {batch:.0f}/s, retry --all {retry:.0f}/s")


# ── memory ───────────────────────────────────────────────────────────────────────────────────


def memory() -> None:
    """What `batch` takes at most when no answer comes, `retry --all` of its payments, and the same
    batch once more, at a gateway of 50 ms.
    """
    with pgserver.Database() as server:
        for store, payments in product(("PostgreSQL", "SQLite"), (2000, 20_000)):
            one = Setting("now", sys.executable, store, NEAR, payments)
            with shop(one, server, 50) as (folder, env, process):
                batch = ("batch", lines(folder / "lines.jsonl", payments))
                for words in (batch, ("retry", "--all"), batch):
                    peak = peak_mb([one.python, "-m", "posctl", *words, "--json"], env)
                    process.send_signal(signal.SIGUSR1)
                    print(f"{store}, {payments}: {words[0]}: {peak:.0f} MB", flush=True)


# ── tills ────────────────────────────────────────────────────────────────────────────────────

# Runs in the python of its release, which brings the payment that its own benchmark makes.
_TILLS = """
import json, sys, threading, time
checkout, url, tills, seconds, process, processes = sys.argv[1:]
tills, seconds, process, processes = map(int, (tills, seconds, process, processes))
sys.path[:0] = [checkout, checkout + "/benchmarks"]
import many_tills
spent = []
open_all = threading.Barrier(tills // processes + 1)

def till(n):
    journal = many_tills.PostgresJournal(url, 30)
    open_all.wait()
    open_all.wait()
    for paid in range(seconds):
        time.sleep(max(0, begun_s + paid + n / tills - time.monotonic()))
        began_s = time.perf_counter()
        many_tills.pay(journal, f"t{n}-{time.monotonic_ns()}", n)
        spent.append(time.perf_counter() - began_s)

threads = [threading.Thread(target=till, args=(n,)) for n in range(process, tills, processes)]
for thread in threads:
    thread.start()
open_all.wait()
print("ready", flush=True)
sys.stdin.readline()
begun_s = time.monotonic()
open_all.wait()
for thread in threads:
    thread.join()
print(json.dumps(spent))
"""
PROCESSES = 2  # one for each core


def tills(count: int, seconds: int, others: list[str]) -> None:
    """So many tills, a payment a second each; the journal's part of a payment, in ms."""
    releases = [("now", sys.executable, str(HERE.parent))]
    if others:
        releases.append(("before", *others))
    with pgserver.Database() as server:
        for _round in range(ROUNDS):
            for name, python, checkout in releases:
                words = [python, "-c", _TILLS, checkout, server.url(), str(count), str(seconds)]
                runs = [
                    subprocess.Popen(
                        [*words, str(n), str(PROCESSES)],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        text=True,
                    )
                    for n in range(PROCESSES)
                ]
                for one in runs:
                    assert one.stdout is not None
                    one.stdout.readline()
                outs = [one.communicate()[0] for one in _at_once(runs)]
                found = sorted(1000 * s for out in outs for s in json.loads(out))
                cuts = statistics.quantiles(found, n=100)
                print(
                    f"{name}: {count} tills, {len(found)} payments: p50 {cuts[49]:.1f} ms, "
                    f"p95 {cuts[94]:.1f}, p99 {cuts[98]:.1f}, max {found[-1]:.0f}",
                    flush=True,
                )


def _at_once(runs: list[subprocess.Popen[str]]) -> list[subprocess.Popen[str]]:
    """The same, all of them let go: the first to be read would else be alone."""
    for one in runs:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    return runs


def main() -> None:
    match sys.argv[1:]:
        case ["rates", *other] if len(other) < 2:
            rates(*other or [None])
        case ["tills", count, seconds, *other] if len(other) in (0, 2):
            tills(int(count), int(seconds), other)
        case ["memory"]:
            memory()
        case _:
            print(__doc__)


if __name__ == "__main__":
    main()
