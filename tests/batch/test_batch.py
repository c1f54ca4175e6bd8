"""`posctl batch`: checked as a whole, sent once, resumed after anything."""

from __future__ import annotations

import csv
import io
import json
import signal
import sqlite3
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran, Shop
from hypothesis import given
from hypothesis import strategies as st
from merciless import Members, Merciless, paid, refused, told
from private import is_private
from pty_run import pty_run

from posctl.batch.file import Batch, read_batch, request_id_of
from posctl.batch.results import Known, Results
from posctl.config.profiles import read as read_config
from posctl.errors import UsageError
from posctl.money.order import FIELDS
from posctl.paying.many import WORKERS
from posctl.shell import lines_of

FILE, RESULTS = "orders.jsonl", "orders.jsonl.results.jsonl"
KILLS = 10


@pytest.fixture
def gateway(shop: Shop) -> Iterator[Merciless]:
    """A merciless gateway, and the profile that points at it."""
    with Merciless() as server:
        shop.profile(server.url, max_fee="100000")
        yield server


def write(shop: Shop, *lines: Members, name: str = FILE) -> None:
    (shop.home / name).write_text("".join(json.dumps(line) + "\n" for line in lines))


def orders(count: int, **more: Any) -> list[Members]:
    return [{"checkout_id": f"c{n}", "pay_fee": 100 + n, **more} for n in range(1, count + 1)]


def part(members: Members) -> bytes:
    """A payment after which more of its checkout is due."""
    return told(
        {"result_status": 1, "remaining_fee": 900, "payment_order_id": f"V-{members['request_id']}"}
    )


def told_lines(shop: Shop, name: str = RESULTS) -> list[Members]:
    return [json.loads(line) for line in (shop.home / name).read_text().splitlines()]


def sql(shop: Shop, statement: str, *values: object) -> list[Any]:
    with closing(sqlite3.connect(shop.journal)) as db, db:
        rows = db.execute(statement, values).fetchall()
    db.close()
    return rows


# ── never twice ──────────────────────────────────────────────────────────────────────────────


def test_killed_ten_times_a_thousand_payments_are_a_thousand_charges(
    shop: Shop, gateway: Merciless
) -> None:
    """A batch of 1,000 payments killed ten times on the way, with answers lost each time, ends
    with exactly 1,000 charges, one a line, and with 1,000 results in the order of the lines.
    """
    code = "2800000000001234"
    lines = [order | {"channel_account": f"{code}{n}"} for n, order in enumerate(orders(1000))]
    write(shop, *lines)
    for _kill in range(KILLS):
        before = len(gateway.charges)
        gateway.hold_at = before + 80
        process = shop.start("batch", FILE)
        gateway.wait_for(lambda: gateway.held > 10)
        process.kill()
        process.communicate()
        assert before + 80 <= len(gateway.charges) < 1000
        gateway.forget_held()
    gateway.hold_at = None
    ran = shop.run("batch", FILE, "--json")
    assert (ran.code, ran.json["outcomes"]["success"]["count"]) == (0, 1000)
    assert ran.json["outcomes"]["success"]["pay_fee"] == sum(line["pay_fee"] for line in lines)
    charged = Counter(members["checkout_id"] for members in gateway.charges.values())
    assert charged == {line["checkout_id"]: 1 for line in lines}
    results = told_lines(shop)
    assert [one["line"] for one in results] == list(range(1, 1001))
    assert [one["checkout_id"] for one in results] == [line["checkout_id"] for line in lines]
    assert {one["outcome"] for one in results} == {"success"}
    assert code not in (shop.home / RESULTS).read_text()
    assert code.encode() not in b"".join(p.read_bytes() for p in shop.home.glob("journal.db*"))


def test_one_connection_a_worker_is_kept(shop: Shop, gateway: Merciless) -> None:
    """However many lines there are, no worker connects twice."""
    write(shop, *orders(500))
    assert shop.run("batch", FILE).code == 0
    assert gateway.connections <= WORKERS


def test_what_is_decided_is_told_again_and_not_sent(shop: Shop, gateway: Merciless) -> None:
    """A second run of the same file sends nothing, whatever is left of its memory: results and
    journal, the journal alone, or (after a prune) the results alone.
    """
    gateway.answer = lambda m: paid(m) if m["checkout_id"] != "c2" else told({"result_status": 2})
    write(shop, *orders(3))
    first = shop.run("batch", FILE, "--json")
    assert (first.code, len(gateway.requests)) == (10, 3)
    for lost in ("nothing", "results", "journal"):
        if lost == "results":
            (shop.home / RESULTS).unlink()
        if lost == "journal":
            _prune(shop)
        again = shop.run("batch", FILE, "--json")
        assert (again.code, again.json["outcomes"]) == (10, first.json["outcomes"])
        assert len(gateway.requests) == 3
        assert [one["outcome"] for one in told_lines(shop)] == ["success", "fail", "success"]


def _prune(shop: Shop) -> None:
    for table in ("tries", "payments"):
        sql(shop, f"DELETE FROM {table}")


def test_the_same_content_is_the_same_batch(shop: Shop, gateway: Merciless) -> None:
    """A copy of the file under another name charges nobody again."""
    for name in (FILE, "copy.jsonl"):
        write(shop, *orders(3), name=name)
        assert shop.run("batch", name).code == 0
    assert len(gateway.requests) == 3


