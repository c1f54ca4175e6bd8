"""Open payments: never forgotten, never resent when it could charge, closed by proof or person."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran, Shop
from faultserver import PAID, FaultServer, answer, cut_after_reading
from pty_run import pty_run

FAIL, PENDING_THEN_PAID, PENDING_THEN_FAIL = (f"28{n:016d}" for n in (3, 4, 5))
CUT_BEFORE, CUT_AFTER, FOREVER, CONTRADICTION = (f"28{n:016d}" for n in (8, 9, 13, 14))
MINUTE_MS, HOUR_MS = 60_000, 3_600_000

Training = Callable[..., Ran]


def begin(run: Training, code: str = CUT_AFTER, checkout: str = "111", fee: str = "100") -> Any:
    """A payment that ended open, as `pay --json` told it."""
    how = ("--code-stdin",) if code else ()
    args = ("pay", "--json", "--fee", fee, "--checkout", checkout, *how)
    ran = run(*args, stdin=code)
    assert ran.code in (20, 21, 22), ran
    return ran.json


def age(shop: Shop, by_ms: int) -> None:
    """Let all payments have happened so much earlier, tries included."""
    with closing(sqlite3.connect(shop.journal)) as db, db:
        for column in ("created_ms", "updated_ms"):
            db.execute(f"UPDATE payments SET {column} = {column} - ?", (by_ms,))
        db.execute("UPDATE tries SET started_ms = started_ms - ?", (by_ms,))
        db.execute("UPDATE tries SET finished_ms = finished_ms - ?", (by_ms,))
    db.close()


def charges(shop: Shop) -> int:
    """How often the training gateway has charged."""
    with closing(sqlite3.connect(shop.home / "training.db")) as ledger, ledger:
        found: int = ledger.execute("SELECT count(*) FROM charge").fetchone()[0]
    ledger.close()
    return found


def no_code(shop: Shop, trained: Training) -> Any:
    """An open payment that was taken without a payment code."""
    opened = begin(trained, CUT_AFTER)
    with closing(sqlite3.connect(shop.journal)) as db, db:
        which = (opened["request_id"],)
        (text,) = db.execute(
            "SELECT pay_request FROM payments WHERE request_id = ?", which
        ).fetchone()
        members = {k: v for k, v in json.loads(text).items() if k != "channel_account"}
        db.execute(
            "UPDATE payments SET pay_request = ? WHERE request_id = ?",
            (json.dumps(members), *which),
        )
    db.close()
    return opened


# ── retry ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("which", ["id", "--checkout", "--last", "--all"])
def test_retry_closes_with_one_charge(trained: Training, shop: Shop, which: str) -> None:
    """`retry`, however the payment is named, asks under its own request_id: one charge."""
    opened = begin(trained)
    words = {"id": [opened["request_id"]], "--checkout": ["--checkout", "111"]}
    ran = trained("retry", "--json", *words.get(which, [which]))
    assert ran.code == 0
    one = ran.json["payments"][0] if which == "--all" else ran.json
    assert (one["request_id"], one["outcome"]) == (opened["request_id"], "success")
    assert (one["resumed"], one["tries"]) == (True, 2)
    assert charges(shop) == 1


def test_retry_of_what_is_closed_or_unknown(trained: Training, shop: Shop) -> None:
    """A closed payment is told again, an unknown id is a usage error, with nothing open it is 0."""
    assert trained("retry", "--all", "--json").json["payments"] == []
    assert trained("retry", "--checkout", "111", "--json").code == 0
    opened = begin(trained, PENDING_THEN_FAIL)
    assert trained("retry", "--last", "--json").code == 10
    again = trained("retry", opened["request_id"], "--json")
    assert (again.code, again.json["tries"], again.json["resumed"]) == (10, 2, True)
    unknown = trained("retry", "00000000-0000-4000-8000-000000000000", "--json")
    assert (unknown.code, unknown.json["error"]["kind"]) == (2, "usage")


def test_retry_of_several_has_the_worst_code(trained: Training) -> None:
    """`retry --all` exits with the worst in the order 22, 21, 20, 12, 11, 10, 0."""
    begin(trained, CUT_AFTER, "a")
    begin(trained, PENDING_THEN_FAIL, "b")
    begin(trained, FOREVER, "c")
    ran = trained("retry", "--all", "--json")
    assert sorted(one["exit_code"] for one in ran.json["payments"]) == [0, 10, 20]
    assert (ran.code, ran.json["exit_code"]) == (20, 20)


def test_a_conflict_is_never_resent(trained: Training, shop: Shop) -> None:
    """A conflict waits for a person: `pay` and `retry` are blocked until `resolve`."""
    opened = begin(trained, CONTRADICTION)
    assert opened["outcome"] == "conflict"
    again = trained("pay", "--json", "--fee", "100", "--checkout", "111")
    retried = trained("retry", "--last", "--json")
    assert (again.code, retried.code) == (30, 30)
    assert trained("show", opened["request_id"], "--json").json["payment"]["tries"] == 1
    args = (opened["request_id"], "--as", "not-paid", "--note", "seen in the console")
    assert trained("resolve", *args).code == 0
    assert trained("pay", "--json", "--fee", "100", "--checkout", "111").code == 0


# ── how long a resend is safe ────────────────────────────────────────────────────────────────


def test_cron_backs_off_and_stops_after_15_minutes(trained: Training, shop: Shop) -> None:
    """`retry --due` leaves a payment that was just tried, takes one whose turn it is, and never
    resends one that is older than 15 minutes.
    """
    begin(trained)
    assert trained("retry", "--due", "--json").json["payments"] == []
    age(shop, 2 * MINUTE_MS)
    assert trained("retry", "--due", "--json").json["payments"][0]["outcome"] == "success"
    begin(trained, checkout="b")
    age(shop, 16 * MINUTE_MS)
    ran = trained("retry", "--due", "--json")
    assert (ran.code, ran.json["payments"]) == (0, [])
    assert trained("pending", "--check").code == 20


@pytest.mark.parametrize("how", [("--due",), ("--all",), ("--last",), ("--last", "--yes")])
def test_a_week_old_payment_is_never_resent(
    trained: Training, shop: Shop, how: tuple[str, ...]
) -> None:
    """A week-old open payment is not resent, by cron or by hand, whatever is answered: only
    `resolve` closes it, and the refusal says so.
    """
    opened = begin(trained)
    age(shop, 7 * 24 * HOUR_MS)
    trained("retry", *how, "--json")
    assert trained("pay", "--json", "--fee", "100", "--checkout", "111", "--yes").code == 30
    shown = trained("show", opened["request_id"], "--json").json
    assert (shown["payment"]["tries"], shown["payment"]["outcome"]) == (1, "unknown")
    if how != ("--due",):
        refused = trained("retry", opened["request_id"], *how[1:])
        assert refused.code == 30
        assert "posctl --profile training resolve" in refused.err


def test_help_and_docs_say_why_old_payments_stay(shop: Shop) -> None:
    """`retry --help` and the README say after how long nothing is resent, and why."""
    text = " ".join(shop.run("retry", "--help").out.split())
    assert "15 minutes" in text
    assert "24 hours" in text
    assert "charges again" in text


def test_with_a_code_a_late_retry_is_a_question(trained: Training, shop: Shop) -> None:
    """Within 24 hours a payment with a code is resent by hand: the code works once."""
    begin(trained, CUT_AFTER)
    age(shop, 3 * HOUR_MS)
    assert trained("retry", "--last", "--json").code == 0
    assert charges(shop) == 1


def test_without_a_code_the_customer_must_be_there(trained: Training, shop: Shop) -> None:
    """After 15 minutes a payment without a code is a live charge: a person is asked first."""
    opened = no_code(shop, trained)
    age(shop, HOUR_MS)
    refused = trained("retry", "--last", "--json")
    assert (refused.code, refused.json["outcome"]) == (30, "blocked")
    command = [*shop.command, "--profile", "training", "retry", opened["request_id"]]
    no = pty_run(command, env=shop.env, answers=[("[y/N]", "n\r")])
    assert no.exit_code == 30
    assert "still here" in no.flow
    assert trained("show", opened["request_id"], "--json").json["payment"]["tries"] == 1
    yes = pty_run(command, env=shop.env, answers=[("[y/N]", "y\r")])
    assert yes.exit_code in (0, 12, 21)  # it was sent: the payload was altered by the test
    assert trained("show", opened["request_id"], "--json").json["payment"]["tries"] == 2


def test_since_when_a_payment_is_open(trained: Training, shop: Shop) -> None:
    """An old payment is said to be open since it was begun, and not since its last try."""
    opened = begin(trained)
    with closing(sqlite3.connect(shop.journal)) as db, db:
        db.execute("UPDATE payments SET created_ms = created_ms - ?", (25 * HOUR_MS,))
        (begun_ms,) = db.execute("SELECT created_ms FROM payments").fetchone()
    db.close()
    shop.env["TZ"] = "UTC"
    said = trained("retry", opened["request_id"], "--json").json["error"]["message"]
    assert time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(begun_ms / 1000)) in said


# ── rate limits ──────────────────────────────────────────────────────────────────────────────


def test_a_sweep_waits_out_the_ban(shop: Shop) -> None:
    """A rate limit that names its ban is waited out by `retry --all`, then the answer counts."""
    limited = json.dumps(
        {
            "error_response": {
                "code": 7,
                "msg": "App Call Limited",
                "sub_code": "accesscontrol.limited-by-api-access-count",
                "sub_msg": "This ban will last for 1 more seconds",
            }
        }
    ).encode()
    with FaultServer(cut_after_reading) as server:
        shop.profile(server.url)
        assert shop.run("pay", "--json", "--fee", "100", "--checkout", "1").code == 21
        server.then(answer(limited), answer(PAID))
        ran = shop.run("retry", "--all", "--json")
    assert (ran.code, ran.json["payments"][0]["tries"]) == (0, 3)
    with closing(sqlite3.connect(shop.journal)) as db, db:
        rows = db.execute("SELECT started_ms, finished_ms FROM tries ORDER BY n").fetchall()
    db.close()
    (_, limited_ms), (_, paid_ms) = rows[1:]
    assert paid_ms - limited_ms >= 2000, "the ban's one second, and one second more"


# ── waiting ──────────────────────────────────────────────────────────────────────────────────


def test_wait_asks_until_it_is_decided(trained: Training, shop: Shop) -> None:
    """`pay --wait` asks again while it is pending and stops at the definite answer."""
    args = ("pay", "--json", "--fee", "100", "--checkout", "1", "--wait", "30", "--code-stdin")
    ran = trained(*args, stdin=PENDING_THEN_PAID)
    assert (ran.code, ran.json["tries"]) == (0, 2)
    assert charges(shop) == 1


def test_wait_ends_with_what_is_known(trained: Training) -> None:
    """When the time is up the payment stays pending, and the exit code says so."""
    args = ("pay", "--json", "--fee", "100", "--checkout", "1", "--wait", "1", "--code-stdin")
    ran = trained(*args, stdin=FOREVER)
    assert (ran.code, ran.json["outcome"]) == (20, "pending")


def test_ctrl_c_while_waiting_leaves_a_true_record(shop: Shop, trained: Training) -> None:
    """Ctrl-C during the countdown: the verdict so far, its exit code, and a payment still open."""
    words = "--profile training pay --fee 100 --checkout 1 --wait 600 --code"
    shown = pty_run(
        [*shop.command, *words.split(), FOREVER], env=shop.env, answers=[("Ctrl-C", "\x03")]
    )
    assert shown.exit_code == 20
    assert "PENDING" in shown.text
    (opened,) = trained("pending", "--json").json["payments"]
    assert opened["outcome"] == "pending"
    assert trained("retry", "--last", "--json").code == 20, "nobody holds it"


@pytest.mark.parametrize("terminal", [True, False])
def test_printed_commands_work_as_printed(shop: Shop, tmp_path: Path, terminal: bool) -> None:
    """A command to type next names the configuration and the profile that this one was given: typed
    as printed, it finds the payment.
    """
    with FaultServer(cut_after_reading) as server:
        shop.profile(server.url, "store-2")
        del shop.env["POSCTL_CONFIG"]
        here = tmp_path / "my config.yaml"
        (shop.home / "config.yaml").rename(here)
        given = ("--config", str(here), "--profile", "store-2")
        pay = ("pay", "--fee", "100", "--checkout", "1")
        for words in (pay, ("retry", "--all") if terminal else pay):
            if terminal:
                shown = pty_run([*shop.command, *given, *words], columns=200, env=shop.env)
                assert shown.exit_code == 21
                said = shown.text
            else:
                said = shop.run(*given, *words).err
            printed = re.findall(r"posctl (--config .*(?:retry \S+|pending))", said)
            assert printed, said
            for line in printed:
                ran = shop.run(*shlex.split(line), "--json")
                assert ran.code in (0, 21), ran
                assert "1" in (ran.json.get("checkout_id"), *_checkouts(ran)), ran


def _checkouts(ran: Ran) -> list[str]:
    return [one["checkout_id"] for one in ran.json.get("payments", [])]


# ── pending ──────────────────────────────────────────────────────────────────────────────────


def test_pending_tells_age_reason_and_what_to_type(trained: Training, shop: Shop) -> None:
    """`pending` lists the oldest first with age, amount, why it is open and the command to type."""
    assert trained("pending", "--check", "--json").code == 0
    old = begin(trained, CUT_AFTER, "a")
    age(shop, 5 * MINUTE_MS)
    new = begin(trained, FOREVER, "b", "7")
    ran = trained("pending", "--json")
    assert ran.code == 0
    first, second = ran.json["payments"]
    assert [first["request_id"], second["request_id"]] == [old["request_id"], new["request_id"]]
    assert 300 <= first["age_s"] < 400
    assert "broke" in first["why"]
    assert f"retry {old['request_id']}" in first["next"]
    assert second["pay_fee"] == 7
    assert trained("pending", "--check").code == 20


def test_pending_older_than_is_silent_about_the_young(trained: Training, shop: Shop) -> None:
    """`pending --older-than 5m --check` ends with 20 from that age on, lists nothing younger, and
    does not say that nothing is open.
    """
    asked = ("pending", "--older-than", "5m", "--check")
    old = begin(trained, CUT_AFTER, "a")
    young = trained(*asked, "--format", "text")
    assert (young.code, "Nothing older than 5m is open." in young.out) == (0, True)
    age(shop, 5 * MINUTE_MS)
    begin(trained, FOREVER, "b", "7")
    ran = trained(*asked, "--json")
    assert (ran.code, [one["request_id"] for one in ran.json["payments"]]) == (
        20,
        [old["request_id"]],
    )
    assert trained("pending", "--older-than", "1h", "--check").code == 0


@pytest.mark.parametrize("text", ["5", "m", "0m", "-5m", "5 m", "1.5h", "5w", "٥m", "1234567s", ""])
def test_pending_older_than_takes_a_number_and_a_unit(trained: Training, text: str) -> None:
    """An age that is not a whole number with s, m, h or d is a usage error, found first."""
    ran = trained("pending", f"--older-than={text}", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, "bad_age")


def test_pending_advises_only_what_will_be_done(trained: Training, shop: Shop) -> None:
    """What `retry` would refuse is not told to be retried, in `pending`, `checkout` and `show`."""
    old = begin(trained, CUT_AFTER, "a")
    age(shop, 24 * HOUR_MS)
    gone = no_code(shop, trained)
    age(shop, HOUR_MS)
    nexts = [one["next"] for one in trained("pending", "--json").json["payments"]]
    assert f"retry {old['request_id']}" not in nexts[0]
    assert f"status {old['request_id']}" in nexts[0]
    assert f"retry {gone['request_id']} --yes" in nexts[1]
    for args in (("checkout", "a"), ("show", old["request_id"])):
        shown = pty_run([*shop.command, "--profile", "training", *args], env=shop.env)
        assert "may have been charged" in shown.flow or "DO NOT CHARGE" in shown.flow
        assert f"resolve {old['request_id']}" in shown.text.replace("\n", "")
        assert "retry" not in shown.text


def test_pending_does_not_say_that_a_sending_posctl_was_stopped(
    trained: Training, shop: Shop
) -> None:
    """A try without an end may be on its way: only the process that sends knows."""
    begin(trained)
    with closing(sqlite3.connect(shop.journal)) as db, db:
        db.execute("UPDATE tries SET event=NULL, finished_ms=NULL")
    db.close()
    why = trained("pending", "--json").json["payments"][0]["why"]
    assert why == "No end is recorded: it is on its way, or posctl was stopped."


def test_every_command_mentions_what_is_open_for_a_minute(trained: Training, shop: Shop) -> None:
    """An open payment older than a minute is one line on stderr of whatever is typed next."""
    begin(trained)
    assert "posctl pending" not in trained("history").err
    age(shop, 2 * MINUTE_MS)
    for args in (("history",), ("checkout", "9"), ("pay", "--fee", "1", "--checkout", "new")):
        mentions = [line for line in trained(*args).err.splitlines() if "pending" in line]
        assert len(mentions) == 1, args
    age(shop, 25 * HOUR_MS)
    assert "the oldest for 1 d 1 h." in trained("history").err


# ── resolve ──────────────────────────────────────────────────────────────────────────────────


def test_resolve_keeps_who_when_and_why(trained: Training, shop: Shop) -> None:
    """A person's word closes the payment; nothing is deleted, and it is never sent again."""
    opened = begin(trained, CUT_BEFORE)
    request_id = opened["request_id"]
    assert trained("resolve", request_id, "--as", "paid").code == 2, "a note is needed"
    assert trained("resolve", request_id, "--as", "paid", "--note", "…").code == 2, "with words"
    ran = trained("resolve", request_id, "--as", "not-paid", "--note", "no entry in the bill")
    assert ran.code == 0
    shown = trained("show", request_id, "--json").json
    payment = shown["payment"]
    assert (payment["state"], payment["outcome"]) == ("resolved", "fail")
    assert payment["resolved_note"] == "no entry in the bill"
    assert payment["resolved_by"]
    assert payment["closed_at"]
    assert len(shown["tries"]) == 1
    told = trained("retry", request_id, "--json")
    assert (told.code, told.json["tries"]) == (10, 1)
    assert told.json["error"]["message"] == "It was closed by hand. The customer was not charged."
    assert charges(shop) == 0
    assert trained("resolve", request_id, "--as", "paid", "--note", "x").code == 2, "never changes"


