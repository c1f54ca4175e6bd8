"""The shift: what is summed up, what a closed one promises, and what the pages of it show."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran, Shop
from counter import Counter
from hypothesis import given
from hypothesis import strategies as st
from pty_run import pty_run
from scenes import HOSTILE

from posctl import messages
from posctl.journal import sqlite_file as sqlite_module
from posctl.journal.sqlite import SqliteJournal
from posctl.journal.sqlite_file import MIGRATIONS
from posctl.money.outcome import (
    Doubt,
    Event,
    Outcome,
    Standing,
    State,
    advance,
    outcome_of,
    resolve,
)
from posctl.money.record import (
    QUARTER_MS,
    Cell,
    Checkout,
    Correction,
    Filter,
    Merchant,
    NewPayment,
    Payment,
    Shift,
    TryEnd,
    Verdict,
    Who,
)
from posctl.office.report import (
    DIMENSIONS,
    Line,
    Open,
    PartPaid,
    Report,
    check,
    seal,
    sums_of,
    unseal,
)
from posctl.office.report_html import html_page
from posctl.office.report_screen import line_money, shares
from posctl.screen.sheet import sheet

Training = Callable[..., Ran]

MERCHANT = Merchant(True, "12345678")
WHO = Who("till-host", 42, "001", "123")


def take(
    journal: SqliteJournal,
    n: int,
    event: Event | None = Event.PAID,
    *,
    fee: int = 100,
    at_ms: int = 1000,
    operator: str = "123",
    till: str = "001",
    charged: int | None = None,
    merchant: Merchant = MERCHANT,
) -> Payment:
    """Payment number `n`, whose one try ended with `event`; None while it is on its way."""
    request_id = f"r-{n:07d}"
    wire = f'{{"request_id":"{request_id}","channel_account":"283456789012345678","pay_fee":{fee}}}'
    new = NewPayment(
        request_id=request_id,
        profile="store-1",
        gateway="https://gw",
        app_key="12345678",
        checkout=Checkout(*merchant, "1", f"c{n}"),
        order_id=f"c{n}",
        operator_id=operator,
        machine_id=till,
        pay_channel="alipay_facepay_v2",
        pay_fee=fee,
        pay_request=wire,
        created_ms=at_ms,
    )

    def begin(tx: SqliteJournal) -> Payment:
        row = tx.insert(new)
        assert tx.hold(row)
        return tx.start_try(row, WHO, at_ms)

    begun = journal.transact(begin)
    if event is not None:
        end = TryEnd(event, at_ms + 1, 200)
        verdict = Verdict(1, 0, charged, 1006, f"v{n}", f"t{n}")
        begun = journal.transact(
            lambda tx: tx.finish_try(begun, end, advance(begun.standing, event), verdict, ())
        )
    journal.let_go(begun)
    return begun


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def test_an_older_posctl_that_is_open_goes_on_while_a_newer_one_migrates(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the older one writes after the migration belongs to the running shift."""
    with monkeypatch.context() as at:
        at.setattr(sqlite_module, "MIGRATIONS", MIGRATIONS[:1])
        sqlite_module.create_file(path)
    Path(f"{path}.held").write_bytes(b"\0")
    newer = SqliteJournal(path)
    take(newer, 1)
    older = {"request_id": "r-older-01", "profile": "store-1", "live": 1, "gateway": "https://gw"}
    older |= {"app_key": "12345678", "shop_id": "1", "checkout_id": "9", "order_id": "9"}
    older |= {"operator_id": "9", "machine_id": "001", "pay_channel": "alipay_facepay_v2"}
    older |= {"pay_fee": 100, "pay_request": "{}", "state": "success", "paid": 1, "tries": 1}
    older |= {
        "result_status": 1,
        "created_ms": 1_700_000_000_000,
        "updated_ms": 1_700_000_000_000,
        "closed_ms": 1_700_000_000_000,
    }
    with closing(sqlite3.connect(path)) as db, db:  # as 0.1 says it, which knew no merchant
        marks = ", ".join("?" * len(older))
        db.execute(
            f"INSERT INTO payments ({', '.join(older)}) VALUES ({marks})", tuple(older.values())
        )
    cells = newer.sums(Filter(merchant=MERCHANT, shift=0))
    assert sorted((cell.operator_id, cell.n, cell.fee) for cell in cells) == [
        ("123", 1, 100),
        ("9", 1, 100),
    ]
    newer.close()


def test_reports_find_their_payments_through_an_index(path: Path) -> None:
    """Neither a day nor a shift is looked for in the whole journal."""
    journal = SqliteJournal(path)
    seen: list[str] = []
    journal._db.set_trace_callback(seen.append)
    for which in (
        Filter(merchant=MERCHANT, since_ms=1, until_ms=2),
        Filter(merchant=MERCHANT, shift=0),
        Filter(merchant=MERCHANT, shift=7),
    ):
        journal.sums(which)
        list(journal.history(which))
    journal.close()
    db = sqlite3.connect(path)
    plans = ["; ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}")) for sql in seen]
    db.close()
    day = "SEARCH payments USING INDEX by_created (created_ms>? AND created_ms<?)"
    shift = "SEARCH payments USING INDEX by_shift (shift=?)"
    assert [plan.partition(";")[0] for plan in plans] == [day, day, shift, shift, shift, shift]


# ── sums ─────────────────────────────────────────────────────────────────────────────────────