def test_what_is_open_is_asked_about_under_its_own_id(shop: Shop, gateway: Merciless) -> None:
    """Lines that ended pending or unknown are sent again by the next run, with the same bytes."""
    answers = {"c1": told({"result_status": 3}), "c2": None}
    gateway.answer = lambda members: answers.get(members["checkout_id"], paid(members))
    write(shop, *orders(3))
    ran = shop.run("batch", FILE, "--json")
    assert (ran.code, [one["exit_code"] for one in told_lines(shop)]) == (21, [20, 21, 0])
    gateway.answer = paid
    assert shop.run("batch", FILE).code == 0
    again = gateway.requests[3:]
    assert sorted(again, key=str) == sorted(
        (m for m in gateway.requests[:3] if m["checkout_id"] != "c3"), key=str
    )
    assert [one["tries"] for one in told_lines(shop)] == [2, 2, 1]


def test_what_never_left_is_sent_by_the_next_run(shop: Shop) -> None:
    """Lines that were not sent, or refused by the gateway, go under a new id the next time: the
    journal proves that nobody was charged.
    """
    with Merciless() as server:
        port = server.port
    shop.profile(f"http://127.0.0.1:{port}/router/rest")
    write(shop, *orders(3))
    assert shop.run("batch", FILE).code == 11
    with Merciless(port) as server:
        server.charge = lambda _members: False
        server.answer = lambda _members: refused(25, "Invalid signature")
        assert shop.run("batch", FILE).code == 12
        server.charge, server.answer = lambda _members: True, paid
        assert shop.run("batch", FILE).code == 0
        assert len(server.charges) == 3
        assert len({members["request_id"] for members in server.requests}) == 6


def test_an_id_of_the_files_own_is_used_once(shop: Shop, gateway: Merciless) -> None:
    """A request_id in the file is the one that travels; refused once, it is told again."""
    gateway.answer = lambda _members: refused(25, "Invalid signature")
    write(shop, {"request_id": "order-0001", "checkout_id": "c1", "pay_fee": 1})
    for _run in range(2):
        assert shop.run("batch", FILE).code == 12
    assert [members["request_id"] for members in gateway.requests] == ["order-0001"]
    assert told_lines(shop)[0]["request_id"] == "order-0001"


def test_an_id_of_another_payment_stops_the_batch(shop: Shop, gateway: Merciless) -> None:
    """A request_id that the journal knows with another payload is refused before anything is
    sent. One that was made of a line goes on, also when defaults were changed on the way.
    """
    assert shop.run("pay", "--fee", "5", "--checkout", "x", "--request-id", "order-0001").code == 0
    write(shop, *orders(1), {"request_id": "order-0001", "checkout_id": "c", "pay_fee": 1})
    ran = shop.run("batch", FILE)
    assert (ran.code, len(gateway.requests)) == (2, 1)
    assert "line 2: The request_id order-0001 belongs to another payment." in ran.err
    assert not (shop.home / RESULTS).exists()
    write(shop, *orders(1))
    assert shop.run("batch", FILE).code == 0
    config = shop.home / "config.yaml"
    config.write_text(config.read_text().replace('"123"', '"124"'))
    ran = shop.run("batch", FILE)
    assert (ran.code, len(gateway.requests)) == (0, 2)