def test_later_evidence_raises_an_alarm(trained: Training, shop: Shop) -> None:
    """When the gateway says otherwise later, `pending` shows an alarm until it is acknowledged."""
    (shop.home / "c.yaml").write_text(
        "profiles: {training: {status_words: {SUCCESS: success, FAIL: fail}}}\n"
    )
    shop.env["POSCTL_CONFIG"] = str(shop.home / "c.yaml")
    request_id = begin(trained, CUT_AFTER)["request_id"]
    trained("resolve", request_id, "--as", "not-paid", "--note", "customer left")
    trained("status", request_id)
    ran = trained("pending", "--check", "--json")
    assert (ran.code, ran.json["payments"]) == (20, [])
    (alarm,) = ran.json["alarms"]
    assert alarm["request_id"] == request_id
    kept = trained("show", request_id, "--json").json["payment"]
    assert (kept["state"], kept["outcome"]) == ("resolved", "fail"), "the first record stays"
    assert trained("resolve", request_id, "--acknowledge", "--note", "gave it back").code == 0
    assert trained("pending", "--check", "--json").json["alarms"] == []


# ── checkout ─────────────────────────────────────────────────────────────────────────────────


def test_checkout_adds_up(trained: Training) -> None:
    """`checkout` shows what was paid and what is still due, over all its payments."""
    partial = "280000000000000002"
    args = ("pay", "--fee", "100", "--checkout", "7", "--json")
    trained(*args, "--code-stdin", stdin=FAIL)
    assert trained("checkout", "7", "--json").json["remaining_fee"] is None
    trained(*("pay", "--fee", "100", "--checkout", "8", "--code-stdin"), stdin=partial)
    found = trained("checkout", "8", "--json").json
    assert (found["paid_fee"], found["remaining_fee"]) == (100, 23)
    trained("pay", "--fee", "23", "--checkout", "8")
    found = trained("checkout", "8", "--json").json
    assert (found["paid_fee"], found["remaining_fee"], len(found["payments"])) == (123, 0, 2)