STANDINGS = [
    *(advance(Standing(State.SENDING), event) for event in Event),
    Standing(State.PREPARED),
    Standing(State.SENDING, Doubt.PENDING),
    resolve(Standing(State.UNKNOWN), paid=True),
    resolve(Standing(State.UNKNOWN), paid=False),
]
CELLS = st.lists(
    st.builds(
        Cell,
        shop_id=st.sampled_from(["1", "2"]),
        operator_id=st.sampled_from(["1", "2"]),
        machine_id=st.sampled_from(["001", "002"]),
        pay_channel=st.sampled_from(["alipay", "wechat"]),
        quarter=st.integers(0, 2_000_000),
        standing=st.sampled_from(STANDINGS),
        n=st.integers(1, 5),
        fee=st.integers(0, 10**12),
    ),
    max_size=30,
)


TAKEN_TABLES = [name for name in DIMENSIONS if name != "outcome"]
CORRECTIONS = st.lists(
    st.builds(
        lambda paid, fee, **more: Correction(
            *("r-0000001", "c1"), paid=paid, fee=fee if paid else -fee, by="me", note="", **more
        ),
        paid=st.booleans(),
        fee=st.integers(1, 10**12),
        shop_id=st.sampled_from(["1", "3"]),
        operator_id=st.sampled_from(["1", "3"]),
        machine_id=st.sampled_from(["001", "003"]),
        pay_channel=st.sampled_from(["alipay", "card"]),
        at_ms=st.integers(0, 2_000_000 * QUARTER_MS),
    ),
    max_size=10,
)


@given(CELLS, CORRECTIONS)
def test_every_table_adds_up_to_what_was_taken(
    cells: list[Cell], corrections: list[Correction]
) -> None:
    """Whatever was paid and corrected: money and number of each table are those above it; the
    outcomes' numbers are those of the payments.
    """
    report = Report("p", True, 1, 0, 1, sums_of(cells), (), corrections=tuple(corrections))
    total = report.total
    assert report.fee == report.sums.fee + sum(one.fee for one in corrections)
    for name in TAKEN_TABLES:
        assert sum(line.fee for line in total.by[name]) == report.fee
        assert sum(line.n for line in total.by[name]) == total.paid
    of = {line.key: line for line in total.by["outcome"]}
    success = of.get("success", Line("", 0, 0))
    assert (success.n, success.fee) == (total.paid, report.fee)
    assert sum(line.n for line in of.values()) == sum(cell.n for cell in cells)
    assert total.paid + total.not_charged + total.open == sum(cell.n for cell in cells)


@given(CELLS)
def test_every_payment_is_counted_once_and_only_paid_ones_are_money(cells: list[Cell]) -> None:
    """Paid, not charged and open make all of them; each table but the outcomes' sums to the fee."""
    sums = sums_of(cells)
    paid = [cell for cell in cells if outcome_of(cell.standing) is Outcome.SUCCESS]
    assert sums.paid + sums.not_charged + sums.open == sum(cell.n for cell in cells)
    assert (sums.paid, sums.fee) == (sum(c.n for c in paid), sum(c.fee for c in paid))
    for name in TAKEN_TABLES:
        assert sum(line.fee for line in sums.by[name]) == sums.fee
        assert sum(line.n for line in sums.by[name]) == sums.paid
    assert sum(line.n for line in sums.by["outcome"]) == sum(cell.n for cell in cells)
    still_open = [c for c in cells if c.standing.open]
    assert sums.open_fee == sum(cell.fee for cell in still_open)


def test_what_the_platform_charged_counts_not_what_was_asked(path: Path) -> None:
    """A paid payment counts with current_pay_fee when the platform told it; a failed one never."""
    journal = SqliteJournal(path)
    take(journal, 1, fee=100, charged=70)
    take(journal, 2, fee=100, charged=None)
    take(journal, 3, Event.FAILED, fee=100, charged=70)
    take(journal, 4, Event.STILL_PENDING, fee=100, charged=70)
    sums = sums_of(journal.sums(Filter(merchant=MERCHANT)))
    journal.close()
    assert (sums.paid, sums.fee, sums.not_charged) == (2, 170, 1)
    assert (sums.open, sums.open_fee) == (1, 100)


def test_one_merchant_never_meets_another(path: Path) -> None:
    """Sums and shifts are one merchant's, and so training's or live's."""
    other = Merchant(False, "training")
    journal = SqliteJournal(path)
    take(journal, 1)
    take(journal, 2, merchant=other)
    journal.transact(lambda tx: tx.close_shift(MERCHANT, Shift(1, "{}", "")))
    assert journal.sums(Filter(merchant=MERCHANT, shift=0)) == []
    assert sums_of(journal.sums(Filter(merchant=other, shift=0))).paid == 1
    assert journal.shift(other) is None
    journal.close()


# ── closed shifts ────────────────────────────────────────────────────────────────────────────


def close(journal: SqliteJournal, number: int, **more: Any) -> Shift:
    """Close a shift as the command does."""

    def work(tx: SqliteJournal) -> Shift:
        which = Filter(merchant=MERCHANT, shift=0)
        report = Report("store-1", True, number, 0, number, sums_of(tx.sums(which)), (), **more)
        report = report._replace(corrections=tuple(tx.corrections(which)))
        shift = seal(report, tx.history(which), MERCHANT, tx.shift(MERCHANT))
        tx.close_shift(MERCHANT, shift)
        return shift

    return journal.transact(work)