def test_results_of_another_batch_are_left_alone(shop: Shop, gateway: Merciless) -> None:
    """A file of which the results know no line, or another merchant's, is not begun, and it is said
    how many payments are paid there.
    """
    write(shop, *orders(2))
    assert shop.run("batch", FILE).code == 0
    assert shop.run("--profile", "training", "batch", FILE).code == 2
    write(shop, {"checkout_id": "other", "pay_fee": 7})
    ran = shop.run("batch", FILE, "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, "other_batch")
    assert "2 payments are paid" in ran.json["error"]["message"]
    assert len(gateway.requests) == 2
    assert [one["line"] for one in told_lines(shop)] == [1, 2]


def test_a_file_that_was_saved_again_resends_nothing(shop: Shop, gateway: Merciless) -> None:
    """Other line ends, a byte order mark, blank lines, another order, CSV instead of JSON, another
    name, results moved away, another address of the gateway: the lines are the same payments, also
    the parts of one checkout, of which more would still be due.
    """
    gateway.answer = part
    lines = [*orders(2), {"checkout_id": "c9", "pay_fee": 100}]
    write(shop, *lines)
    assert shop.run("batch", FILE).code == 0
    texts = [json.dumps(line) for line in lines]
    table = "pay_fee,checkout_id\r\n" + "".join(
        f"{line['pay_fee']},{line['checkout_id']}\r\n,\r\n" for line in lines
    )
    for name, text in (
        (FILE, "\r\n\r\n".join(texts)),
        (FILE, "\ufeff" + "\n".join(reversed(texts))),
        ("again.jsonl", "\n".join(texts)),
        ("again.csv", table),
    ):
        (shop.home / name).write_bytes(text.encode())
        config = shop.home / "config.yaml"
        config.write_text(config.read_text().replace("/rest", "/x/rest"))
        ran = shop.run("batch", name)
        assert (ran.code, len(gateway.requests)) == (0, 3), (name, ran)


def test_a_corrected_line_is_the_only_one_that_is_sent(shop: Shop, gateway: Merciless) -> None:
    """Of a file in which one fee was corrected only that line is a new payment; what the results
    say of the line as it was stays there.
    """
    write(shop, *orders(3))
    assert shop.run("batch", FILE).code == 0
    changed = orders(3)
    changed[1] |= {"checkout_id": "c2b"}
    write(shop, *changed)
    assert shop.run("batch", FILE).code == 0
    assert [m["checkout_id"] for m in gateway.requests[3:]] == ["c2b"]
    said = [one["checkout_id"] for one in told_lines(shop)]
    assert said == ["c1", "c2b", "c3", "c2"]


def test_what_another_batch_paid_needs_another(shop: Shop, gateway: Merciless) -> None:
    """A line with the checkout and fee of a payment that another batch took is blocked though more
    is due, unless --another or an attempt of its own says that it is a second one.
    """
    gateway.answer = part
    write(shop, *orders(1))
    assert shop.run("batch", FILE).code == 0
    sql(shop, "UPDATE payments SET updated_ms=updated_ms-100000, closed_ms=closed_ms-100000")
    write(shop, *orders(1, attributes="again"), name="b.jsonl")
    ran = shop.run("batch", "b.jsonl", "--json")
    assert (ran.code, ran.json["outcomes"]["blocked"]["count"]) == (30, 1)
    assert len(gateway.requests) == 1
    write(shop, *orders(1, attempt=2), name="c.jsonl")
    for _run in range(2):
        assert shop.run("batch", "c.jsonl").code == 0
        assert len(gateway.requests) == 2
    for _run in range(2):
        assert shop.run("batch", "b.jsonl", "--another").code == 0
        assert len(gateway.requests) == 3


def test_the_next_day_a_paid_line_is_blocked(shop: Shop, gateway: Merciless) -> None:
    """A line that was paid more than 24 hours ago is no success of this run (30), it is not sent,
    and its results go on saying that it was paid.
    """
    write(shop, *orders(1))
    assert shop.run("batch", FILE).code == 0
    sql(shop, "UPDATE payments SET closed_ms=closed_ms-90000000")
    assert shop.run("batch", FILE).code == 30
    assert len(gateway.requests) == 1
    assert [one["outcome"] for one in told_lines(shop)] == ["success"]


def test_results_of_0_1_are_honoured(shop: Shop, gateway: Merciless) -> None:
    """Results and payments whose ids posctl 0.1 made of the whole file are the lines' own: what is
    paid is told, what is open is asked about, and nothing goes under a new id.
    """
    answers = {"c2": None}
    gateway.answer = lambda m: answers.get(m["checkout_id"], paid(m))
    write(shop, *orders(2))
    assert shop.run("batch", FILE).code == 21
    old = []
    for n, one in enumerate(told_lines(shop)):
        request_id = f"0.1-of-line-{n}"
        sql(
            shop,
            "UPDATE payments SET request_id=?, crc=NULL, "
            "pay_request=replace(pay_request, request_id, ?) WHERE request_id=?",
            *(request_id, request_id, one["request_id"]),
        )
        del one["line_id"]
        old.append(json.dumps(one | {"request_id": request_id, "batch": "0" * 32}))
    (shop.home / RESULTS).write_text("\n".join(old).replace(": ", ":").replace(", ", ",") + "\n")
    gateway.answer = paid
    before = len(gateway.requests)
    assert shop.run("batch", FILE).code == 0
    assert [m["request_id"] for m in gateway.requests[before:]] == ["0.1-of-line-1"]
    assert shop.run("batch", FILE).code == 0
    assert len(gateway.requests) == before + 1


def test_one_code_on_two_lines_is_refused(shop: Shop, gateway: Merciless) -> None:
    """A file with one wallet's code on two lines is refused before anything is sent, also with
    --another; an account may pay twice.
    """
    for code, expected in (("280000000000000001", 2), ("customer@example.com", 0)):
        write(shop, *orders(2, channel_account=code))
        ran = shop.run("batch", FILE, "--another")
        assert (ran.code, len(gateway.requests)) == (expected, 0 if expected else 2)
        assert ("payment code of line 1" in ran.err) == bool(expected)


def test_a_journal_that_lacks_open_payments_is_refused(shop: Shop, gateway: Merciless) -> None:
    """When the results tell of payments in doubt and the journal has lost them: exit 31."""
    gateway.answer = lambda _members: None
    write(shop, *orders(2))
    assert shop.run("batch", FILE).code == 21
    _prune(shop)
    ran = shop.run("batch", FILE, "--json")
    assert (ran.code, ran.json["error"]["code"]) == (31, "journal_lacks_payments")
    assert len(gateway.requests) == 2


def test_a_conflict_waits_for_a_person(shop: Shop, gateway: Merciless) -> None:
    """A line whose answer contradicts itself is never sent again; a person's word settles it."""
    model = {"result_status": 1, "is_success": False, "payment_order_id": "V"}
    gateway.answer = lambda _members: told(model)
    write(shop, *orders(1))
    for _run in range(2):
        assert shop.run("batch", FILE).code == 22
    assert len(gateway.requests) == 1
    request_id = told_lines(shop)[0]["request_id"]
    args = (request_id, "--as", "paid", "--note", "seen in the console")
    assert shop.run("resolve", *args).code == 0
    assert shop.run("batch", FILE).code == 0
    assert (told_lines(shop)[0]["outcome"], len(gateway.requests)) == ("success", 1)


# ── one checkout, several lines ──────────────────────────────────────────────────────────────


def test_lines_of_one_checkout_go_one_after_another(shop: Shop, gateway: Merciless) -> None:
    """The second part of a checkout is sent when the first is decided, the others meanwhile."""
    first, second = {"checkout_id": "a", "pay_fee": 2}, {"checkout_id": "a", "pay_fee": 1}
    write(shop, first, second, *orders(20))
    rest = iter([1, 0])

    def answer(members: Members) -> bytes | None:
        if members["checkout_id"] != "a":
            return paid(members)
        if members["pay_fee"] == 2:
            part_seen.append(len(gateway.requests))
        return told({"result_status": 1, "remaining_fee": next(rest), "current_pay_fee": 1})

    part_seen: list[int] = []
    gateway.answer = answer
    assert shop.run("batch", FILE).code == 0
    asked = [members["pay_fee"] for members in gateway.requests if members["checkout_id"] == "a"]
    assert (asked, len(gateway.charges)) == ([2, 1], 22)
    assert [one["line"] for one in told_lines(shop)] == list(range(1, 23))


def test_a_line_behind_an_open_one_is_blocked_and_sent_later(
    shop: Shop, gateway: Merciless
) -> None:
    """While the first part is open the second is not sent; the next run does both."""
    write(shop, {"checkout_id": "a", "pay_fee": 2}, {"checkout_id": "a", "pay_fee": 1})
    gateway.answer = lambda _members: told({"result_status": 3})
    assert shop.run("batch", FILE).code == 20
    first, second = told_lines(shop)
    assert (first["outcome"], second["outcome"]) == ("pending", "blocked")
    assert second["blocked_by"] == first["request_id"]
    rest = iter([1, 0])
    gateway.answer = lambda _members: told({"result_status": 1, "remaining_fee": next(rest)})
    assert shop.run("batch", FILE).code == 0
    assert [members["pay_fee"] for members in gateway.requests] == [2, 2, 1]


def test_what_is_paid_already_is_blocked(shop: Shop, gateway: Merciless) -> None:
    """A checkout that was paid before the batch is not charged by it without --another."""
    assert shop.run("pay", "--fee", "101", "--checkout", "c1").code == 0
    write(shop, *orders(2))
    ran = shop.run("batch", FILE, "--json")
    assert (ran.code, ran.json["outcomes"]["blocked"]) == (30, {"count": 1, "pay_fee": 101})
    assert len(gateway.charges) == 2
    assert shop.run("batch", FILE, "--another").code == 0
    assert len(gateway.charges) == 3


# ── rate limits and interrupts ───────────────────────────────────────────────────────────────


def test_a_rate_limit_is_waited_out(shop: Shop, gateway: Merciless) -> None:
    """Lines that a rate limit turned away go again after the ban it names, under a new id."""
    limited = iter([True])

    def limit(_members: Members) -> bool:
        return next(limited, False)

    gateway.charge = lambda members: not limit(members) and members.setdefault("ok", True)
    gateway.answer = lambda members: (
        paid(members) if "ok" in members else refused(7, "This ban will last for 1 more seconds")
    )
    write(shop, *orders(3))
    ran = shop.run("batch", FILE, "--json")
    assert (ran.code, len(gateway.charges), len(gateway.requests)) == (0, 3, 4)
    (state, closed_ms), *later = sql(
        shop, "SELECT state, closed_ms FROM payments ORDER BY state='rejected' DESC, seq DESC"
    )
    assert (state, later[0][0]) == ("rejected", "success")
    assert later[0][1] - closed_ms >= 2000, "the ban's one second, and one second more"


def test_ctrl_c_records_what_is_on_its_way(shop: Shop, gateway: Merciless) -> None:
    """After Ctrl-C nothing new is sent, which is said at once; what is on its way is recorded, exit
    21; then go on.
    """
    patient = "{connect: 30, read: 30, total: 60}"  # a busy machine starts threads slowly
    shop.profile(gateway.url, max_fee="100000", timeout=patient)
    write(shop, *orders(1000))
    gateway.hold_at = 0
    process = shop.start("batch", FILE, "--json")
    gateway.wait_for(lambda: gateway.held == 64)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    said = process.stderr.readline() + process.stderr.readline()
    assert b"Stopping: what is on its way is still recorded." in said, "and not only in the end"
    gateway.let_go()
    out, _err = process.communicate()
    data = json.loads(out)
    assert (process.returncode, data["exit_code"]) == (21, 21)
    assert data["not_tried"] + data["outcomes"]["success"]["count"] == 1000, [
        line for line in told_lines(shop) if line["outcome"] != "success"
    ]
    assert data["not_tried"] > 800
    assert len(gateway.charges) == data["outcomes"]["success"]["count"] == len(told_lines(shop))
    assert shop.run("batch", FILE).code == 0
    assert (len(gateway.charges), len(gateway.requests)) == (1000, 1000)


def test_two_runs_of_one_batch_do_not_meet(shop: Shop, gateway: Merciless) -> None:
    """While one process has the results, another is turned away: exit 30, nothing sent."""
    write(shop, *orders(3))
    gateway.hold_at = 0
    first = shop.start("batch", FILE)
    gateway.wait_for(lambda: gateway.held == 3)
    second = shop.run("batch", FILE)
    assert (second.code, len(gateway.requests)) == (30, 3)
    assert "Another posctl batch" in second.err
    gateway.let_go()
    first.communicate()
    assert first.returncode == 0


def test_a_journal_that_fails_on_the_way_stops_the_batch(shop: Shop, gateway: Merciless) -> None:
    """When the journal is gone nothing new is sent: what was sent is told, and open (21)."""
    write(shop, *orders(300))
    gateway.hold_at = 0
    process = shop.start("batch", FILE, "--json")
    gateway.wait_for(lambda: gateway.held == 64)
    shop.journal.rename(shop.home / "elsewhere")
    gateway.let_go()
    out, _err = process.communicate()
    data = json.loads(out)
    assert (process.returncode, data["error"]["kind"]) == (21, "journal")
    assert data["not_tried"] > 0
    assert len(gateway.requests) == 64
    (shop.home / "elsewhere").rename(shop.journal)
    assert shop.run("batch", FILE).code == 0
    assert len(gateway.charges) == 300


# ── the file ─────────────────────────────────────────────────────────────────────────────────

BAD = {
    '{"checkout_id":"x","pay_fee":0}': "pay_fee in the file cannot be used",
    '{"checkout_id":"x","pay_fee":"1"}': "It is a JSON number without quotes",
    '{"checkout_id":"x","pay_fee":100001}': "more than this profile allows",
    '{"checkout_id":"x"}': "pay_fee is missing.",
    '{"pay_fee":1}': "checkout_id is missing.",
    '{"checkout_id":"x","pay_fee":1,"fee":1}': "the API knows no 'fee'. Did you mean pay_fee?",
    '{"checkout_id":"x","pay_fee":1,"pay_fee":2}': "'pay_fee' is given twice",
    '{"checkout_id":"x y","pay_fee":1}': "only visible characters",
    '{"checkout_id":"x","pay_fee":1': "it is not JSON",
    "[]": "it must hold one object",
    '{"checkout_id":"c1","pay_fee":101}': "It has checkout_id and pay_fee of line 1.",
    '{"checkout_id":"x","pay_fee":1,"channel_account":"4111111111111111"}': "card number",
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_line_is_told_with_its_number(shop: Shop, gateway: Merciless, bad: str) -> None:
    """Each bad line is named with number and reason; nothing is sent, not even the good lines."""
    good = json.dumps(orders(1)[0])
    (shop.home / FILE).write_text(f"{good}\n\n{bad}\n")
    ran = shop.run("batch", FILE, "--json")
    error = ran.json["error"]
    assert (ran.code, error["code"], gateway.requests) == (2, "bad_lines", [])
    (line,) = error["hint"].splitlines()
    assert line.startswith("line 3: ")
    assert BAD[bad] in line
    assert "4111111111111111" not in ran.out + ran.err
    assert not (shop.home / RESULTS).exists()


def test_many_bad_lines_are_counted(shop: Shop, gateway: Merciless) -> None:
    """Twenty bad lines are listed, the others counted."""
    write(shop, *orders(5), *({"checkout_id": "x"} for _n in range(30)))
    error = shop.run("batch", FILE, "--json").json["error"]
    assert "cannot be used: 30." in error["message"]
    listed = error["hint"].splitlines()
    assert [line.split(":")[0] for line in listed[:20]] == [f"line {n}" for n in range(6, 26)]
    assert listed[20:] == ["and 10 more"]
    assert not gateway.requests


def test_what_stands_twice_goes_with_another_alone(shop: Shop, gateway: Merciless) -> None:
    """The same fee of one checkout twice is refused without --another, the same id always."""
    one = {"checkout_id": "a", "pay_fee": 1}
    write(shop, one, one)
    ran = shop.run("batch", FILE)
    assert (ran.code, gateway.requests) == (2, [])
    assert "--another" in ran.err
    assert shop.run("batch", FILE, "--another").code == 0
    assert len(gateway.charges) == 2
    own = {"request_id": "order-0001"}
    write(shop, own | one, own | {"checkout_id": "b", "pay_fee": 2})
    ran = shop.run("batch", FILE, "--another", "--out", "other.jsonl")
    assert (ran.code, len(gateway.requests)) == (2, 2)
    assert "request_id of line 1" in ran.err


def test_csv_names_its_columns_by_the_apis_names(shop: Shop, gateway: Merciless) -> None:
    """A CSV file, with Excel's mark, quotes, empty cells and CRLF, travels as typed JSON."""
    text = "\ufeffcheckout_id,pay_fee,attributes,buyer_id\r\n" + 'a,100,"x, y",\r\nb,200,,77\r\n'
    (shop.home / "orders.csv").write_bytes(text.encode())
    assert shop.run("batch", "orders.csv").code == 0
    a, b = sorted(gateway.requests, key=lambda members: str(members["checkout_id"]))
    assert (a["pay_fee"], a["attributes"], a["buyer_id"]) == (100, "x, y", 1)
    assert (b["pay_fee"], b.get("attributes"), b["buyer_id"]) == (200, None, 77)
    assert [one["line"] for one in told_lines(shop, "orders.csv.results.jsonl")] == [2, 3]


def read_csv(text: str, encoding: str = "utf-8", name: str = "x.csv") -> list[Any]:
    profile = read_config(None, {"HOME": "/nonexistent"}).profiles["training"]
    return list(read_batch(text.encode(encoding), name, profile, another=False).lines)


CODES = ("283456789012345678", "130123456789012345")
AS_JSON = [
    {"checkout_id": "A1", "pay_fee": 150, "channel_account": CODES[0]},
    {"checkout_id": "店-2", "pay_fee": 125_000, "channel_account": CODES[1]},
]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16", "utf-16-le"]
)
@pytest.mark.parametrize(
    ("head", "amounts"),
    [
        ("checkout_id,pay_fee,channel_account", ("150", "125000")),
        ("单号,金额（元）,付款码", ("1.50", '"1,250"')),
        ("单号,金额(元),付款码", ("￥1.50", '"￥1,250.00 "')),
        ("订单号, 支付金额（元） ,支付码", ("1.5元", "1250")),
        ("checkout_id,yuan,channel_account", ("１．５０", "1250.0")),
        ("小票号,金额（分）,条码", ("150", " 125000")),
    ],
)
def test_a_spreadsheets_file_says_what_json_says(
    encoding: str, head: str, amounts: tuple[str, str]
) -> None:
    """GBK, UTF-8 and UTF-16, with a mark or without, rows of empty cells, a shop's own heads and
    yuan: each line is the payment, and has the request_id, that it has in JSON Lines.
    """
    lines = [
        *("", ",,", f"{head},", f"A1,{amounts[0]},{CODES[0]},", ",,,", "  ,\t,\u3000,"),
        *(f"店-2,{amounts[1]},{CODES[1]},", ",,,", ""),
    ]
    read = read_csv("\r\n".join(lines), encoding)
    as_json = read_csv("\n".join(json.dumps(one) for one in AS_JSON), name="x.jsonl")
    assert [line.order for line in read] == [line.order for line in as_json]
    assert [line.id for line in read] == [line.id for line in as_json]
    assert [line.number for line in read] == [4, 7]


@pytest.mark.parametrize("separator", [",", "\t"])
def test_what_a_spreadsheet_puts_first_is_passed_over(separator: str) -> None:
    """A line sep=, and tabs for separators, as spreadsheets write text in UTF-16."""
    text = "单号,yuan\nA1,1.50\n".replace(",", separator)
    assert (
        read_csv(f"sep={separator}\n{text}" if separator == "," else text)[0].order.pay_fee == 150
    )


SPOILED = {
    "shortened": (
        *("2.83E+17", "2.8E17", "2.8e+17", '"2,80001E+17"', "283E+15", "2.83457012345678E+17"),
        *("2.83 E+17", "２．８３Ｅ＋１７", "2.8E+017", "2.8D+17", "2.8×10^17", " 2.8E+17 "),
        "'2.8E+17",
    ),
    "quoted": (
        *("'283456789012345678", "’283456789012345678", "`283456789012345678"),
        *("=283456789012345678", '"=""283456789012345678"""', '"""283456789012345678"""'),
        "“283456789012345678”",
    ),
    "not digits alone": (
        *("283456789012345678.0", '"283,456,789,012,345,678"', "2834 5678 9012 3456 78"),
        *("2834-5678-9012-3456-78", " 283456789012345678", "283456789012345678\t"),
        "+283456789012345678",
    ),
    "rounded": ("283456789012345000", "28345678901234500", "283000000000000000"),
    "the value is not in the file": ("########", "#N/A", "#NAME?"),
}


@pytest.mark.parametrize("head", ["channel_account", "付款码"])
@pytest.mark.parametrize(("words", "cell"), [(w, c) for w, cells in SPOILED.items() for c in cells])
def test_a_spoiled_code_is_refused(words: str, cell: str, head: str) -> None:
    """A code that a spreadsheet shortened, rounded or hid, or that is quoted for one, stops the
    file, whatever way it is spelled, and is not repeated whole.
    """
    with pytest.raises(UsageError) as refused:
        read_csv(f"checkout_id,pay_fee,{head}\na,1,{CODES[1]}\nb,1,{cell}\n")
    assert refused.value.code == "bad_lines"
    (hint,) = lines_of(refused.value.hint)
    assert hint.startswith("line 3: ")
    assert words in hint
    assert "283456789012345678" not in hint


@pytest.mark.parametrize("column", ["checkout_id", "order_id", "request_id"])
@pytest.mark.parametrize(
    "cell", ["2.02611E+27", '"2,02611E+27"', '"=""001"""', "'20261128000100012"]
)
def test_a_spoiled_id_is_refused(cell: str, column: str) -> None:
    """An id that a spreadsheet shortened, or that is quoted for one, would be another id."""
    other = "order_id" if column == "checkout_id" else "checkout_id"
    with pytest.raises(UsageError, match="cannot be used: 1"):
        read_csv(f"{column},{other},pay_fee\n{cell},x,1\n")


def test_what_looks_like_a_number_may_be_an_id() -> None:
    """12E5 is as good a checkout_id as any; so is a part of one in quotes."""
    assert read_csv("checkout_id,pay_fee\n12E5,1\n'A,2\n")[0].order.checkout_id == "12E5"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("checkout_id,金额\na,1\n", "金额 does not say whether it is yuan or fen."),
        (
            "checkout_id,pay_fee\na,1.50\n",
            "line 2: pay_fee cannot be used. It is in fen: for ￥1.50",
        ),
        ('checkout_id,pay_fee\na,"1,250"\n', "write 1250 without the comma; for ￥1250.00"),
        ("checkout_id,yuan\na,1.505\n", "It is yuan, at least 0.01"),
        ('checkout_id,金额（元）\na,"1,50"\n', "金额（元） cannot be used."),
        ("checkout_id,yuan\na,0\n", "It is yuan, at least 0.01"),
        ("checkout_id,yuan\na,1E+3\n", "shortened"),
        ("checkout_id,yuan,pay_fee\na,1,100\n", "pay_fee is given twice"),
        ("单号,金额（元）\n合计,100.00\n", "It is a sum, not a payment"),
        ("结账,pay_fee\na,1\n", "the API knows no '结账'."),
        ("checkout_id,pay_fee,payment_code\na,1,2\n", "payment code is called channel_account"),
        ("checkout_id,pay_fee,\na,1,2\n", "a value in a column without a name"),
        ("checkout,pay_fee\na,1\n", "Did you mean checkout_id?"),
        ("checkout_id;pay_fee\na;1\n", "its columns must be separated by commas, not ; or tabs"),
        ("checkout_id,pay_fee\na,1,2\n", "line 2: It has 3 values, the first line names 2."),
        ("checkout_id,pay_fee\na,1.5\n", "line 2: pay_fee cannot be used."),
        ("checkout_id,pay_fee\na,001\n", "line 2: pay_fee cannot be used."),
        ("checkout_id,pay_fee\na,\n", "line 2: pay_fee is missing."),
        ("checkout_id,pay_fee\n2.02611E+15,1\n", "line 2: A spreadsheet has shortened checkout_id"),
        ("checkout_id,pay_fee,channel_account\na,1,2.8E+17\n", "its digits are lost."),
        ("checkout_id,pay_fee,pay_fee\na,1,1\n", "pay_fee is given twice"),
        ('checkout_id,pay_fee\n"a,1\n', "is not CSV"),
        ("checkout_id,pay_fee\n", "it holds no payment"),
        ("", "it holds no payment"),
    ],
)
def test_bad_csv(shop: Shop, gateway: Merciless, text: str, words: str) -> None:
    """What is wrong with a CSV file is said, and nothing is sent."""
    (shop.home / "orders.csv").write_text(text)
    ran = shop.run("batch", "orders.csv")
    assert (ran.code, gateway.requests) == (2, [])
    assert words in " ".join(ran.err.split())


