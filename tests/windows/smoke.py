"""Does posctl work on this Windows, or under Wine? `python tests/windows/smoke.py`, with a Windows
Python that has what posctl needs. Every check has a folder and a journal of its own, and pays with
the training gateway; 1 when one fails. It imports nothing of the tests: they are for POSIX.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
POSCTL = [sys.executable, "-P", "-m", "posctl"]
LIMIT_S = 300.0
CREATE_NO_WINDOW = 0x0800_0000  # a console of its own all the same
# Of `posctl training -h`: charged, and the answer does not come at all, or it is unknown.
SLOW_CODE, UNKNOWN_CODE = "280000000000000007", "280000000000000009"


class Till:
    """A machine in a folder."""

    def __init__(self, home: Path, *, make: bool = False) -> None:
        self.home = home
        if make:
            home.mkdir()
        self.config = home / "config.yaml"
        self.config.write_text(
            f"default_profile: training\njournal: {home / 'journal.db'}\n", "utf-8"
        )
        self.env = os.environ | {"POSCTL_CONFIG": str(self.config), "PYTHONPATH": str(ROOT)}
        self.env.pop("POSCTL_JOURNAL", None)

    def start(self, *args: str, code: str = "") -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [*POSCTL, *args], env=self.env, cwd=self.home, stdin=pipe, stdout=pipe, stderr=pipe
        )
        assert process.stdin is not None
        process.stdin.write(f"{code}\r\n".encode() if code else b"")
        process.stdin.close()
        process.stdin = None
        return process

    def run(self, *args: str, exit_code: int = 0, code: str = "") -> Any:
        """The JSON of a run that ends with `exit_code`."""
        return ended(self.start(*args, "--json", code=code), exit_code)

    def charges(self) -> int:
        with closing(sqlite3.connect(self.home / "training.db")) as db:
            (count,) = db.execute("SELECT count(*) FROM charge").fetchone()
        return int(count)

    def wait_for_charges(self, count: int) -> None:
        """Until the gateway has charged so often."""
        until_s = time.monotonic() + LIMIT_S
        while time.monotonic() < until_s:
            with suppress(sqlite3.OperationalError):  # not made yet
                if self.charges() >= count:
                    return
            time.sleep(0.05)
        raise AssertionError(f"{self.charges()} charges")


def ended(process: subprocess.Popen[bytes], *codes: int) -> Any:
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode in codes, (process.returncode, err.decode(errors="replace"))
    return json.loads(out)


PAY = ("pay", "--shop", "1", "--fee", "100", "--checkout", "111")


def is_the_same(found: object, wanted: object) -> None:
    assert found == wanted, (found, wanted)


def twenty_processes_charge_once(till: Till) -> None:
    pay = (*PAY, "--code-stdin", "--json")
    runs = [till.start(*pay, code="280000000000000001") for _n in range(20)]
    told = [ended(run, 0, 30) for run in runs]
    is_the_same(len({one["request_id"] for one in told if one["exit_code"] == 0}), 1)
    is_the_same(till.charges(), 1)
    is_the_same(list(till.home.glob(".*.new")), [])


def killed_and_run_again(till: Till) -> None:
    run = till.start(*PAY, "--code-stdin", code=SLOW_CODE)
    till.wait_for_charges(1)
    run.kill()
    run.communicate()
    is_the_same(run.returncode, 1)  # what Windows gives a killed process
    is_the_same(till.run("pending")["payments"][0]["checkout_id"], "111")
    assert till.run(*PAY, "--code-stdin", code=SLOW_CODE)["resumed"]
    is_the_same(till.charges(), 1)


def a_damaged_journal_is_restored(till: Till) -> None:
    till.run(*PAY)
    till.run("journal", "backup", "kept.db")
    journal = till.home / "journal.db"
    with journal.open("r+b") as file:
        file.write(b"\0" * 4096)
        file.flush()
        refused = till.run("journal", "restore", "kept.db", "--yes", exit_code=31)
        is_the_same(refused["error"]["code"], "journal_locked")  # `file` has it open
    till.run("journal", "restore", "kept.db", "--yes")
    is_the_same(len(till.run("history")["payments"]), 1)


def restore_drops_nothing_that_is_closed(till: Till) -> None:
    """What a sound journal knows beyond the backup stays, and so no checkout is charged again."""
    till.run(*PAY)
    till.run("journal", "backup", "kept.db")
    till.run(*PAY[:-1], "222")
    till.run("journal", "restore", "kept.db", "--yes")
    checkouts = sorted(one["checkout_id"] for one in till.run("history")["payments"])
    is_the_same(checkouts, ["111", "222"])
    assert till.run(*PAY[:-1], "222", exit_code=30)["error"]
    is_the_same(till.charges(), 2)


def the_till_in_a_console(till: Till) -> None:
    """A sale is typed and scanned; what comes after `q` is dropped, and no shell gets it."""
    steps = [
        *(["Amount", "12.30\r"], ["Checkout", "c1\r"]),
        *(["scan the payment code", "280000000000000001\r"], ["PAID", "q\rdel *\r"]),
    ]
    command = [sys.executable, "-P", str(ROOT / "tests/windows/console.py"), json.dumps(steps)]
    ran = subprocess.run(
        [*command, *POSCTL, "till"],
        env=till.env | {"POSCTL_LANG": "en"},
        cwd=till.home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        creationflags=CREATE_NO_WINDOW,
        timeout=LIMIT_S,
        check=True,
    )
    told = json.loads(ran.stdout)
    assert told["exit_code"] == 0, ascii(told["screen"])
    is_the_same(told["left"], "")
    assert "12.30" in told["screen"], ascii(told["screen"])
    is_the_same(till.run("history")["payments"][0]["checkout_id"], "c1")
    is_the_same(till.charges(), 1)


def the_shift_and_the_statement(till: Till) -> None:
    paid = till.run(*PAY)
    till.run("report", "--html", "page.html")
    assert "1.00" in (till.home / "page.html").read_text("utf-8")
    statement = f"request_id,fee,time\n{paid['request_id']},100,{paid['created_at']}\n"
    (till.home / "statement.csv").write_text(statement, "utf-8-sig", newline="\r\n")
    till.run("reconcile", "statement.csv")
    till.run("report", "--close", "--yes")
    is_the_same(till.run("report", "--shift", "1")["exit_code"], 0)


def a_batch_killed_and_resumed(till: Till) -> None:
    lines = "".join(f"{n},100\n" for n in range(200))
    (till.home / "orders.csv").write_text("checkout_id,pay_fee\n" + lines)
    run = till.start("batch", "orders.csv")
    till.wait_for_charges(40)
    run.kill()
    run.communicate()
    till.run("batch", "orders.csv")
    results = (till.home / "orders.csv.results.jsonl").read_text("utf-8").splitlines()
    is_the_same([json.loads(line)["line"] for line in results], [*range(2, 202)])
    is_the_same(till.charges(), 200)


def what_doctor_sees(till: Till) -> None:
    """Wine makes an access list of a file's mode; a real Windows has real ones."""
    till.run(*PAY)
    checks = {one["name"]: one for one in till.run("doctor")["checks"]}
    assert "journal.db" in checks["files"]["message"], checks["files"]
    is_the_same(checks["journal"]["status"], "good")