def faults(journal: SqliteJournal) -> list[tuple[int, str | None]]:
    return [
        (one.number, one.fault)
        for one in check(
            journal.shifts(MERCHANT),
            lambda number, chain: journal.history(
                Filter(merchant=MERCHANT, shift=number, chain=chain)
            ),
            lambda number, chain: journal.corrections(
                Filter(merchant=MERCHANT, shift=number, chain=chain)
            ),
        )
    ]


@pytest.fixture
def three_shifts(path: Path) -> Iterator[SqliteJournal]:
    """Three closed shifts of two payments each, one of them failed; and one that is running."""
    journal = SqliteJournal(path)
    for number in (1, 2, 3):
        take(journal, number * 10, charged=90)
        take(journal, number * 10 + 1, Event.FAILED)
        close(journal, number)
    take(journal, 40)
    yield journal
    journal.close()


def test_shifts_as_they_were_closed_are_good(three_shifts: SqliteJournal) -> None:
    """Nothing is found fault with when nothing was altered."""
    assert faults(three_shifts) == [(1, None), (2, None), (3, None)]


ALTERATIONS = {
    "UPDATE payments SET current_pay_fee=1 WHERE request_id='r-0000020'": [(2, "payments")],
    "UPDATE payments SET state='fail', paid=0 WHERE request_id='r-0000020'": [(2, "payments")],
    "UPDATE payments SET request_id='r-0000029', pay_request=replace(pay_request, '20', '29') "
    "WHERE request_id='r-0000020'": [(2, "payments")],
    "UPDATE payments SET operator_id='9' WHERE request_id='r-0000020'": [(2, "payments")],
    "UPDATE payments SET closed_ms=5 WHERE request_id='r-0000020'": [(2, "payments")],
    "DELETE FROM payments WHERE request_id='r-0000021'": [(2, "payments")],
    "UPDATE payments SET shift=NULL WHERE request_id='r-0000020'": [(2, "payments")],
    "UPDATE payments SET shift=2 WHERE request_id='r-0000040'": [(2, "payments")],
    "UPDATE payments SET shift=3 WHERE request_id='r-0000020'": [
        (2, "payments"),
        (3, "payments"),
    ],
    "UPDATE shifts SET content=replace(content, '\"fee\":90', '\"fee\":91') WHERE number=2": [
        (2, "content")
    ],
    "UPDATE shifts SET content='[]' WHERE number=2": [(2, "content")],
    "UPDATE shifts SET hash='00' WHERE number=2": [(2, "content"), (3, "chain")],
    "DELETE FROM shifts WHERE number=2": [(2, "missing"), (3, "chain")],
    "DELETE FROM shifts WHERE number=1": [(1, "missing"), (2, "chain")],
    "DELETE FROM shifts WHERE number=3": [(3, "missing")],
    "UPDATE shifts SET number=4 WHERE number=3": [(3, "missing"), (4, "content")],
}


@pytest.mark.parametrize("sql", ALTERATIONS)
def test_whatever_is_altered_afterwards_shows(
    three_shifts: SqliteJournal, path: Path, sql: str
) -> None:
    """A payment, a shift's own record, its place in the row: each alteration names its shift."""
    tries = "DELETE FROM tries WHERE seq=(SELECT seq FROM payments WHERE request_id='r-0000021')"
    db = sqlite3.connect(path)
    with db:
        for statement in (tries, sql) if sql.startswith("DELETE FROM payments") else (sql,):
            assert db.execute(statement).rowcount == 1
    db.close()
    bad = [(number, fault) for number, fault in faults(three_shifts) if fault]
    assert bad == ALTERATIONS[sql]


def test_sums_altered_with_a_hash_to_match_show_too(
    three_shifts: SqliteJournal, path: Path
) -> None:
    """The last shift has none after it: its sums are compared with its payments as well."""
    last = three_shifts.shift(MERCHANT)
    assert last is not None
    richer = unseal(last)._replace(hash=None)
    richer = richer._replace(sums=richer.sums._replace(fee=richer.sums.fee + 1))
    which = Filter(merchant=MERCHANT, shift=3)
    forged = seal(richer, three_shifts.history(which), MERCHANT, three_shifts.shift(MERCHANT, 2))
    db = sqlite3.connect(path)
    with db:
        db.execute("UPDATE shifts SET content=?, hash=? WHERE number=3", forged[1:3])
    db.close()
    assert faults(three_shifts)[2] == (3, "content")


def test_a_shift_whose_payments_are_all_pruned_is_told_apart(
    three_shifts: SqliteJournal, path: Path
) -> None:
    """Nothing can be compared any more: that is said, and is no alteration."""
    db = sqlite3.connect(path)
    with db:
        db.execute("DELETE FROM tries WHERE seq IN (SELECT seq FROM payments WHERE shift=1)")
        db.execute("DELETE FROM payments WHERE shift=1")
    db.close()
    assert faults(three_shifts) == [(1, "gone"), (2, None), (3, None)]