# ── status ───────────────────────────────────────────────────────────────────────────────────


def test_status_shows_and_closes_only_as_the_profile_says(trained: Training, shop: Shop) -> None:
    """`status` shows and records the platform's word; it closes a payment only through
    `status_words`.
    """
    request_id = begin(trained, CUT_AFTER)["request_id"]
    asked = trained("status", request_id, "--json")
    assert (asked.code, asked.json["status_word"], asked.json["meaning"]) == (21, "SUCCESS", None)
    assert "status_words" in asked.err
    assert [t["kind"] for t in trained("show", request_id, "--json").json["tries"]] == [
        "pay",
        "status",
    ]
    (shop.home / "c.yaml").write_text("profiles: {training: {status_words: {SUCCESS: success}}}\n")
    shop.env["POSCTL_CONFIG"] = str(shop.home / "c.yaml")
    closed = trained("status", request_id, "--json")
    assert (closed.code, closed.json["payment"]["outcome"]) == (0, "success")
    assert charges(shop) == 1


def test_status_of_a_checkout_closes_nothing(trained: Training) -> None:
    """`status --checkout` shows the word for the whole checkout."""
    request_id = begin(trained, CUT_AFTER)["request_id"]
    asked = trained("status", "--checkout", "111", "--json")
    assert asked.code == 0
    assert asked.json["status_word"]
    assert trained("show", request_id, "--json").json["payment"]["outcome"] == "unknown"


