"""The docs and the command line say the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from posctl.cli.app import COMMANDS, _app
from posctl.money.outcome import EXIT_OF, Exit, Outcome

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
README_ZH = (ROOT / "docs" / "README.zh.md").read_text()
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def every_command() -> dict[str, Any]:
    """`pay`, `config show`, …: each command with its parameters."""
    root = _app()
    context = typer.Context(root)
    found = {}
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        found[name] = command
        for inner, sub in getattr(command, "commands", {}).items():
            found[f"{name} {inner}"] = sub
    return found


COMMAND = every_command()


def shown_commands() -> list[tuple[str, str]]:
    """Every `posctl …` in the docs, in backticks or in a code block, with the page it is on."""
    found = []
    for page in DOCS:
        text = page.read_text()
        spans = re.findall(r"`(posctl [^`\n]+)`", text)
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
            spans += re.findall(r"(?:^|[ /])(posctl [^|;#\n]+)", block, re.MULTILINE)
        found += [(page.name, span.strip()) for span in spans]
    return found


@pytest.mark.parametrize(("page", "line"), shown_commands())
def test_commands_in_the_docs_exist(page: str, line: str) -> None:
    """Every command line in the docs names a command and options that exist."""
    bare = re.sub(r"--(?:profile|config|lang) \S+", "", line)
    words = re.sub(r"[\"'…]", "", bare).split()[1:]
    name = next((word for word in words if not word.startswith("-")), None)
    if name is None:  # `posctl --version`
        return
    command = COMMAND[name]
    inner = getattr(command, "commands", {})
    if inner and len(words) > 1 and not words[1].startswith("-"):
        for choice in words[1].split("|"):
            assert choice in inner, line
        command = inner[words[1].split("|")[0]]
    known = {opt for param in command.params for opt in param.opts} | {"-h", "--help"}
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in known, (word, line)


def test_every_command_is_in_the_readme() -> None:
    """No command is left out of the README."""
    for name in COMMANDS:
        there = f"posctl {name}" in README or f"posctl --profile training {name}" in README
        assert there, f"add `posctl {name}` to the table in README.md and docs/README.zh.md"


@pytest.mark.parametrize("name", COMMAND)
def test_every_help_has_examples(name: str) -> None:
    """Every command's help shows at least one example, which begins with posctl."""
    examples = (COMMAND[name].epilog or "").splitlines()
    assert examples
    assert all("posctl" in line for line in examples)


@pytest.mark.parametrize("name", COMMAND)
def test_examples_in_the_help_parse(name: str) -> None:
    """The options of every example exist."""
    known = {opt for param in COMMAND[name].params for opt in param.opts}
    known |= {opt for one in COMMAND.values() for param in one.params for opt in param.opts}
    for line in COMMAND[name].epilog.splitlines():
        for word in re.findall(r"(?<!\S)--[a-z-]+", line):
            assert word in known, (word, line)


def test_every_exit_code_is_in_the_readme() -> None:
    """The README's table has every exit code with its outcome."""
    for code in Exit:
        assert re.search(rf"^\| {int(code)} \|", README, re.MULTILINE), code
    for outcome in Outcome:
        assert f"| {int(EXIT_OF[outcome])} | `{outcome}` |" in README


def test_the_chinese_page_is_in_step_with_the_readme() -> None:
    """Every command line and every exit code of the README stands in its Chinese page too."""
    shown = shown_commands()
    chinese = {line for page, line in shown if page == "README.zh.md"}
    assert [line for page, line in shown if page == "README.md" and line not in chinese] == []
    rows = [
        re.findall(r"^\| (\d+) \|([^|]*)\|", text, re.MULTILINE) for text in (README, README_ZH)
    ]
    assert rows[0] == rows[1] != []


def test_every_link_leads_somewhere() -> None:
    """Links between the pages lead to files that exist."""
    for page in DOCS:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), (page.name, target)


def test_the_architecture_page_names_every_file() -> None:
    """A reader of the architecture page has met every module of the package; of the commands, whose
    files are named like them, the folder.
    """
    text = (ROOT / "docs" / "architecture.md").read_text()
    names = {p.name for p in (ROOT / "posctl").rglob("*.py") if p.parent.name != "commands"}
    names.remove("__init__.py")
    assert sorted(name for name in names if f"`{name}`" not in text) == []


def test_every_variable_is_in_the_table() -> None:
    """docs/configuration.md has each POSCTL_ variable that the source reads, and no other."""
    page = (ROOT / "docs" / "configuration.md").read_text()
    told = re.findall(r"^\| `(POSCTL_[A-Z_]+)` \|", page, re.MULTILINE)
    sources = [*(ROOT / "posctl").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    sources += [ROOT / "noxfile.py", *(path for path in (ROOT / ".ci").iterdir() if path.is_file())]
    read = {
        name
        for path in sources
        for name in re.findall(r"\bPOSCTL_[A-Z_]*[A-Z]\b", path.read_text(errors="replace"))
    }
    assert sorted(told) == sorted(read)