def a_secret_that_others_can_read(till: Till) -> None:
    secret = till.home / "secret.txt"
    secret.write_text("0123456789abcdef")
    till.config.write_text(
        f"default_profile: shop\njournal: {till.home / 'journal.db'}\nprofiles:\n  shop:\n"
        f'    gateway: http://127.0.0.1:9/rest\n    app_key: "1"\n    secret_file: {secret}\n'
    )
    is_the_same(_secret_check(till), "bad")
    subprocess.run([sys.executable, "-P", "-c", _OURS_ALONE, str(secret)], env=till.env, check=True)
    is_the_same(_secret_check(till), "good")


def a_secret_command_with_backslashes(till: Till) -> None:
    """The secret is there and the call is signed; nobody listens (11). Before that the journal for
    real money is missing (31), and `journal create` begins it.
    """
    said = till.home / "secret.py"
    said.write_text('print("0123456789abcdef0123456789abcdef")')
    till.config.write_text(
        f"default_profile: shop\njournal: {till.home / 'journal.db'}\nprofiles:\n  shop:\n"
        f'    gateway: http://127.0.0.1:9/rest\n    app_key: "1"\n'
        f"    secret_command: {sys.executable} {said}\n    defaults: {{operator_id: '1', "
        "machine_id: '1', buyer_id: 1, source: hema, merchant_code: HM}\n"
    )
    pay = (*PAY, "--code-stdin")
    refused = till.run(*pay, exit_code=31, code="280000000000000001")
    assert "journal create" in refused["error"]["hint"], refused
    till.run("journal", "create")
    till.run(*pay, exit_code=11, code="280000000000000001")


