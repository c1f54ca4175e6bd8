"""What Windows forbids is not done: seen on POSIX, by its rules for files that are open."""

from __future__ import annotations

import getpass
import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from io import BufferedRandom
from pathlib import Path, PureWindowsPath
from xml.etree import ElementTree as ET

import pytest
import windows_rules
from conftest import Ran, Shop

from posctl import files
from posctl.config.example import example_text
from posctl.config.new import NewFile, write
from posctl.errors import ConfigError
from posctl.paying.by_hand import person

LINES = "checkout_id,pay_fee\n" + "".join(f"{n},100\n" for n in range(1, 9))
Posctl = Callable[..., Ran]


@pytest.fixture
def posctl(shop: Shop, tmp_path: Path) -> Iterator[Posctl]:
    """`posctl --profile training …` by the rules; none is broken until the test ends."""
    broken = tmp_path / "broken"
    env = shop.env | {"WINDOWS_RULES_BROKEN": str(broken)}

    def run(*args: str, stdin: str = "") -> Ran:
        command = [sys.executable, windows_rules.__file__, "--profile", "training", *args]
        done = subprocess.run(
            command, env=env, cwd=shop.home, input=stdin.encode(), capture_output=True, check=False
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    yield run
    assert not broken.exists(), broken.read_text()


def pay(posctl: Posctl, checkout: str = "111") -> Ran:
    ran = posctl("pay", "--fee", "100", "--checkout", checkout, "--json")
    assert ran.code == 0, ran
    return ran


def test_the_rules_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules notice each thing that Windows refuses, or the tests below prove nothing."""
    broken, one, other = tmp_path / "broken", tmp_path / "one", tmp_path / "other"
    monkeypatch.setenv("WINDOWS_RULES_BROKEN", str(broken))
    one.touch()
    other.touch()
    with one.open("rb") as opened:
        for forbidden in (
            lambda: windows_rules.synced(opened.fileno()),
            lambda: windows_rules.guarded(os.unlink, overwrites=False)(one),
            lambda: windows_rules.guarded(os.replace, overwrites=True)(other, one),
            lambda: windows_rules.guarded(os.rename, overwrites=False)(one, tmp_path / "new"),
        ):
            with pytest.raises(OSError, match=r"cannot access|Bad file"):
                forbidden()
    with pytest.raises(FileExistsError):
        windows_rules.guarded(os.rename, overwrites=False)(one, other)
    assert len(broken.read_text().splitlines()) == 4


def test_a_name_that_is_taken_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process makes the file, and opens it, while the rules look who has what open: the
    name is taken, which breaks no rule, and its file stays.
    """
    draft, taken = tmp_path / "draft", tmp_path / "taken"
    draft.write_text("mine")
    monkeypatch.setenv("WINDOWS_RULES_BROKEN", str(tmp_path / "broken"))

    def looks(path: Path) -> bool:
        taken.write_text("theirs")
        return path == taken

    monkeypatch.setattr(windows_rules, "is_open", looks)
    with pytest.raises(FileExistsError):
        windows_rules.guarded(os.rename, overwrites=False)(draft, taken)
    assert (draft.read_text(), taken.read_text()) == ("mine", "theirs")
    assert not (tmp_path / "broken").exists()


# The Task Scheduler's schema, [MS-TSCH] 2.5: what each element may hold, if not all of it.
TASK = {
    "Task": {"RegistrationInfo", "Triggers", "Principals", "Settings", "Actions", "Data"},
    "RegistrationInfo": {"Description", "Author", "Date", "URI", "Version", "Source"},
    "Triggers": {"TimeTrigger", "LogonTrigger", "BootTrigger", "CalendarTrigger"},
    "TimeTrigger": {"Enabled", "StartBoundary", "EndBoundary", "Repetition"},
    "Repetition": {"Interval", "Duration", "StopAtDurationEnd"},
    "Principals": {"Principal"},
    "Principal": {"UserId", "LogonType", "RunLevel", "DisplayName"},
    "Settings": {
        *("MultipleInstancesPolicy", "DisallowStartIfOnBatteries", "StopIfGoingOnBatteries"),
        *("ExecutionTimeLimit", "Hidden", "StartWhenAvailable", "Enabled", "Priority"),
    },
    "Actions": {"Exec"},
    "Exec": {"Command", "Arguments", "WorkingDirectory"},
}


def test_the_task_for_the_scheduler(shop: Shop) -> None:
    """Well-formed, in the encoding that it declares, of the schema's elements, as the till's user
    without a password; what it runs is posctl's own, by an absolute path, and ends with 0.
    """
    text = example_text("posctl-retry.xml")
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>')
    task = ET.fromstring(text.encode())
    space = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
    assert (task.tag, task.get("version")) == (f"{space}Task", "1.2")
    for element in task.iter():
        held = {one.tag.removeprefix(space) for one in element}
        assert held <= TASK.get(element.tag.removeprefix(space), set()), element.tag
        assert held or (element.text or "").strip(), element.tag

    def said(*names: str) -> str:
        return task.findtext("/".join((".", *(f"{{*}}{name}" for name in names))), "")

    principal, actions = task.find("./{*}Principals/{*}Principal"), task.find("./{*}Actions")
    assert principal is not None
    assert actions is not None
    assert principal.get("id") == actions.get("Context")
    assert said("Principals", "Principal", "LogonType") == "S4U"
    assert said("Triggers", "TimeTrigger", "Repetition", "Interval") == "PT1M"
    assert re.fullmatch(r"PT\d+M", said("Settings", "ExecutionTimeLimit"))
    command = said("Actions", "Exec", "Command")
    assert command[:: len(command) - 1] == '""'  # else "C:\\Program" is what it starts
    assert PureWindowsPath(command[1:-1]).is_absolute()
    shop.profile("http://127.0.0.1:9/rest")
    assert shop.run(*said("Actions", "Exec", "Arguments").split()).code == 0


def test_a_user_whom_nothing_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who closes a payment by hand is "?" where neither a variable nor a list names the user."""

    def nobody() -> str:
        raise ModuleNotFoundError("pwd")  # as on Windows

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert person().startswith("?@")


def test_a_payment_and_its_journal(posctl: Posctl, shop: Shop) -> None:
    """The journal is made, used, checked, backed up and pruned; only files of its own stay."""
    pay(posctl)
    for command in (("history",), ("journal", "check"), ("journal", "backup", "kept.db")):
        assert posctl(*command, "--json").code == 0
    assert posctl("journal", "backup", "kept.db").code == 2  # it overwrites nothing
    assert posctl("report", "--html", "page.html").code == 0
    assert not list(shop.home.glob(".*.new"))


def test_two_that_make_the_journal_together(posctl: Posctl, shop: Shop, tmp_path: Path) -> None:
    """Who comes second uses the journal of the first, which has it open, and leaves no draft."""
    env = shop.env | {"WINDOWS_RULES_BROKEN": str(tmp_path / "broken")}
    runs = [
        subprocess.Popen(
            [
                *(sys.executable, windows_rules.__file__, "--profile", "training", "pay", "--json"),
                *("--fee", "100", "--checkout", str(n)),
            ],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for n in range(3)
    ]
    told = [(*run.communicate(timeout=60), run.returncode) for run in runs]
    assert [code for _out, _err, code in told] == [0, 0, 0], told
    assert shop.recorded == 3
    assert not list(shop.home.glob(".*.new"))


@pytest.mark.parametrize(
    ("refusals", "number", "tries", "ends"),
    [
        (0, 32, 1, None),
        (1, 32, 2, None),
        (1, 5, 2, None),
        (len(files.PAUSES_S), 33, len(files.PAUSES_S) + 1, None),
        (99, 32, len(files.PAUSES_S) + 1, 32),  # somebody keeps it
        (99, 5, len(files.PAUSES_S) + 1, 5),
        (99, 112, 1, 112),  # the disk is full
        (99, None, 1, None),  # not Windows
    ],
)
def test_what_is_open_for_a_moment_is_tried_again(
    refusals: int,
    number: int | None,
    tries: int,
    ends: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A virus scanner holds a file for a moment: renamed, replaced and deleted it is all the same,
    within about a second; whatever else is refused is told at once.
    """
    monkeypatch.setattr(files, "PAUSES_S", [0.0] * len(files.PAUSES_S))
    real, calls = os.rename, []

    def refused(*paths: Path) -> None:
        calls.append(paths)
        if len(calls) <= refusals:
            error = PermissionError(13, "refused")
            if number is not None:
                vars(error)["winerror"] = number
            raise error
        real(*paths)

    monkeypatch.setattr(os, "rename", refused)
    one, other = tmp_path / "one", tmp_path / "other"
    one.touch()
    if refusals < 99:
        files.rename(one, other)
        assert other.exists()
    else:
        with pytest.raises(PermissionError) as caught:
            files.rename(one, other)
        assert getattr(caught.value, "winerror", None) == ends
    assert len(calls) == tries


def test_the_pauses_are_short() -> None:
    """Somebody waits: they grow, and together they are a second."""
    assert list(files.PAUSES_S) == sorted(files.PAUSES_S)
    assert 0.9 < sum(files.PAUSES_S) < 1.1


def test_a_configuration_that_somebody_keeps_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays as it was, no draft is left, and what to close is said."""
    monkeypatch.setattr(files, "PAUSES_S", [0.0])
    monkeypatch.setattr(windows_rules, "is_open", lambda path: "new" not in str(path))
    monkeypatch.setenv("WINDOWS_RULES_BROKEN", str(tmp_path / "broken"))
    monkeypatch.setattr(os, "replace", windows_rules.guarded(os.replace, overwrites=True))
    path = tmp_path / "config.yaml"
    path.write_text("old")
    with pytest.raises(ConfigError) as caught:
        write([NewFile(path, "new", replaces=True)])
    assert "another program has it open" in str(caught.value.hint)
    assert path.read_text() == "old"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["broken", "config.yaml"]


def test_restore_waits_for_a_virus_scanner(posctl: Posctl, shop: Shop, tmp_path: Path) -> None:
    """Who has the damaged journal open lets go of it at once after the first refusal: the same
    command puts the backup in its place.
    """
    pay(posctl)
    assert posctl("journal", "backup", "kept.db").code == 0
    broken = tmp_path / "broken"

    def let_go(held: BufferedRandom) -> None:
        until_s = time.monotonic() + 60
        while not broken.exists() and time.monotonic() < until_s:
            time.sleep(0.001)
        held.close()

    with shop.journal.open("r+b") as held:
        held.write(b"\0" * 4096)
        held.flush()
        scanner = threading.Thread(target=let_go, args=(held,))
        scanner.start()
        restored = posctl("journal", "restore", "kept.db", "--yes")
        scanner.join()
    assert restored.code == 0, restored
    assert set(broken.read_text().splitlines()) == {f"{windows_rules.IN_USE}: {shop.journal}"}
    broken.unlink()
    assert posctl("history", "--json").json["payments"][0]["checkout_id"] == "111"


def test_a_batch_leaves_its_results_in_order(posctl: Posctl, shop: Shop) -> None:
    """The results are put in order, or deleted when nothing was sent, once they are closed."""
    (shop.home / "orders.csv").write_text(LINES)
    results = shop.home / "orders.csv.results.jsonl"
    results.write_bytes(b"")
    for _again in range(2):
        assert posctl("batch", "orders.csv", "--json").code == 0
        order = [json.loads(line)["line"] for line in results.read_text().splitlines()]
        assert order == [*range(2, 10)]


def test_restore_beside_who_has_the_journal_open(posctl: Posctl, shop: Shop) -> None:
    """A damaged journal that a till has open is not moved aside: that it is in use is said; once
    nobody has it the same command puts the backup in its place.
    """
    pay(posctl)
    assert posctl("journal", "backup", "kept.db").code == 0
    with shop.journal.open("r+b") as held:
        held.write(b"\0" * 4096)
        held.flush()
        refused = posctl("journal", "restore", "kept.db", "--yes", "--json")
        assert refused.code == 31, refused
        assert refused.json["error"]["code"] == "journal_locked"
    (shop.home / "broken").unlink()
    assert posctl("journal", "restore", "kept.db", "--yes").code == 0
    with closing(sqlite3.connect(shop.journal)) as db:
        assert db.execute("SELECT count(*) FROM payments").fetchone() == (1,)


def test_what_is_left_out_there_is_here() -> None:
    """Each line of left_out.txt names a module or a test that there is, and a reason."""
    tests = Path(__file__).parents[1]
    lines = (tests / "windows" / "left_out.txt").read_text("utf-8").splitlines()[1:]
    for line in lines:
        name, reason = line.split(" | ")
        module, _, test = name.partition("::")
        assert f"def {test.partition('[')[0]}" in (tests / module).read_text("utf-8"), line
        assert reason, line