# ── found by the simulator ───────────────────────────────────────────────────────────────────


def test_ctrl_c_before_sending_is_told(shop: Shop) -> None:
    """Interrupted before anything was sent: exit 130, and `--json` still answers."""
    words = "--profile training pay --json --fee 1 --checkout 1 --scan"
    shown = pty_run(
        [*shop.command, *words.split()], env=shop.env, answers=[("Scan the payment", "\x03")]
    )
    assert shown.exit_code == 130
    told = json.loads(shown.flow[shown.flow.index("{") : shown.flow.rindex("}") + 1])
    assert (told["error"]["kind"], told["outcome"]) == ("interrupted", None)


def test_an_echoed_code_is_kept_nowhere(shop: Shop) -> None:
    """A gateway that echoes the payment code in any of its texts finds it masked everywhere."""
    code = "283456789012345678"
    echo = {
        "model": {
            "result_status": 1,
            "remaining_fee": 0,
            "payment_order_id": int(code),
            "channel_order_id": code,
            "result_code": code,
            "result_message": f"x{code}x",
        },
        "msg_code": code,
        "is_success": True,
    }
    body = {"alibaba_pos_order_pay_response": {"result": echo, "request_id": code}}
    with FaultServer(answer(json.dumps(body).encode())) as server:
        shop.profile(server.url)
        paid = shop.run(
            *("pay", "--json", "--fee", "1", "--checkout", "1", "--code-stdin"), stdin=code
        )
        shown = shop.run("show", paid.json["request_id"], "--json")
    assert paid.code == 0
    assert code not in paid.out + paid.err + shown.out
    assert not any(code.encode() in file.read_bytes() for file in shop.home.glob("journal*"))