def test_a_closed_shift_reads_as_it_was_closed(path: Path) -> None:
    """Everything in a report survives being sealed, hostile words included."""
    journal = SqliteJournal(path)
    for n, event in enumerate((Event.PAID, Event.FAILED, Event.REFUSED)):
        take(journal, n, event, operator=f"op {n}")
    sums = sums_of(journal.sums(Filter(merchant=MERCHANT)))
    still_open = Open("r-1", "c", "1", "2", Outcome.UNKNOWN, 5, 6)
    rest = PartPaid("c", "1", 7, 8, "1", "2", 9)
    report = Report("store-1", True, 1, None, 9, sums, (still_open,), 9, "wang@till", HOSTILE)
    report = report._replace(part_paid=(rest,))
    shift = seal(report, journal.history(Filter(merchant=MERCHANT)), MERCHANT, None)
    journal.close()
    assert unseal(shift) == report._replace(hash=shift.hash)
    assert isinstance(unseal(shift).open[0].outcome, Outcome)


# ── the command ──────────────────────────────────────────────────────────────────────────────


def pay(trained: Training, n: int, code: str = "01", operator: str = "123") -> str:
    ran = trained(
        *("pay", "--fee", "100", "--checkout", str(n), "--operator", operator, "--json"),
        "--code-stdin",
        stdin=f"2800000000000000{code}",
    )
    return str(ran.json["request_id"])


def test_the_running_shift_is_what_closing_it_would_take(trained: Training) -> None:
    """X and Z say the same; afterwards X begins at nothing, and only what is new is in it."""
    pay(trained, 1)
    pay(trained, 2, "03")
    z = trained("report", "--close", "--json")
    assert z.code == 0
    assert (z.json["shift"], z.json["paid"], z.json["fee"], z.json["not_charged"]) == (1, 1, 100, 1)
    assert z.json["closed_at"]
    assert z.json["closed_by"]
    x = trained("report", "--json").json
    assert (x["shift"], x["paid"], x["fee"], x["closed_at"]) == (2, 0, 0, None)
    assert x["since"] == z.json["until"]
    pay(trained, 3)
    pay(trained, 4, operator="9")
    x = trained("report", "--json").json
    z = trained("report", "--close", "--json")
    same = ("shift", "since", "paid", "fee", "by", "open", "not_charged")
    assert [x[name] for name in same] == [z.json[name] for name in same]
    assert [line["key"] for line in x["by"]["operator"]] == ["123", "9"]
    assert trained("report", "--shift", "2", "--json").json == z.json
    verified = trained("report", "--verify", "--json")
    assert verified.code == 0
    assert [one["fault"] for one in verified.json["shifts"]] == [None, None]


def test_without_a_closed_shift_it_is_today_and_says_what_is_older(
    trained: Training, shop: Shop
) -> None:
    """On the first day nothing needs to be said; later that there is more is on stderr."""
    pay(trained, 1)
    first = trained("report", "--json")
    assert (first.json["shift"], first.json["paid"]) == (None, 1)
    assert "No shift was closed yet" not in first.err
    db = sqlite3.connect(shop.journal)
    with db:
        db.execute("UPDATE payments SET created_ms=created_ms-86400000*3")
    db.close()
    later = trained("report", "--json")
    assert later.json["paid"] == 0
    assert "No shift was closed yet" in later.err
    assert trained("report", "--close", "--json").json["paid"] == 1


def test_a_shift_is_not_closed_over_open_payments_unless_told_why(trained: Training) -> None:
    """Exit 30 and what to do; with a note it is closed, and the open ones stay for the next."""
    paid, pending = pay(trained, 1), pay(trained, 2, "04")
    refused = trained("report", "--close", "--json")
    assert refused.code == 30
    assert (refused.json["error"]["kind"], refused.json["error"]["code"]) == (
        "blocked",
        "open_payments",
    )
    assert "posctl --profile training pending" in refused.json["error"]["hint"]
    assert trained("report", "--close", "--note", " ", "--json").code == 30
    closed = trained("report", "--close", "--note", "till must close", "--json").json
    assert (closed["note"], closed["paid"], closed["open"], closed["open_fee"]) == (
        *("till must close", 1),
        *(1, 100),
    )
    assert [one["request_id"] for one in closed["open_payments"]] == [pending]
    assert trained("resolve", pending, "--as", "paid", "--note", "seen").code == 0
    settled = trained("report", "--json").json
    assert (settled["paid"], settled["by_hand"], settled["open"]) == (1, 1, 0)
    assert trained("report", "--verify").code == 0
    assert paid not in trained("report", "--json").out


def test_a_shift_is_not_closed_over_alarms_unless_told_why(trained: Training, shop: Shop) -> None:
    """Alarms that nobody has acknowledged stand in the report and block --close (30) but with
    --note; the closed shift goes on showing them.
    """
    lost = trained("pay", "--fee", "100", "--checkout", "c1", "--code-stdin", stdin=CUT_AFTER)
    assert lost.code == 21
    request_id = json.loads(trained("pending", "--json").out)["payments"][0]["request_id"]
    args = ("resolve", request_id, "--as", "not-paid", "--note", "he left")
    assert trained(*args).code == 0
    (shop.home / "c.yaml").write_text("profiles: {training: {status_words: {SUCCESS: success}}}\n")
    (shop.home / "c.yaml").chmod(0o600)
    shop.env["POSCTL_CONFIG"] = str(shop.home / "c.yaml")
    assert trained("status", request_id).code == 22
    for words in ((), ("--day", "today"), ("--close", "--note", "the bank was asked")):
        refused = trained("report", "--close", "--yes", "--json")
        assert (refused.code, refused.json["error"]["code"]) == (30, "alarms")
        told = trained(
            "report", *words, "--json", *(("--yes",) if words[:1] == ("--close",) else ())
        )
        assert (told.code, [one["request_id"] for one in told.json["alarms"]]) == (0, [request_id])
    closed = trained("report", "--shift", "1", "--json")
    assert [one["request_id"] for one in closed.json["alarms"]] == [request_id]
    assert (
        "ALARMS  1"
        in trained("report", "--shift", "1", "--html", "z.html").out
        + (shop.home / "z.html").read_text()
    )


