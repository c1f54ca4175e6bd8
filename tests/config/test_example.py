"""What `posctl config example` prints can be used as it is."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from conftest import Shop

from posctl.config.example import CONFIG, EXAMPLES, example_text, fitted

ROOT = Path(__file__).parents[2]
UNITS = [name for name in EXAMPLES if name != CONFIG]


@pytest.fixture
def here(shop: Shop) -> Shop:
    """A till with a profile for real money, and posctl at a path that no PATH names."""
    shop.profile("http://127.0.0.1:9/rest")
    program = shop.home / "bin" / "posctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m posctl "$@"\n')
    program.chmod(0o755)
    return shop


def command_of(shop: Shop, name: str) -> str:
    """What the unit runs, fitted to the till."""
    unit = fitted(example_text(name), str(shop.home / "bin/posctl"), "store-1", "root")
    found = re.search(r"^(?:ExecStart=|\* \* \* \* \* )(.*)$", unit, re.MULTILINE)
    assert found
    return found[1]


def test_each_is_printed_whole(shop: Shop) -> None:
    """The configuration is that of the source, with --json too; a name of none is 2."""
    assert shop.run("config", "example").out == (ROOT / "config.example.yaml").read_text()
    for name in EXAMPLES:
        printed = shop.run("config", "example", name)
        assert (printed.code, printed.err) == (0, "")
        told = shop.run("config", "example", name, "--json").json
        assert (told["name"], told["text"]) == (name, printed.out)
    wrong = shop.run("config", "example", "posctl-retry.cron.txt")
    assert wrong.code == 2
    assert "posctl-retry.cron," in wrong.err


def test_a_unit_says_what_is_so_here(shop: Shop) -> None:
    """Profile and user are those of the call, in each unit that names them."""
    shop.env |= {"LOGNAME": "till7"}
    printed = {n: shop.run("--profile", "training", "config", "example", n).out for n in UNITS}
    assert [name for name in UNITS if "--profile training retry --due" in printed[name]] == [
        *("posctl-retry.service", "posctl-retry.cron", "posctl-retry.xml")
    ]
    assert "\nUser=till7\n" in printed["posctl-retry.service"]


def test_what_would_need_quotes_stays_to_be_edited() -> None:
    """A path with a blank or a percent sign means something else to systemd and cron."""
    unit = example_text("posctl-retry.service")
    for odd in ("/opt/a b/posctl", "/opt/50%/posctl", '/opt/"/posctl', ""):
        assert fitted(unit, odd, odd, odd) == unit
    assert "ExecStart=/srv/p.pyz --profile s1 retry" in fitted(unit, "/srv/p.pyz", "s1", None)


def test_the_cron_line_runs_as_cron_runs_it(here: Shop) -> None:
    """With /bin/sh, cron's own PATH, no locale; it logs nothing when nothing was due."""
    environ = {
        "PATH": "/usr/bin:/bin",
        "SHELL": "/bin/sh",
        "HOME": str(here.home),
        "LOGNAME": "till",
        **{name: here.env[name] for name in ("POSCTL_CONFIG", "POSCTL_JOURNAL")},
    }
    line = command_of(here, "posctl-retry.cron")
    ran = subprocess.run(["/bin/sh", "-c", line], env=environ, cwd=here.home, check=False)
    assert ran.returncode == 0
    assert (here.home / "posctl-retry.log").read_text() == ""


def test_the_service_runs_as_systemd_runs_it(here: Shop) -> None:
    """No HOME, no locale, no shell, in the root folder; a journal that is gone is told (31)."""
    environ = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        **{name: here.env[name] for name in ("POSCTL_CONFIG", "POSCTL_JOURNAL")},
    }
    words = shlex.split(command_of(here, "posctl-retry.service"))

    def run() -> Any:
        return subprocess.run(
            words, env=environ, cwd="/", capture_output=True, text=True, check=False
        )

    ran = run()
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    here.journal.unlink()
    assert run().returncode == 31


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd's own checker")
def test_systemd_accepts_the_units(here: Shop, tmp_path: Path) -> None:
    """Service and timer are valid, and the program that the service names is there."""
    for name in ("posctl-retry.service", "posctl-retry.timer"):
        unit = fitted(example_text(name), str(here.home / "bin/posctl"), None, "root")
        (tmp_path / name).write_text(unit)
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, tmp_path.glob("posctl-retry.*"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "posctl-retry" in done.stderr) == (0, False), done.stderr


def test_the_wheel_has_what_posctl_reads(shop: Shop) -> None:
    """The examples and the catalogue are in it, and posctl finds them there; the licence, too, and
    what an index shows.
    """
    pytest.importorskip("hatchling")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(shop.home)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = shop.home.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(shop.home / "site")
    shop.env["PYTHONPATH"] = str(shop.home / "site")
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "posctl", "--lang", "zh", "config", "example", "-h"],
        env=shop.env,
        cwd=shop.home,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "用法" in ran.stdout
    for name in EXAMPLES:
        assert (shop.home / "site/posctl/config/examples" / name).is_file()
    (info,) = (shop.home / "site").glob("*.dist-info")
    told = message_from_bytes((info / "METADATA").read_bytes())
    assert told["License-Expression"] == "Apache-2.0"
    assert told.get_all("License-File") == ["LICENSE"]
    assert (info / "licenses" / "LICENSE").is_file()
    assert any(line.startswith("Development Status") for line in told.get_all("Classifier", []))