def a_configuration_saved_by_notepad(till: Till) -> None:
    """With a byte order mark and Windows' line ends, and the code from a file with them, too."""
    text = till.config.read_text()
    till.config.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    till.run("config", "check")
    till.run(*PAY, "--code-stdin", code="\ufeff280000000000000001")
    is_the_same(till.charges(), 1)


def a_chinese_folder_and_what_is_printed(till: Till) -> None:
    """In a folder with a blank in its name; what the screen says to type, typed into cmd.exe, asks
    about the payment that is unknown, and it is charged once.
    """
    inner = Till(till.home / "收银 台", make=True)
    inner.env |= {"PYTHONUTF8": "1", "POSCTL_LANG": "en"}  # code page 1252 has no such signs
    run = inner.start("--config", str(inner.config), *PAY, "--code-stdin", code=UNKNOWN_CODE)
    out, err = run.communicate(timeout=LIMIT_S)
    is_the_same(run.returncode, 21)
    shown = (out + err).decode()
    typed = next(line for line in shown.splitlines() if " posctl " in line and "retry" in line)
    _arrow, _, command = typed.partition("posctl ")
    assert "'" not in command, ascii(shown)
    line = f'cmd /s /c ""{sys.executable}" -P -m posctl {command}"'
    how: dict[str, Any] = {"env": inner.env, "cwd": inner.home, "timeout": LIMIT_S}
    ran = subprocess.run(line, check=False, capture_output=True, **how)
    assert ran.returncode == 0, (ascii(command), ran.stderr.decode(errors="replace"))
    is_the_same(inner.charges(), 1)
    inner.run("journal", "backup", "备份.db")
    assert (inner.home / "备份.db").exists()


def a_file_that_is_open_for_a_moment(till: Till) -> None:
    """As a virus scanner has it: what posctl moves waits for that, and tells who keeps it."""
    command = [sys.executable, "-P", "-c", _IN_USE]
    subprocess.run(command, env=till.env, cwd=till.home, check=True)


def _secret_check(till: Till) -> str:
    process = till.start("doctor", "--json")
    checks = ended(process, 3, 11, 31)["checks"]
    return str(next(one["status"] for one in checks if one["name"] == "secret"))


_OURS_ALONE = """
import pathlib, sys
from posctl.windows import keep_to_user
keep_to_user(pathlib.Path(sys.argv[1]))
"""
_IN_USE = """
import pathlib, threading
from posctl import files
def tried(change, seconds):
    held = path.open("rb")
    threading.Timer(seconds, held.close).start()
    try:
        change()
    except OSError as error:
        held.close()
        return files.may_be_in_use(error)
path, other = pathlib.Path("one"), pathlib.Path("other")
for seconds, told in ((0.3, None), (9, True)):
    for change in (lambda: files.rename(path, other), lambda: files.delete(path)):
        path.write_bytes(b"1")
        assert tried(change, seconds) is told, (seconds, told)
        assert path.exists() is bool(told)
        other.unlink(missing_ok=True)
    path.write_bytes(b"1")
    other.write_bytes(b"2")
    assert tried(lambda: files.replace(path, other), seconds) is told
    assert path.read_bytes() == (b"1" if told else b"2")
    other.unlink(missing_ok=True)
import os; os._exit(0)  # not after the timers
"""
CHECKS = (
    what_doctor_sees,
    a_secret_that_others_can_read,
    killed_and_run_again,
    a_damaged_journal_is_restored,
    restore_drops_nothing_that_is_closed,
    a_secret_command_with_backslashes,
    a_configuration_saved_by_notepad,
    a_chinese_folder_and_what_is_printed,
    a_file_that_is_open_for_a_moment,
    the_till_in_a_console,
    the_shift_and_the_statement,
    twenty_processes_charge_once,
    a_batch_killed_and_resumed,
)


def main(names: Sequence[str]) -> int:
    failed = 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for check in CHECKS:
            if names and check.__name__ not in names:
                continue
            home = Path(folder) / check.__name__
            home.mkdir()
            try:
                check(Till(home))
            except Exception:  # noqa: BLE001  told, and counted
                failed += 1
                print("FAIL ", check.__name__.replace("_", " "))
                traceback.print_exc()
            else:
                print("ok   ", check.__name__.replace("_", " "), flush=True)
    print(f"{failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
