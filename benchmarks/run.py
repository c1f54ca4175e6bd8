"""Measure posctl against its yardsticks, pair by pair in one run; write the table of the docs.

    python benchmarks/run.py [--pairs N] [--only NAME…] [--rows N] [--write]

Machines are noisy: every figure is a median of ratios, each from two runs right after each other.
`--write` puts the table into docs/performance.md between its markers.
"""

from __future__ import annotations

import argparse
import os
import platform
import pty
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from posctl.journal import Transaction
from posctl.journal.sqlite import SqliteJournal
from posctl.money.outcome import Event, advance
from posctl.money.record import Checkout, NewPayment, Payment, TryEnd, Verdict, Who

HERE = Path(__file__).parent
DOC = HERE.parent / "docs" / "performance.md"
POSCTL = shutil.which("posctl", path=str(Path(sys.executable).parent)) or "posctl"
# An installed posctl has its bytecode beside it, and so has what is measured here.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


class Row(NamedTuple):
    """One line of the table."""

    what: str
    figure: str
    target: str


class Bench:
    """A folder with a stub gateway and a configuration that points at it."""

    def __init__(self, folder: Path, pairs: int, rows: int) -> None:
        self.folder = folder
        self.pairs = pairs
        self.rows = rows
        self._number = 0

    def unique(self) -> str:
        self._number += 1
        return f"c{self._number}"

    def config(self, port: int, journal: Path) -> Path:
        path = self.folder / f"{journal.stem}-{port}.yaml"
        path.write_text(
            f"default_profile: bench\njournal: {journal}\nprofiles:\n  bench:\n"
            f"    gateway: http://127.0.0.1:{port}/router/rest\n"
            '    app_key: "12345678"\n    secret: helloworld\n'
            '    defaults: {shop_id: "1", operator_id: "123", machine_id: "001", buyer_id: 1, '
            "source: hema, merchant_code: HM}\n"
        )
        path.chmod(0o600)
        SqliteJournal(journal).close()  # as posctl journal create: real money begins none
        return path

    @contextmanager
    def stub(self, latency_ms: float = 0, kind: str = "pays") -> Iterator[int]:
        """A gateway that says "paid", or of another kind of `stub.py`; its port."""
        with stub(self.folder / f"port-{self.unique()}", kind, latency_ms) as (port, _process):
            yield port


