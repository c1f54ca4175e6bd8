"""What a command loads: lists of modules. How long that takes is for `benchmarks/` to say."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from typing import ForwardRef

import pytest
from conftest import Shop
from faultserver import PAID, FaultServer, answer

CHILD = """
import json, os, sys
from posctl.cli.app import run
code = run(sys.argv[1:], os.environ, sys.stdin, sys.stdout, sys.stderr)
sys.stderr.write(json.dumps(sorted(sys.modules)) + "\\n")
sys.exit(code)
"""


def room(name: str, files: str) -> set[str]:
    """The modules of a room, and the room."""
    return {f"posctl.{name}", *(f"posctl.{name}.{file}" for file in files.split())}


# Where each is needed, docs/architecture.md tells.
ALWAYS = {
    *("posctl", "posctl.errors", "posctl.hint", "posctl.messages", "posctl.shell"),
    *("posctl.startup", "posctl.text", "posctl.times"),
    *room("cli", "app early framework run"),
    *room("money", "admit advice codes order outcome record refusal result scan"),
    *room("screen", "brush contract screen streams"),
    *(("posctl.sddl", "posctl.windows") if sys.platform == "win32" else ()),
}
WITH_JOURNAL = ALWAYS | {
    *("posctl.cli.commands", "posctl.files", "posctl.screen.payments"),
    *room("gateway", "exchange top"),
    *room("config", "keys profile profiles secret yamltext"),
    *room("journal", "companion open place rows sqlite sqlite_file"),
}
PAY = WITH_JOURNAL | {
    "posctl.cli.tell",
    "posctl.cli.commands.pay",
    *room("gateway", "client connection exchange judge top"),
    *room("paying", "answer desk pay row"),
}
LIST = WITH_JOURNAL | {
    *("posctl.cli.commands.pending", "posctl.paying", "posctl.paying.unreached"),
}
TYPER = {"typer", "annotated_doc", "shellingham"}
YAML = TYPER | {"yaml", "_yaml"}
HTTP = YAML | {"requests", "urllib3", "idna", "certifi"}
# The standard library's, too, are only loaded for who needs them.
NOBODYS = {
    *("argparse", "asyncio", "concurrent", "curses", "dataclasses", "decimal", "getpass", "html"),
    *("multiprocessing", "runpy", "sched", "secrets", "statistics", "termios", "tkinter", "xml"),
}


def loaded(shop: Shop, *argv: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *argv],
        env=shop.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


def assert_only(found: set[str], ours: set[str], theirs: set[str]) -> None:
    assert {name for name in found if name.partition(".")[0] == "posctl"} == ours
    tops = {name.partition(".")[0] for name in found} - {"posctl", "__main__"}
    others = {n for n in tops - sys.stdlib_module_names if "cython" not in n}  # PyYAML's own
    assert others - {"sitecustomize", "_distutils_hack"} <= theirs  # what `site` brings
    assert tops & NOBODYS == set()


def test_pay_loads_what_a_payment_needs(shop: Shop) -> None:
    """`pay --json` loads its own road, typer, requests and PyYAML, and nothing else."""
    with FaultServer(answer(PAID)) as server:
        shop.profile(server.url)
        found = loaded(shop, "pay", "--fee", "100", "--checkout", "1", "--json")
    assert len(server.requests) == 1
    assert_only(found, PAY, HTTP)


def test_lists_load_no_http(shop: Shop) -> None:
    """`pending --json` reads the configuration and the journal, and loads no HTTP client."""
    shop.profile("https://gateway.invalid/")
    found = loaded(shop, "pending", "--json")
    assert_only(found, LIST, YAML)


@pytest.mark.parametrize("asked", ["--version", "-h"])
def test_help_loads_no_configuration(shop: Shop, asked: str) -> None:
    """The version and the help read no file and load no library but typer."""
    assert_only(loaded(shop, asked), ALWAYS, TYPER)


def test_the_help_command_loads_one_command(shop: Shop) -> None:
    """`help` loads itself and the command that it explains."""
    ours = ALWAYS | {"posctl.cli.commands", "posctl.cli.commands.help"}
    assert_only(loaded(shop, "help"), ours, TYPER)


@pytest.mark.parametrize("name", sorted(room("money", "admit codes order outcome record refusal")))
def test_records_types_are_evaluated(name: str) -> None:
    """The records that every payment loads keep no type as text, which NamedTuple compiles anew."""
    module = importlib.import_module(name)
    of_text = [
        f"{record.__name__}.{field}"
        for record in vars(module).values()
        if isinstance(record, type) and hasattr(record, "_fields")
        for field, kind in record.__annotations__.items()
        if isinstance(kind, ForwardRef)
    ]
    assert not of_text