def test_the_clock_set_back_opens_no_door(trained: Training, shop: Shop) -> None:
    """A payment that seems to lie in the future counts as a moment ago: the same fee is asked."""
    args = ("pay", "--json", "--fee", "10", "--checkout", "1")
    assert trained(*args, "--code-stdin", stdin="280000000000000002").json["remaining_fee"] == 3
    assert trained(*args[:3], "1", *args[4:]).code == 0
    with closing(sqlite3.connect(shop.journal)) as db, db:
        db.execute("UPDATE payments SET updated_ms = closed_ms + 700000")
    db.close()
    assert trained(*args[:3], "1", *args[4:]).json["error"]["code"] == "same_fee_again"


def restored(shop: Shop) -> None:
    """As after a backup that was put back, or a journal that was taken over."""
    with closing(sqlite3.connect(shop.journal)) as db, db:
        db.execute("UPDATE payments SET for_person=1 WHERE closed_ms IS NULL")


@pytest.mark.parametrize(
    "command",
    [("pay", "--fee", "100", "--checkout", "111"), ("retry", "--all"), ("retry", "--due")],
)
def test_what_a_restored_journal_cannot_know_is_for_a_person(
    command: tuple[str, ...], trained: Training, shop: Shop
) -> None:
    """A payment that only a person may send is sent by no `pay`, no sweep and no timer, whatever
    their --yes says.
    """
    opened = begin(trained)["request_id"]
    restored(shop)
    trained(*command, "--json", *(() if "--due" in command else ("--yes",)))
    told = trained("pay", "--fee", "100", "--checkout", "111", "--json")
    assert (told.code, told.json["error"]["code"]) == (30, "restored")
    assert f"resolve {opened}" in told.json["error"]["hint"]
    shown = trained("show", opened, "--json").json
    assert len(shown["tries"]) == 1