@contextmanager
def stub(
    port_file: Path, kind: str, latency_ms: float
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The gateway of `stub.py`, which writes `port_file`: its port and process."""
    process = subprocess.Popen([sys.executable, HERE / "stub.py", port_file, str(latency_ms), kind])
    try:
        while not port_file.exists():
            time.sleep(0.01)
        yield int(port_file.read_text()), process
    finally:
        process.terminate()
        process.wait()


def seconds(command: list[str]) -> float:
    """How long a whole process takes, its output piped away."""
    begun = time.perf_counter()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    took = time.perf_counter() - begun
    if done.returncode:
        raise SystemExit(f"{command} left with {done.returncode}:\n{done.stderr.decode()}")
    return took


def on_terminal(command: list[str]) -> tuple[int, int]:
    """Start `command` on a pseudo-terminal of 80 columns; its pid, and our end of the terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        termios.tcsetwinsize(0, (24, 80))
        os.execvp(command[0], command)
    return pid, terminal


def seconds_on_terminal(command: list[str]) -> float:
    """The same on a pseudo-terminal, until the last byte is read."""
    begun = time.perf_counter()
    pid, terminal = on_terminal(command)
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:  # EIO: the other end is closed
        pass
    _pid, status = os.waitpid(pid, 0)
    took = time.perf_counter() - begun
    os.close(terminal)
    if status:
        raise SystemExit(f"{command} left with {status}")
    return took


def ratio(
    bench: Bench, ours: Callable[[], float], yardstick: Callable[[], float]
) -> tuple[float, str]:
    """The median of `ours` over `yardstick`, and how it is told."""
    ours(), yardstick()  # the first run of each warms the file system's cache
    pairs = [(ours(), yardstick()) for _ in range(bench.pairs)]
    ratios = [one / other for one, other in pairs]
    middle = statistics.median(ratios)
    ms = 1000 * statistics.median(one for one, _other in pairs)
    return middle, f"{middle:.2f} ({min(ratios):.2f}–{max(ratios):.2f}; {ms:.0f} ms)"


# ── start-up ─────────────────────────────────────────────────────────────────────────────────


def start_up(bench: Bench) -> Iterator[Row]:
    """One payment as a whole process, against the script a user would write."""
    with bench.stub() as port:
        config = str(bench.config(port, bench.folder / "start.db"))
        empty = str(bench.config(port, bench.folder / "empty.db"))
        python = sys.executable

        def pay(*more: str) -> list[str]:
            asked = ("--fee", "100", "--checkout", bench.unique())
            return [POSCTL, "--config", config, "pay", *asked, *more]

        def bare() -> float:
            return seconds([python, str(HERE / "bare.py"), config, bench.unique()])

        def against(what: str, ours: Callable[[], float], target: str) -> Row:
            return Row(f"{what} ÷ bare script", ratio(bench, ours, bare)[1], target)

        bare_ms = 1000 * statistics.median(bare() for _ in range(bench.pairs))
        yield Row("bare script, which tells good hours from bad ones", f"{bare_ms:.0f} ms", "")
        yield against("`pay --json`, piped", lambda: seconds(pay("--json")), "≤ 0.95")
        for sdk in ("taobaopy", "pytaobao"):
            if find_spec(sdk):  # pip install pytaobao
                script = str(HERE / f"sdk_{sdk}.py")
                theirs = partial(_sdk, python, script, config, bench)
                told = ratio(bench, lambda: seconds(pay("--json")), theirs)[1]
                yield Row(f"`pay --json`, piped ÷ script with {sdk}", told, "≤ 1")
        yield against("`pay` on a terminal", lambda: seconds_on_terminal(pay()), "≤ 1.10")
        yield against(
            "`pending --json`, empty journal",
            lambda: seconds([POSCTL, "--config", empty, "pending", "--json"]),
            "≤ 0.55",
        )
        yield against("`--version`", lambda: seconds([POSCTL, "--version"]), "≤ 0.50")
        yield against("`--help`", lambda: seconds([POSCTL, "--help"]), "≤ 0.50")
        tuned = [python, str(HERE / "tuned.py"), config, "x"]
        yield against("bare script with posctl's two tricks", lambda: seconds(tuned), "")
        if curl := shutil.which("curl"):
            signed = ["-s", "-d", "method=alibaba.pos.order.pay&sign=0", "-o", "/dev/null"]
            call = [curl, *signed, f"http://127.0.0.1:{port}/router/rest"]
            yield against("`curl` with a signed body", lambda: seconds(call), "")
        yield against("`python -c pass`", lambda: seconds([python, "-c", "pass"]), "")


def _sdk(python: str, script: str, config: str, bench: Bench) -> float:
    return seconds([python, script, config, bench.unique()])


# ── many at once ─────────────────────────────────────────────────────────────────────────────


def _open_payment(tx: Transaction, checkout_id: str, port: int, now_ms: int) -> Payment:
    gateway = f"http://127.0.0.1:{port}/router/rest"
    request_id = f"bench-{checkout_id}"
    payload = (
        f'{{"operator_id":"123","request_id":"{request_id}","machine_id":"001","buyer_id":1,'
        f'"pay_channel":"alipay_facepay_v2","source":"hema","pay_fee":100,"shop_id":"1",'
        f'"payment_channel":1006,"payer_id":3,"checkout_id":"{checkout_id}",'
        f'"merchant_code":"HM","order_id":"{checkout_id}"}}'
    )
    payment = tx.insert(
        NewPayment(
            request_id=request_id,
            profile="bench",
            gateway=gateway,
            app_key="12345678",
            checkout=Checkout(True, "12345678", "1", checkout_id),
            order_id=checkout_id,
            operator_id="123",
            machine_id="001",
            pay_channel="alipay_facepay_v2",
            pay_fee=100,
            pay_request=payload,
            created_ms=now_ms,
        )
    )
    tx.hold(payment)
    payment = tx.start_try(payment, Who("bench", 1, "001", "123"), now_ms)
    end = TryEnd(Event.READ_TIMEOUT, now_ms)
    return tx.finish_try(payment, end, advance(payment.standing, end.event), Verdict(), ())


def sweep(bench: Bench) -> Iterator[Row]:
    """`retry --all` on a network that came back, and a pool of threads that keeps no journal."""
    count, rounds = 2000, 5
    for latency_ms, target in ((50, "≥ 1,000/s"), (0, "≥ 1,200/s")):
        ours, pool = [], []
        for _ in range(rounds):
            with bench.stub(latency_ms) as port:
                command = _sweep_of(bench, port, count)
                ours.append(count / seconds(command))
                yardstick = [sys.executable, str(HERE / "pool.py"), command[2], str(count)]
                pool.append(count / seconds(yardstick))
        told = f"{statistics.median(ours):,.0f}/s"
        yield Row(f"`retry --all`, 2,000 open, gateway {latency_ms} ms", told, target)
        ratios = [one / other for one, other in zip(ours, pool, strict=True)]
        told = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        what = "`retry --all`, 2,000 open ÷ a pool of 64 requests.Session without a journal"
        yield Row(f"{what}, {latency_ms} ms", told, "≥ 1.25")


def memory(bench: Bench) -> Iterator[Row]:
    """What `retry --all` takes at most, against gateways that answer and that do not."""
    for kind in ("pays", "refuses", "cuts", "truncates"):
        with _refusing() if kind == "refuses" else bench.stub(kind=kind) as port:
            few_mb, many_mb = (peak_mb(_sweep_of(bench, port, n)) for n in (2000, 20_000))
        told = f"{many_mb / few_mb:.2f} ({few_mb:.0f} MB and {many_mb:.0f} MB)"
        what = f"memory of `retry --all`, 20,000 open ÷ 2,000, the gateway {kind}"
        yield Row(what, told, "≤ 1.1")


@contextmanager
def _refusing() -> Iterator[int]:
    """A port that refuses: held, but not listening."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def _sweep_of(bench: Bench, port: int, count: int) -> list[str]:
    """A journal with so many open payments, and the command that sends them."""
    path = bench.folder / f"sweep-{bench.unique()}.db"
    journal = SqliteJournal(path)
    now_ms = int(time.time() * 1000)

    def fill(tx: Transaction) -> None:
        for number in range(count):
            _open_payment(tx, str(number), port, now_ms)

    journal.transact(fill)
    journal.close()
    return [POSCTL, "--config", str(bench.config(port, path)), "retry", "--all", "--json"]


_PEAK = """import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
if code not in (0, 21):  # paid, or the payments stay open
    raise SystemExit(f"left with {code}")
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


def peak_mb(command: list[str], env: dict[str, str] | None = None) -> float:
    """The most memory that a whole process had. It is started by a small one: what starts a
    process counts as its own memory until then.
    """
    small = [sys.executable, "-I", "-S", "-c", _PEAK, *command]
    return float(subprocess.run(small, env=env, stdout=subprocess.PIPE, check=True).stdout)


# ── growth ───────────────────────────────────────────────────────────────────────────────────

_FILL = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)
INSERT INTO payments (request_id, profile, live, gateway, app_key, shop_id, checkout_id, order_id,
  operator_id, machine_id, pay_channel, pay_fee, pay_request, state, paid, result_status,
  remaining_fee, current_pay_fee, payment_order_id, tries, created_ms, updated_ms, closed_ms, told)