CUT_AFTER = "280000000000000009"


def test_altered_shifts_exit_31(trained: Training, shop: Shop) -> None:
    """--verify names the shift, and the exit code says that the journal cannot be trusted."""
    request_id = pay(trained, 1)
    trained("report", "--close")
    db = sqlite3.connect(shop.journal)
    with db:
        db.execute("UPDATE payments SET operator_id='9' WHERE request_id=?", (request_id,))
        db.execute("UPDATE payments SET pay_request=replace(pay_request, '\"123\"', '\"9\"')")
    db.close()
    ran = trained("report", "--verify", "--json")
    assert (ran.code, ran.json["exit_code"], ran.json["error"]["code"]) == (31, 31, "shift_altered")
    assert ran.json["shifts"] == [{"shift": 1, "fault": "payments"}]


def test_shifts_closed_at_once_are_numbered_one_after_another(
    trained: Training, shop: Shop
) -> None:
    """Five tills that close together make five shifts, and each payment is in one of them."""
    pay(trained, 1)
    tills = [shop.start("--profile", "training", "report", "--close", "--json") for _ in range(5)]
    done = [json.loads(till.communicate(timeout=60)[0]) for till in tills]
    assert sorted(one["shift"] for one in done) == [1, 2, 3, 4, 5]
    assert sum(one["paid"] for one in done) == 1
    assert trained("report", "--verify").code == 0


def test_a_day_and_a_span_take_what_was_begun_in_them(trained: Training) -> None:
    """Days count whole, moments are local; an empty span is a report of nothing."""
    pay(trained, 1)
    assert trained("report", "--day", "today", "--json").json["paid"] == 1
    assert trained("report", "--day", "yesterday", "--json").json["paid"] == 0
    assert trained("report", "--since", "yesterday", "--until", "today", "--json").json["paid"] == 1
    assert trained("report", "--until", "yesterday", "--json").json["paid"] == 0
    assert trained("report", "--since", "2020-01-01T00:00", "--json").json["paid"] == 1
    data = trained("report", "--until", "2020-01-01T08:00+08:00", "--by", "till", "--json").json
    assert (data["paid"], data["until"]) == (0, "2020-01-01T00:00:00.000Z")
    assert data["by"] == {"till": []}


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("--day", "someday"), "bad_day"),
        (("--since", "2026-13-01T00:00"), "bad_moment"),
        (("--since", "today", "--until", "yesterday"), "bad_span"),
        (("--day", "today", "--close"), "which"),
        (("--since", "today", "--until", "today", "--verify"), "which"),
        (("--by", "cashier"), "bad_by"),
        (("--csv", "-"), "one_stdout"),
        (("--html", "-"), "one_stdout"),
        (("--note", "x"), "note_without_close"),
        (("--close", "--note", "a\x1bb"), "bad_attributes"),
        (("--shift", "0"), "bad_shift"),
        (("--shift", "1"), "unknown_shift"),
        (("--close", "--html", "/no/such/folder/page.html"), "cannot_write"),
    ],
)
def test_bad_command_lines_close_nothing(
    trained: Training, args: tuple[str, ...], code: str
) -> None:
    """A usage error, every key of the error, and no shift."""
    ran = trained("report", *args, "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, code)
    assert trained("report", "--verify", "--json").json["shifts"] == []


# ── CSV and the page ─────────────────────────────────────────────────────────────────────────


def test_csv_is_a_table_for_a_spreadsheet(trained: Training, shop: Shop) -> None:
    """One flat table, UTF-8 with a mark for Excel, the same on stdout and in a file."""
    pay(trained, 1)
    pay(trained, 2, "04")
    pay(trained, 3, "03")
    ran = trained("report", "--csv", "-")
    assert trained("report", "--csv", "out.csv").code == 0
    assert (shop.home / "out.csv").read_text(encoding="utf-8") == ran.out
    assert ran.out.startswith("\ufeff")
    rows = list(csv.DictReader(io.StringIO(ran.out[1:])))
    found = {
        (row["Table"], row["Line"].strip()): (
            *(row["Number"], row["Taken (yuan)"], row["Open or due (yuan)"]),
        )
        for row in rows
    }
    assert found["Total", "taken"] == ("1", "1.00", "")
    assert found["Total", "not charged"] == ("1", "", "")
    assert found["Total", "open"] == ("1", "", "1.00")
    assert found["By operator", "123"] == ("1", "1.00", "")
    assert found["By outcome", "√ PAID"] == ("1", "1.00", "")
    assert found["By outcome", "× FAILED"] == ("1", "", "")
    assert found["By outcome", "… PENDING"] == ("1", "", "1.00")
    assert {row["Money"] for row in rows} == {"training"}
    today = time.strftime("%Y-%m-%d")
    assert {row["From"] for row in rows} == {f"{today} 00:00:00"}
    zh = trained("report", "--csv", "-", "--lang", "zh").out
    assert "按收银员" in zh
    assert "实收（元）" in zh


@given(st.text(max_size=20))
def test_no_cell_is_a_formula(text: str) -> None:
    """Whatever an id or a statement holds, no cell begins as a formula does, nor ends its row."""
    (row,) = list(csv.reader(io.StringIO(sheet(("a", "b"), [(text, 1)])[1:])))[1:]
    number = re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", row[0])
    assert number or not row[0].startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert row[1] == "1"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "＝"])
