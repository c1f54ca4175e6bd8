"""A run of every command with --json: what the schema is made of, and tested with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PAY = ("pay", "--fee", "100", "--checkout")
Run = Callable[..., Any]


def outputs(run: Run, home: Path) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Each command line and the object it printed. `run` gets the words and takes `stdin`, as in
    conftest; it pays for training, in `home`.
    """
    ids: list[str] = []

    def told(*words: str, stdin: str | None = None) -> tuple[tuple[str, ...], dict[str, Any]]:
        ran = run(*words, "--json", stdin=stdin) if stdin else run(*words, "--json")
        return words, ran.json

    for n, code in enumerate(("01", "02", "03", "05", "09", "01", "04"), 1):
        words, data = told(*PAY, str(n), "--code-stdin", stdin=f"2800000000000000{code}")
        ids.append(str(data["request_id"]))
        yield words, data
    paid, unknown = ids[0], ids[4]
    (home / "orders.csv").write_text("checkout_id,pay_fee\nb1,100\nb2,200\n")
    (home / "st.csv").write_text(f"交易号,金额,退款金额\n{paid},1.00,0.30\nzz,2.00,\n合计,3.00,\n")
    for words in (
        *(("pending",), ("report",), ("history",), ("checkout", "4"), (*PAY, "4", "--scan")),
        *(("pay", "--fee", "200", "--checkout", "4"), ("report", "--close", "--yes")),
        *(("retry", "--all", "--dry-run"), ("retry", paid, "--dry-run")),
        ("resolve", unknown, "--as", "paid", "--note", "seen", "--dry-run"),
        ("resolve", unknown, "--as", "paid", "--note", "seen", "--yes"),
        ("resolve", unknown, "--as", "not-paid", "--note", "not his", "--correct", "--yes"),
        *((*PAY, "8", "--dry-run"), (*PAY, "x y"), ("retry", unknown), ("retry", "--all")),
        *(("retry", "nobody"), ("pending",), ("show", paid), ("show", "nobody"), ("history",)),
        *(("checkout", "1"), ("status", paid), ("status", "--checkout", "1"), ("report",)),
        ("show", unknown),
        *(
            ("report", "--day", "today", "--by", "operator"),
            ("report", "--day", "today", "--details"),
            ("receipt", paid),
        ),
        *(
            ("batch", "orders.csv"),
            ("batch", "none.csv"),
            ("explain", "25"),
            ("explain", "unknown"),
        ),
        *(("reconcile", "st.csv", "--day", "today"), ("reconcile", "none.csv"), ("doctor",)),
        *(
            ("config", "path"),
            ("config", "list"),
            ("config", "check"),
            ("config", "example"),
            ("config", "show"),
            ("init",),
            ("till",),
            ("journal", "check"),
        ),
        *(
            ("journal", "create"),
            ("journal", "backup", "b.db"),
            ("journal", "adopt", "--yes"),
            ("metrics",),
            ("config", "list"),
        ),
        ("journal", "prune", "--older-than", "400", "--dry-run"),
        ("journal", "prune", "--older-than", "400", "--export", "old.jsonl"),
        *(("report", "--close", "--yes", "--note", "kept"), ("report", "--shift", "1")),
        *(("report", "--verify"), ("report", "--list"), ("report", "--shift", "1", "--details")),
        *(("journal", "restore", "b.db", "--yes"), ("completion", "bash"), ("training", "reset")),
        *(("help",), ("help", "nothing")),
        *(("--version",), ("history", "--day", "never"), ("pending", "--field", "nothing")),
    ):
        yield told(*words)


def as_line(data: object) -> str:
    return json.dumps(data, ensure_ascii=False)