SELECT printf('%08x-0000-4000-8000-%012x', i, i), 'bench', 1, :gateway, '12345678', '1',
  'old' || (i / 2), 'old' || (i / 2), '123', printf('%03d', i % 10), 'alipay_facepay_v2', 100,
  printf('{"pay_fee":100,"checkout_id":"old%d"}%250s', i / 2, ''), 'success', 1, 1, 0, 100,
  'V' || i, 1, :begin + i * 8640, :begin + i * 8640 + 500, :begin + i * 8640 + 500, 1 FROM n
"""
_FILL_TRIES = """
INSERT INTO tries (seq, n, kind, started_ms, host, pid, machine_id, operator_id, event,
  finished_ms, http_status, raw)
SELECT seq, 1, 'pay', created_ms, 'till', 1, machine_id, operator_id, 'paid', closed_ms, 200,
  :raw FROM payments
"""


def growth(bench: Bench) -> Iterator[Row]:
    """The same commands with many payments in the journal and with none."""
    import sqlite3  # noqa: PLC0415  this bench alone fills a journal by SQL

    with bench.stub() as port:
        small, large = bench.folder / "small.db", bench.folder / "large.db"
        for path in (small, large):
            SqliteJournal(path).transact(lambda _tx: None)
        values = {
            "rows": bench.rows,
            "gateway": f"http://127.0.0.1:{port}/router/rest",
            "begin": int(time.time() * 1000) - bench.rows * 8640,  # 10,000 a day until now
            "raw": '{"alibaba_pos_order_pay_response":{}}' + " " * 300,
        }
        before = large.stat().st_size
        with sqlite3.connect(large) as db:
            db.execute(_FILL, values)
            db.execute(_FILL_TRIES, values)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        each = (large.stat().st_size - before) / bench.rows
        yield Row(f"size of a payment, {bench.rows:,} in the journal", f"{each:.0f} bytes", "")
        # One that posctl calls damaged is refused, later and by some commands alone.
        seconds([POSCTL, "--config", str(bench.config(port, large)), "journal", "check"])

        def run(path: Path, *args: str) -> Callable[[], float]:
            config = str(bench.config(port, path))

            def once() -> float:
                unique = bench.unique()
                words = [word.replace("@", unique) for word in args]
                return seconds([POSCTL, "--config", config, *words, "--json"])

            return once

        pay = ("pay", "--fee", "100", "--checkout", "@")
        for args in (
            pay,
            ("pending",),
            ("retry", "--last"),
            ("checkout", "c1"),
            ("retry", "--all"),
        ):
            told = ratio(bench, run(large, *args), run(small, *args))[1]
            name = " ".join(args[:2]) if args[0] == "retry" else args[0]
            yield Row(f"`{name}`, {bench.rows:,} payments ÷ none", told, "≤ 1.1")
        day = time.strftime("%Y-%m-%d", time.localtime(time.time() - 86_400))
        report = [POSCTL, "--config", str(bench.config(port, large)), "report", "--json"]
        took = statistics.median(seconds([*report, "--day", day]) for _ in range(5))
        yield Row(
            f"`report` of a day of 10,000 among {bench.rows:,} payments", f"{took:.2f} s", "≤ 0.5 s"
        )


# ── one after another ────────────────────────────────────────────────────────────────────────


def one_by_one(bench: Bench) -> Iterator[Row]:
    """What a payment costs a process that is already running; what the stub itself takes is told
    beside it.
    """
    few, many = 50, 550
    with bench.stub() as port:
        stub_ms = _round_trip_ms(port)
        config = str(bench.config(port, bench.folder / "many.db"))

        def batch(count: int) -> float:
            orders = bench.folder / f"orders-{bench.unique()}.jsonl"
            lines = (f'{{"checkout_id":"{bench.unique()}","pay_fee":100}}\n' for _ in range(count))
            orders.write_text("".join(lines))
            return seconds([POSCTL, "--config", config, "batch", str(orders), "--json"])

        def till(count: int) -> float:
            return _seconds_at_till([POSCTL, "--config", config, "till"], count, bench.unique)

        for name, took in (("batch", batch), ("till", till)):
            each = [1000 * (took(many) - took(few)) / (many - few) for _ in range(3)]
            told = (
                f"{statistics.median(each):.1f} ms ({min(each):.1f}–{max(each):.1f}, "
                f"of it the gateway's own {stub_ms:.1f})"
            )
            yield Row(f"a payment in `{name}`, gateway 0 ms", told, "≤ 3 ms over it")


def _round_trip_ms(port: int) -> float:
    """What the stub takes for one request over a connection that is open, without any client."""
    body = b"x" * 900
    request = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    took = []
    with socket.create_connection(("127.0.0.1", port)) as sock:
        for _ in range(200):
            begun = time.perf_counter()
            sock.sendall(request)
            sock.recv(65536)
            took.append(1000 * (time.perf_counter() - begun))
    return statistics.median(took)


def _seconds_at_till(command: list[str], count: int, unique: Callable[[], str]) -> float:
    """Type `count` payments at a till on a pseudo-terminal, each when the one before is paid."""
    pid, terminal = on_terminal(command)

    def read_until(word: bytes) -> None:
        seen = b""
        while word not in seen:
            seen = seen[-64:] + os.read(terminal, 65536)

    read_until(b"Amount")
    begun = time.perf_counter()
    for _ in range(count):
        checkout_id = unique()
        code = f"28{int(checkout_id[1:]):016}"  # each pays once
        os.write(terminal, f"1\r{checkout_id}\r{code}\r".encode())
        read_until(b"FULLY PAID")  # the last bar of the verdict
    took = time.perf_counter() - begun
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(terminal)
    return took


BENCHES = {
    "start_up": start_up,
    "sweep": sweep,
    "memory": memory,
    "one_by_one": one_by_one,
    "growth": growth,
}


def table(rows: list[Row]) -> str:
    """The rows as the docs show them, with the machine and the versions."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    versions = ", ".join(f"{name} {version(name)}" for name in ("typer", "rich", "requests"))
    head = f"{os.cpu_count()} cores, {cpu}; Python {platform.python_version()}; {versions}."
    lines = ["| what | median (range; ours) | to reach |", "|---|---|---|"]
    lines += [f"| {row.what} | {row.figure} | {row.target} |" for row in rows]
    return "\n".join([head, "", *lines])


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--pairs", type=int, default=20)
    asked.add_argument("--rows", type=int, default=1_000_000)
    asked.add_argument("--only", nargs="*", choices=BENCHES, default=list(BENCHES))
    asked.add_argument("--write", action="store_true")
    given = asked.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), given.pairs, given.rows)
        for name in given.only:
            for row in BENCHES[name](bench):
                rows.append(row)
                print(f"{row.what}: {row.figure}  {row.target}", flush=True)
    if given.write:
        text = DOC.read_text()
        head, _, rest = text.partition(BEGIN)
        DOC.write_text(f"{head}{BEGIN}\n{table(rows)}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