def test_what_would_be_a_formula_is_text(start: str) -> None:
    """It stands behind an apostrophe, which a spreadsheet shows as text."""
    assert sheet(("a",), [(f"{start}1+1",)]).splitlines()[1].startswith("\"'")


class _Page(HTMLParser):
    """What a browser would load, run or show of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read_page(html: str) -> _Page:
    page = _Page()
    page.feed(html)
    page.close()
    return page


@pytest.fixture
def english() -> Iterator[None]:
    yield
    messages.use_language("en")


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.usefixtures("english")
def test_the_page_loads_and_runs_nothing_and_escapes_everything(lang: str) -> None:
    """No script, no link, no picture, no address; words from elsewhere are words."""
    evil = HOSTILE + '<script>alert(1)</script>" onload="x" <img src=http://evil/>'
    cell = Cell(evil, evil, evil, evil, 1, Standing(State.SUCCESS, paid=True), 1, 100)
    still_open = Open(evil, evil, evil, evil, Outcome.UNKNOWN, 5, 6)
    sums = sums_of([cell])._replace(open=1, open_fee=5)
    report = Report(evil, True, 1, 0, 9, sums, (still_open,), 9, evil, evil, "ab" * 32)
    messages.use_language(lang)
    page = read_page(html_page(report, DIMENSIONS, (evil,), 0))
    assert {tag for tag, _attrs in page.tags} <= {
        *("html", "head", "meta", "title", "style", "body", "p", "h1", "h2", "span", "ul", "li"),
        *("b", "div", "section", "table", "thead", "tbody", "tr", "th", "td", "dl", "dt", "dd"),
        "tfoot",
        "footer",
    }
    names = {name for _tag, attrs in page.tags for name in attrs}
    assert names <= {
        "lang",
        "charset",
        "http-equiv",
        "content",
        "name",
        "class",
        "style",
        "data-name",
    }
    assert "<script>alert(1)</script>" in page.text
    assert "\x1b" not in page.text
    assert "\u202e" not in page.text
    assert "url(" not in page.text
    assert ("html", {"lang": {"en": "en", "zh": "zh-CN"}[lang]}) in page.tags


@pytest.mark.parametrize(("lang", "words"), [("en", "By operator"), ("zh", "按收银员")])
def test_the_page_says_what_the_report_says(
    trained: Training, shop: Shop, lang: str, words: str
) -> None:
    """Totals, tables, what is open and that it is training, in both languages."""
    pay(trained, 1)
    pending = pay(trained, 2, "04")
    ran = trained("report", "--html", "page.html", "--lang", lang)
    assert ran.code == 0
    page = read_page((shop.home / "page.html").read_text(encoding="utf-8"))
    for fact in (
        "￥1.00",
        words,
        pending,
        {"en": "alipay_facepay_v2", "zh": "支付宝当面付"}[lang],
        {"en": "TRAINING", "zh": "演练"}[lang],
    ):
        assert fact in page.text
    assert trained("report", "--html", "-", "--lang", lang).out.startswith("<!doctype html>")


# ── on a terminal ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("columns", [24, 40, 80])
def test_the_screen_fits_and_says_it_all(
    trained: Training, shop: Shop, columns: int, lang: str
) -> None:
    """No line runs over the edge but an id, and every number is on the screen."""
    pay(trained, 1)
    pay(trained, 3, operator="9")
    request_id = pay(trained, 2, "09")
    command = [*shop.command, "--profile", "training", "--lang", lang, "report"]
    shown = pty_run(command, columns=columns, env=shop.env | {"TERM": "dumb"}, cwd=shop.home)
    assert shown.exit_code == 0
    assert shown.widest <= columns
    for fact in ("￥1.00", "123", "001", request_id, "posctl --profile training pending"):
        assert fact in shown.flow
    assert re.search("####", shown.flow) if columns == 80 else True


def test_bars_are_as_long_as_the_money(trained: Training, shop: Shop) -> None:
    """Who took half has half a bar, drawn with signs where the terminal can do no more."""
    for n, operator in enumerate(("7", "7", "8")):
        pay(trained, n, operator=operator)
    command = [*shop.command, "--profile", "training", "report", "--by", "operator"]
    shown = pty_run(command, env=shop.env | {"TERM": "dumb"}, cwd=shop.home)
    bars = re.findall(r"^ [78] .*?(#+)$", shown.text, re.MULTILINE)
    assert [len(bar) for bar in bars] == [30, 15]


def test_closing_on_a_terminal_asks(trained: Training, shop: Shop) -> None:
    """No is no: nothing is closed (130). Yes closes it; --yes does not ask."""
    pay(trained, 1)
    command = [*shop.command, "--profile", "training", "report", "--close"]
    question = "Close shift 1 for good? 1 paid, ￥1.00, 0 open."
    no = pty_run(command, env=shop.env, cwd=shop.home, answers=[(question, "n\n")])
    assert no.exit_code == 130
    assert trained("report", "--verify", "--json").json["shifts"] == []
    yes = pty_run(command, env=shop.env, cwd=shop.home, answers=[(question, "y\n")])
    assert yes.exit_code == 0
    assert "Z REPORT · shift 1, closed" in yes.text
    again = pty_run([*command, "--yes"], env=shop.env, cwd=shop.home)
    assert (again.exit_code, "for good?" in again.text) == (0, False)


def test_a_yes_closes_the_shift_it_was_asked_about(trained: Training, shop: Shop) -> None:
    """When somebody closes it while the question stands, a yes does not close the next one (30)."""
    pay(trained, 1)
    command = [*shop.command, "--profile", "training", "report", "--close"]
    with Counter(command, shop.env, cwd=shop.home) as late:
        late.see("Close shift 1 for good?")
        assert trained("report", "--close").code == 0
        late.type("y\n")
        late.see("Shift 1 was closed by somebody else meanwhile.", "report --shift 1")
        assert late.end() == 30
    assert [one["shift"] for one in trained("report", "--verify", "--json").json["shifts"]] == [1]


def test_a_closed_shift_on_a_terminal_shows_its_hash(trained: Training, shop: Shop) -> None:
    """What must be kept on paper is on the screen: number, note, hash; --verify is in words."""
    sha256 = trained("report", "--close", "--note", "evening", "--field", "sha256").out.strip()
    training = [*shop.command, "--profile", "training", "report"]
    shown = pty_run([*training, "--shift", "1"], env=shop.env, cwd=shop.home)
    assert sha256 in shown.flow
    assert "evening" in shown.text
    verified = pty_run([*training, "--verify"], env=shop.env, cwd=shop.home)
    assert "√ shift 1: as it was closed" in verified.text


# ── several days, several shifts ─────────────────────────────────────────────────────────────


def move_back(shop: Shop, days: int, which: str) -> None:
    """Let the payments that `which` (SQL) names have been begun so many days ago."""
    with closing(sqlite3.connect(shop.journal)) as db, db:
        db.execute(
            f"UPDATE payments SET created_ms=created_ms-? WHERE {which}",
            (days * 86_400_000,),
        )


def test_several_days_have_a_table_by_day(trained: Training, shop: Shop) -> None:
    """Each local day with its sum, the earliest first; a report of one day shows no such table."""
    for n in (1, 2, 3):
        pay(trained, n)
    move_back(shop, 2, "checkout_id='1'")
    found = trained("report", "--since", "2020-01-01", "--by", "day", "--json").json["by"]["day"]
    assert [(line["count"], line["fee"]) for line in found] == [(1, 100), (2, 200)]
    assert [line["key"] for line in found] == sorted(line["key"] for line in found)
    texts = [
        trained("report", "--since", since, "--format", "text").out
        for since in ("2020-01-01", "today")
    ]
    assert ["By day" in text for text in texts] == [True, False]
    assert found[0]["key"] in texts[0]
    alone = trained("report", "--day", "today", "--by", "day", "--format", "text").out
    assert found[1]["key"] in alone


def test_a_shift_that_was_closed_before_there_were_days_is_read(
    three_shifts: SqliteJournal,
) -> None:
    """Its table by day is empty, and it is as it was closed."""
    last = three_shifts.shift(MERCHANT)
    assert last is not None
    content = json.loads(last.content)
    del content["sums"]["by"]["day"]
    assert unseal(last._replace(content=json.dumps(content))).sums.by["day"] == ()


def test_all_closed_shifts_are_listed(trained: Training, shop: Shop) -> None:
    """Number, when, by whom, how many, how much with corrections; as text, JSON and CSV."""
    assert trained("report", "--list", "--json").json["shifts"] == []
    pay(trained, 1)
    unknown = pay(trained, 2, "09")
    trained("resolve", unknown, "--as", "paid", "--note", "seen", "--yes")
    trained("report", "--close", "--note", "evening")
    trained("resolve", unknown, "--as", "not-paid", "--correct", "--note", "not his", "--yes")
    pay(trained, 3)
    trained("report", "--close")
    found = trained("report", "--list", "--json").json["shifts"]
    assert [
        (one["shift"], one["paid"], one["fee"], one["corrections_fee"], one["note"])
        for one in found
    ] == [(1, 2, 200, 0, "evening"), (2, 0, 0, -100, None)]
    assert all(one["closed_by"] and one["closed_at"] and one["sha256"] for one in found)
    rows = list(csv.reader(io.StringIO(trained("report", "--list", "--csv", "-").out[1:])))
    assert [(row[0], row[4], row[5], row[6]) for row in rows[1:]] == [
        *(("1", "2", "2.00", "0.00"), ("2", "0", "0.00", "-1.00")),
        ("Total", "2", "2.00", "-1.00"),
    ]
    text = trained("report", "--list", "--format", "text", "--lang", "zh").out
    for fact in ("实收", "￥2.00", "￥0.00", "−￥1.00"):
        assert fact in text
    assert trained("report", "--list", "--day", "yesterday", "--json").json["shifts"] == []
    assert len(trained("report", "--list", "--since", "today", "--json").json["shifts"]) == 2


@pytest.mark.parametrize(
    "args", [("--close",), ("--verify",), ("--shift", "1"), ("--shop", "1"), ("--html", "p.html")]
)
def test_the_list_of_shifts_goes_with_little(
    trained: Training, shop: Shop, args: tuple[str, ...]
) -> None:
    """What it does not narrow or write is refused, and nothing is closed."""
    ran = trained("report", "--list", *args, "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, "which")
    assert not shop.journal.exists()


# ── each in its place ────────────────────────────────────────────────────────────────────────


def test_part_paid_checkouts_are_told_and_hinder_nobody(trained: Training, shop: Shop) -> None:
    """In X and Z, on the screen, as JSON, in the page, and on stderr of a script that closes; what
    was paid since is told no more, and a closed shift says what it said.
    """
    pay(trained, 1, "02")
    pay(trained, 2, "02")
    rest = trained("checkout", "2", "--json").json["remaining_fee"]
    x = trained("report", "--json").json["part_paid"]
    assert [(one["checkout_id"], one["remaining_fee"]) for one in x] == [("1", rest), ("2", rest)]
    trained(
        "pay", "--fee", str(rest), "--checkout", "1", "--code-stdin", stdin="280000000000000001"
    )
    closed = trained("report", "--close", "--json")
    assert closed.code == 0
    assert closed.json["part_paid"] == x[1:]
    assert [line for line in closed.err.splitlines() if "due" in line] == [
        f"▲ PART-PAID: 1, ￥0.{rest} still due",
        closed.err.splitlines()[-2],
    ]
    assert "checkout 2" in closed.err
    trained(
        "pay", "--fee", str(rest), "--checkout", "2", "--code-stdin", stdin="280000000000000001"
    )
    assert trained("report", "--json").json["part_paid"] == []
    assert trained("report", "--shift", "1", "--json").json["part_paid"] == x[1:]
    text = trained("report", "--shift", "1", "--format", "text").out
    assert "PART-PAID: 1" in text
    assert "checkout 2" in text
    assert "PART-PAID: 1" in trained("report", "--shift", "1", "--html", "-").out
    assert trained("report", "--verify").code == 0


def test_details_add_up_to_what_was_taken(trained: Training, shop: Shop) -> None:
    """One line a payment, and a line for each correction; the last row is their sum, which is the
    report's, of the running shift, of a closed one and of a day.
    """
    pay(trained, 1)
    pay(trained, 2, "03")
    unknown = pay(trained, 3, "09")
    trained("resolve", unknown, "--as", "paid", "--note", "seen", "--yes")
    trained("report", "--close")
    trained("resolve", unknown, "--as", "not-paid", "--correct", "--note", "not his", "--yes")
    pay(trained, 4)
    pay(trained, 5, "02")
    for which in (("--shift", "1"), (), ("--day", "today")):
        taken = trained("report", *which, "--json").json["fee"]
        rows = list(
            csv.DictReader(
                io.StringIO(trained("report", *which, "--details", "--csv", "-").out[1:])
            )
        )
        fens = [round(float(row["Charged (yuan)"] or 0) * 100) for row in rows]
        assert (sum(fens[:-1]), fens[-1], rows[-1]["Begun"]) == (taken, taken, "Total")
        data = trained("report", *which, "--details", "--json").json
        corrections = [row for row in rows if row["Outcome"] == "Correction"]
        assert len(corrections) == len(data["corrections"])
        assert len(rows) - 1 - len(corrections) == len(data["payments"])
    closed = trained("report", "--shift", "1", "--details", "--json").json["payments"]
    assert [one["checkout_id"] for one in closed] == ["1", "2", "3"]


def test_the_page_has_each_kind_of_payment_in_its_place(trained: Training, shop: Shop) -> None:
    """Paid, paid on a person's word, not charged, open: a table each, with its sum."""
    ids = [pay(trained, n, code) for n, code in enumerate(("01", "09", "03", "04"), 1)]
    trained("resolve", ids[1], "--as", "paid", "--note", "seen", "--yes")
    plain = read_page(trained("report", "--html", "-", "--lang", "zh").out).text
    assert "明细" not in plain
    page = read_page(trained("report", "--html", "-", "--details", "--lang", "zh").out).text
    heads = ("明细：成功", "明细：人工确认", "明细：未扣款", "明细：待核实")
    places = [page.index(head) for head in heads]
    for place, end, request_id in zip(places, [*places[1:], None], ids, strict=True):
        block = page[place:end]
        assert request_id in block
        assert "合计￥1.001 笔" in block.replace("\n", "")
        assert not any(other in block for other in ids if other != request_id)


