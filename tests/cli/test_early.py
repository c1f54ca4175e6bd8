"""What is known of a command line before it is parsed."""

from __future__ import annotations

import pytest

from posctl.cli.app import COMMANDS
from posctl.cli.early import Early, look_early

NOTHING = Early(
    command=None,
    json=False,
    quiet=False,
    debug=False,
    lang=None,
    format=None,
    field=None,
    codes=(),
)
CODE = "283456789012345678"


@pytest.mark.parametrize(
    ("words", "known"),
    [
        ("", {}),
        ("pay", {"command": "pay"}),
        ("pay --json", {"command": "pay", "json": True}),
        ("--json pay", {"command": "pay", "json": True}),
        ("--profile pay show", {"command": "show"}),
        ("--profile=pay show", {"command": "show"}),
        ("--config", {}),
        ("--lang zh pay", {"command": "pay", "lang": "zh"}),
        ("pay --lang=zh", {"command": "pay", "lang": "zh"}),
        ("pay --format csv --field paid", {"command": "pay", "format": "csv", "field": "paid"}),
        ("pay --quiet --debug", {"command": "pay", "quiet": True, "debug": True}),
        ("pay -- --json --lang zh", {"command": "pay"}),
        ("-- pay", {"command": "pay"}),
        ("--", {}),
        ("payy --json", {"json": True}),
        ("-x pay", {"command": "pay"}),
        (f"pay --code {CODE}", {"command": "pay", "codes": (CODE,)}),
        (f"show -- {CODE}", {"command": "show", "codes": (CODE,)}),
    ],
)
def test_what_the_first_error_needs(words: str, known: dict[str, object]) -> None:
    """Global options count on both sides of the command's name and not behind `--`; an option's
    value is no command; codes are seen wherever they stand.
    """
    assert look_early(words.split(), COMMANDS) == NOTHING._replace(**known)  # type: ignore[arg-type]  # a row's own