@pytest.mark.parametrize("name", ["b.xlsx", "b.csv", "b.jsonl", "b.zip", "b.xls"])
def test_what_is_no_text_is_told_in_one_line(shop: Shop, name: str) -> None:
    """A spreadsheet's own file, whatever it is named, and an archive: one line says what to do."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr("a.csv" if name == "b.zip" else "[Content_Types].xml", "x")
    old = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
    (shop.home / name).write_bytes(old if name == "b.xls" else raw.getvalue())
    ran = shop.run("--profile", "training", "batch", name)
    (line,) = ran.err.splitlines()
    assert ran.code == 2
    assert ("Unpack it" if name == "b.zip" else "Save it as CSV") in line


def test_csv_comes_from_stdin_too(shop: Shop, gateway: Merciless) -> None:
    """What does not begin with { is CSV where no name says what it is."""
    ran = shop.run("batch", "-", "--out", "done.jsonl", stdin="单号,yuan\na,1.50\n")
    assert (ran.code, gateway.requests[0]["pay_fee"]) == (0, 150)


def test_a_batch_comes_from_stdin_too(shop: Shop, gateway: Merciless) -> None:
    """`-` reads JSON Lines from stdin, nested or flat; the results need a name then."""
    nested = {"shop_id": 1, "pay_request": {"checkout_id": "a", "pay_fee": 1}}
    text = json.dumps(nested) + "\n" + json.dumps({"checkout_id": "b", "pay_fee": 2})
    assert shop.run("batch", "-", stdin=text).code == 2
    assert shop.run("batch", "-", "--out", "done.jsonl", stdin=text).code == 0
    assert len(gateway.charges) == 2
    assert [one["line"] for one in told_lines(shop, "done.jsonl")] == [1, 2]


@pytest.mark.parametrize("out", [FILE, "folder", "link", "text"])
def test_results_overwrite_nothing_else(shop: Shop, gateway: Merciless, out: str) -> None:
    """A results file that is something else, a link or the batch itself, is left as it was."""
    write(shop, *orders(1))
    (shop.home / "folder").mkdir()
    (shop.home / "text").write_text("precious")
    (shop.home / "link").symlink_to(shop.home / "target")
    ran = shop.run("batch", FILE, "--out", out)
    assert (ran.code, gateway.requests) == (2, [])
    assert (shop.home / "text").read_text() == "precious"
    assert len((shop.home / FILE).read_text().splitlines()) == 1
    assert not (shop.home / "target").exists()


def _profile(tmp_path: Path) -> Any:
    return read_config(None, {"HOME": str(tmp_path), "POSCTL_CONFIG": ""}).profiles["training"]


cells = st.text("abc 1,\"'\r\né中", max_size=8)


@given(rows=st.lists(st.tuples(cells, cells), max_size=5), raw=st.binary(max_size=60))
def test_csv_and_json_agree_and_garbage_is_only_ever_a_usage_error(
    rows: list[tuple[str, str]], raw: bytes
) -> None:
    """What CSV and JSON Lines say in their own ways is the same, good or bad; no bytes crash it."""
    profile = read_config(None, {"HOME": "/nonexistent"}).profiles["training"]
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["checkout_id", "pay_fee", "attributes"])
    objects = []
    for number, (checkout, attributes) in enumerate(rows, 1):
        writer.writerow([checkout, number, attributes])
        members = {"checkout_id": checkout, "pay_fee": number, "attributes": attributes}
        objects.append({name: value for name, value in members.items() if value})

    def read(text: str, name: str) -> list[Any] | str:
        try:
            batch: Batch = read_batch(text.encode(), name, profile, another=False)
        except UsageError as error:
            return error.code
        return [line.order for line in batch.lines]

    as_json = "\n".join(json.dumps(one, ensure_ascii=False) for one in objects)
    assert read(table.getvalue(), "x.csv") == read(as_json, "x.jsonl")
    for name in ("x.csv", "x.jsonl"):
        with pytest.raises(UsageError):
            read_batch(raw, name, profile, another=False)


@given(st.tuples(*(st.tuples(st.text(), st.integers(0)),) * 2))
def test_ids_are_stable_and_distinct(pair: tuple[tuple[str, int], ...]) -> None:
    """What a line says and the attempt make one id, another one for anything else; it is a UUID."""
    first, second = (request_id_of(*one) for one in pair)
    assert (first == second) == (pair[0] == pair[1])
    assert first == request_id_of(*pair[0])
    assert first[14] == "8"
    assert first[19] in "89ab"


# ── the results file ─────────────────────────────────────────────────────────────────────────


def test_a_torn_record_is_repaired(shop: Shop, gateway: Merciless) -> None:
    """A last record that was cut short by a crash is written again; the others stay."""
    write(shop, *orders(3))
    assert shop.run("batch", FILE).code == 0
    path = shop.home / RESULTS
    whole = path.read_bytes()
    for length in (len(whole) - 20, 12):
        path.write_bytes(whole[:length])
        assert shop.run("batch", FILE).code == 0
        assert [one["line"] for one in told_lines(shop)] == [1, 2, 3]
    assert len(gateway.requests) == 3


def test_results_that_cannot_be_written_add_nothing(shop: Shop, gateway: Merciless) -> None:
    """On a full disk no half record is left, and what was there is still read."""
    import resource  # noqa: PLC0415  not on Windows

    write(shop, *orders(1))
    assert shop.run("batch", FILE).code == 0
    path = shop.home / RESULTS
    before = path.read_bytes()
    was = told_lines(shop)[0]
    with Results(
        path,
        was["batch"],
        [Known(1, was["line_id"], ("1", "c1", 101)), Known(2, "x", ("1", "c2", 102))],
    ) as results:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                results.add([(2, _result())], _profile(shop.home))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before


def _result() -> Any:
    from posctl.money.outcome import Exit, Outcome  # noqa: PLC0415  here alone
    from posctl.money.result import Result  # noqa: PLC0415

    return Result(Exit.BLOCKED, Outcome.BLOCKED)


def test_the_results_are_private(shop: Shop, gateway: Merciless) -> None:
    """Nobody else can read the results, and they hold every key of a payment."""
    write(shop, *orders(1))
    assert shop.run("batch", FILE).code == 0
    assert is_private(shop.home / RESULTS)
    (one,) = told_lines(shop)
    assert set(one) >= {"batch", "line", "outcome", "exit_code", "error", "warnings", "tries"}
    assert not set(one) & set(FIELDS) & {"channel_account", "alipay_account"}


# ── on a terminal ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("lang", "columns"), [("en", 80), ("en", 40), ("zh", 80), ("zh", 40)])
def test_the_summary_on_a_terminal(shop: Shop, gateway: Merciless, lang: str, columns: int) -> None:
    """A bar while it runs; then each outcome with its count and sum, and the command to go on."""
    gateway.answer = lambda m: paid(m) if m["checkout_id"] != "c2" else None
    write(shop, *orders(120))
    command = [sys.executable, "-m", "posctl", "--lang", lang, "batch", FILE]
    shown = pty_run(command, env=shop.env, columns=columns, cwd=shop.home)
    assert shown.exit_code == 21
    assert b"[####" in shown.raw
    words = {
        "en": ("√ PAID", "▲ UNKNOWN", "DO NOT CHARGE AGAIN"),
        "zh": ("√ 已付款", "▲ 结果未知", "请勿重复收款"),
    }
    assert all(word in shown.text for word in words[lang])
    assert "119" in shown.text
    assert "￥191.58" in shown.text
    assert f"\n posctl --lang {lang} batch {FILE}" in shown.text
    assert shown.widest <= columns


def test_the_exit_code_is_the_worst_of_all(shop: Shop, gateway: Merciless) -> None:
    """One unknown among the paid and the failed: 21; the summary counts and adds up each."""
    answers = {"c1": None, "c2": told({"result_status": 2}), "c3": told({"result_status": 3})}
    gateway.answer = lambda members: answers.get(members["checkout_id"], paid(members))
    write(shop, *orders(5))
    ran = shop.run("batch", FILE, "--json")
    assert ran.code == ran.json["exit_code"] == 21
    counts = {name: one["count"] for name, one in ran.json["outcomes"].items() if one["count"]}
    assert counts == {"unknown": 1, "fail": 1, "pending": 1, "success": 2}
    assert ran.json["outcomes"]["success"]["pay_fee"] == 104 + 105


Training = Callable[..., Ran]


def test_training_is_said_loudly(trained: Training, shop: Shop) -> None:
    """A batch of the profile training says so, on stderr and in every result."""
    write(shop, *orders(2))
    ran = trained("batch", FILE)
    assert (ran.code, "TRAINING" in ran.err) == (0, True)
    assert [one["live"] for one in told_lines(shop)] == [False, False]