def test_only_takings_have_bars_and_what_is_open_stands_in_brackets() -> None:
    """No bar compares open money with money, none a line with itself."""
    lines = [Line("success", 2, 123450), Line("fail", 1, 500), Line("unknown", 3, 6600)]
    assert shares(lines, "outcome") == [0.0, 0.0, 0.0]
    assert [line_money("outcome", line) for line in lines] == ["￥1,234.50", "", "(￥66.00)"]
    assert shares([Line("1", 1, 5)], "operator") == [0.0]
    assert shares([Line("1", 1, 100), Line("2", 1, 50)], "operator") == [1.0, 0.5]


def test_an_empty_shift_is_told_and_closes(trained: Training, shop: Shop) -> None:
    """A nightly job goes on (0) and reads it on stderr; a person reads it before the question."""
    pay(trained, 1)
    assert "empty" not in trained("report", "--close").err
    ran = trained("report", "--close", "--json")
    assert (ran.code, ran.json["shift"]) == (0, 2)
    assert ran.err.count("Nothing was settled in this shift") == 1
    command = [*shop.command, "--profile", "training", "report", "--close"]
    asked = pty_run(command, env=shop.env, cwd=shop.home, answers=[("Close shift 3", "n\n")])
    assert asked.exit_code == 130
    assert asked.text.index("Nothing was settled") < asked.text.index("Close shift 3")
