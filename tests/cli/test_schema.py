"""The JSON of every command: its schema, its page, and --field by it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Ran, Shop
from json_outputs import outputs
from json_schema import PAGE, SCHEMA, page_of, schema_of, write, wrong

Training = Callable[..., Ran]


@pytest.fixture
def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return found


def test_what_every_command_prints_is_in_the_schema(trained: Training, shop: Shop) -> None:
    """Each key of every command's object, with its type; those of every run are required."""
    told = [data for _words, data in outputs(trained, shop.home)]
    if os.environ.get("POSCTL_WRITE_SCHEMA"):
        old = json.loads(SCHEMA.read_text(encoding="utf-8")) if SCHEMA.exists() else {}
        write(schema_of(told, old))
    known = json.loads(SCHEMA.read_text(encoding="utf-8"))["$defs"]
    faults = {one for data in told for one in wrong(data, known[data["command"]], data["command"])}
    assert faults == set()


def test_the_page_has_every_key_of_the_schema(schema: dict[str, Any]) -> None:
    """docs/json.md is made of the schema, and every key in it has a meaning."""
    page = PAGE.read_text(encoding="utf-8")
    assert page == page_of(schema)
    assert [line for line in page.splitlines() if line.endswith("|  |")] == []


@pytest.mark.parametrize(
    "words",
    [
        *(("pay", "--fee", "1", "--checkout", "1"), ("retry", "--all"), ("pending",), ("history",)),
        *(("show", "abcdefgh"), ("checkout", "1"), ("status", "abcdefgh"), ("report", "--close")),
        *(("receipt", "--last"), ("batch", "orders.csv"), ("reconcile", "st.csv"), ("doctor",)),
        *(("explain", "25"), ("config", "path"), ("journal", "check"), ("completion", "bash")),
        *(
            ("--version",),
            ("training", "reset"),
            ("resolve", "abcdefgh", "--as", "paid", "--note", "x"),
        ),
    ],
)
@pytest.mark.parametrize("field", ["outcom", "payments.1.outcom", "error.mesage", ""])
def test_a_misspelt_field_is_refused_before_anything_is_done(
    trained: Training, shop: Shop, words: tuple[str, ...], field: str
) -> None:
    """A name that no run of the command has is 2, with those that there are; nothing is begun."""
    ran = trained(*words, "--field", field)
    assert ran.code == 2, ran
    assert "field" in ran.err
    assert not shop.journal.exists()


@pytest.mark.parametrize(
    ("words", "field", "out"),
    [
        (("history",), "payments.1.outcome", "success"),
        (("history",), "payments.9.outcome", ""),
        (("history",), "error.message", ""),
        (("checkout", "1"), "paid_fee", "100"),
        (("report", "--day", "today"), "by.operator.1.fee", "100"),
    ],
)
def test_a_field_that_there_is_is_told(
    trained: Training, words: tuple[str, ...], field: str, out: str
) -> None:
    """Also where a list is too short or a null has nothing below it."""
    trained("pay", "--fee", "100", "--checkout", "1")
    ran = trained(*words, "--field", field)
    assert (ran.code, ran.out) == (0, out + "\n")