def test_a_person_may_send_what_a_restored_journal_cannot_know(
    trained: Training, shop: Shop
) -> None:
    """`retry ID` asks whether it was settled since, and `--yes` answers; `--wait` asks nobody."""
    opened = begin(trained)["request_id"]
    restored(shop)
    refused = trained("retry", opened, "--json", "--wait", "5")
    assert (refused.code, refused.json["error"]["code"]) == (30, "restored")
    assert trained("retry", opened, "--json", "--yes").code == 0
    assert charges(shop) == 1


def test_refused_payments_do_not_stop_a_sweep(shop: Shop) -> None:
    """However many open payments may not be resent, `retry --all` goes on to those that may."""
    with FaultServer(cut_after_reading) as server:
        shop.profile(server.url)
        for number in range(3):
            args = ("pay", "--json", "--fee", "1", "--checkout", str(number))
            assert shop.run(*args).code == 21
        with closing(sqlite3.connect(shop.journal)) as db, db:  # 100 old ones before the last
            names = [row[1] for row in db.execute("PRAGMA table_info(payments)")]
            made_up = ("seq", "request_id", "checkout_id", "created_ms", "pay_request")
            rest = [n for n in names if n not in (*made_up, "crc")]
            db.execute("UPDATE payments SET seq = 1000 WHERE seq = 3")
            db.execute("UPDATE tries SET seq = 1000 WHERE seq = 3")
            db.execute(
                f"INSERT INTO payments ({', '.join((*made_up[1:], *rest))}) "
                f"WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 110) "
                f"SELECT 'old-' || i || '-00000', 'old-' || i, 1000, '{{}}', {', '.join(rest)} "
                f"FROM n, payments WHERE seq = 1"
            )
        db.close()
        server.then(answer(PAID))
        ran = shop.run("retry", "--all", "--json")
    told = {one["checkout_id"]: one["outcome"] for one in ran.json["payments"]}
    assert told["2"] == "success"
    assert list(told.values()).count("blocked") == 101
