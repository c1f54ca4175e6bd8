"""`posctl pay` as a cashier and a script meet it: real processes against the training gateway."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Ran, Shop
from pty_run import pty_run

from posctl.cli.run import one_code, typed_text

FULL = Path("/dev/full")
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
ID = "75626abc-452d-486e-970d-e65e12fc1456"

# What the training gateway does with these payment codes (`posctl training --help`).
PARTIAL, FAIL, PENDING_THEN_PAID = (f"28{n:016d}" for n in (2, 3, 4))
CUT_AFTER_CHARGE = "280000000000000009"
FOREVER = "280000000000000013"

Training = Callable[..., Ran]


@pytest.fixture
def pay(trained: Training) -> Training:
    """`posctl --profile training pay --json …`; `code` comes in through a pipe."""

    def run(*args: str, checkout: str = "111", fee: str = "100", code: str = "", **how: str) -> Ran:
        with_code = ("--code-stdin",) if code else ()
        stdin = how.get("stdin", code)
        return trained(
            "pay", "--json", "--fee", fee, "--checkout", checkout, *with_code, *args, stdin=stdin
        )

    return run


def charges(shop: Shop) -> list[int]:
    """What the training gateway has charged, in fen."""
    with closing(sqlite3.connect(shop.home / "training.db")) as ledger, ledger:
        if not ledger.execute("SELECT 1 FROM sqlite_master WHERE name = 'charge'").fetchone():
            return []
        return [fee for (fee,) in ledger.execute("SELECT pay_fee FROM charge ORDER BY id")]


# ── one payment ──────────────────────────────────────────────────────────────────────────────


def test_three_flags_take_a_payment(trained: Training, shop: Shop) -> None:
    """`pay --shop 1 --fee 100 --checkout 111` is a whole command: paid, with a UUID4 made."""
    ran = trained("pay", "--shop", "1", "--fee", "100", "--checkout", "111", "--json")
    assert ran.code == 0
    paid = ran.json
    assert UUID4.fullmatch(paid["request_id"])
    assert (paid["outcome"], paid["live"], paid["profile"]) == ("success", False, "training")
    assert (paid["shop_id"], paid["checkout_id"], paid["order_id"]) == ("1", "111", "111")
    assert (paid["pay_fee"], paid["remaining_fee"], paid["tries"]) == (100, 0, 1)
    assert paid["payment_order_id"].startswith("TRAINING-")
    assert charges(shop) == [100]
    assert "TRAINING" in ran.err


def test_piped_lines_have_the_same_keys(trained: Training) -> None:
    """Piped, the result is `key: value` lines with JSON's keys, and nothing else on stdout."""
    ran = trained("pay", "--fee", "100", "--checkout", "111")
    lines = dict(line.split(": ", 1) for line in ran.out.splitlines() if ": " in line)
    assert lines["outcome"] == "success"
    assert lines["remaining_fee"] == "0"
    again = trained("pay", "--fee", "100", "--checkout", "112", "--json").json
    assert set(lines) >= {key for key, value in again.items() if not isinstance(value, list)}


def test_field_prints_one_bare_value(trained: Training) -> None:
    """`--field remaining_fee` prints that value alone."""
    ran = trained("pay", "--fee", "100", "--checkout", "111", "--field", "remaining_fee")
    assert (ran.code, ran.out) == (0, "0\n")


def test_a_field_that_does_not_exist_is_refused_first(trained: Training, shop: Shop) -> None:
    """A mistyped `--field` is a usage error before money moves, not an empty line after."""
    ran = trained("pay", "--fee", "100", "--checkout", "111", "--field", "remaining")
    assert (ran.code, shop.recorded) == (2, 0)
    assert "remaining_fee" in ran.err


def test_flags_beat_file_beats_profile(pay: Training, shop: Shop) -> None:
    """A member is taken from the flag, else the JSON file, else the profile's defaults."""
    file = {"shop_id": 1, "pay_fee": 70, "checkout_id": "file-1", "operator_id": "file-op"}
    (shop.home / "order.json").write_text(json.dumps(file))
    ran = shop.run(
        *("--profile", "training", "pay", "--json", "--file", "order.json", "--fee", "60")
    )
    assert ran.code == 0
    assert (ran.json["pay_fee"], ran.json["checkout_id"]) == (60, "file-1")
    assert (ran.json["operator_id"], ran.json["machine_id"]) == ("file-op", "001")


@pytest.mark.parametrize("nested", [False, True])
def test_file_nested_or_flat_from_stdin(trained: Training, nested: bool) -> None:
    """`--file -` reads the flat object and the API's own nested one."""
    members = {"shop_id": "1", "pay_fee": 50, "checkout_id": "n"}
    file = {"shop_id": 1, "pay_request": members} if nested else members
    ran = trained("pay", "--json", "--file", "-", stdin=json.dumps(file))
    assert (ran.code, ran.json["pay_fee"]) == (0, 50)


def test_code_comes_by_stdin_and_is_masked(pay: Training, shop: Shop) -> None:
    """`--code-stdin` takes the code; no output and no byte of the closed journal has it whole."""
    code = "283456789012345678"
    ran = pay(code=code + "\r\n")
    assert ran.code == 0
    assert code not in ran.out + ran.err
    for file in shop.home.glob("journal.db*"):
        assert code.encode() not in file.read_bytes()
    shown = shop.run("--profile", "training", "show", ran.json["request_id"], "--json")
    assert code not in shown.out


def test_code_in_argv_works_and_warns(pay: Training) -> None:
    """`--code` pays, and says that everyone on the machine can see it."""
    ran = pay("--code", "283456789012345678")
    assert ran.code == 0
    assert any("--code" in warning for warning in ran.json["warnings"])


def test_scan_asks_without_echo(shop: Shop) -> None:
    """`--scan` asks on the terminal; what the scanner types is not shown."""
    code = "283456789012345678"
    shown = pty_run(
        [
            *shop.command,
            "--profile",
            "training",
            "pay",
            "--fee",
            "100",
            "--checkout",
            "1",
            "--scan",
        ],
        env=shop.env,
        answers=[("Scan the payment code", code + "\r")],
    )
    assert shown.exit_code == 0
    assert "PAID" in shown.text
    assert code not in shown.raw.decode()


def test_a_terminal_says_that_it_is_sending(shop: Shop) -> None:
    """While the payment is on the wire the terminal says so; the line is gone with the verdict."""
    words = "--profile training pay --fee 100 --checkout 1"
    shown = pty_run([*shop.command, *words.split()], env=shop.env)
    assert "Sending ￥1.00" in shown.raw.decode()
    assert "Sending" not in shown.text


def test_dry_run_sends_and_records_nothing(pay: Training, shop: Shop) -> None:
    """`--dry-run` shows the whole call with codes masked; no journal, no charge, no secret."""
    ran = pay("--dry-run", code="283456789012345678")
    assert ran.code == 0
    call = ran.json["call"]
    assert call["pay_request"]["channel_account"] == "283456******5678"
    assert call["pay_request"]["pay_fee"] == 100
    assert (ran.json["outcome"], ran.json["exit_code"]) == (None, 0)
    assert not shop.recorded
    assert not (shop.home / "training.db").exists()


# ── the same command again ───────────────────────────────────────────────────────────────────


def test_up_and_enter_resumes_the_open_payment(pay: Training, shop: Shop) -> None:
    """The same `pay` while it is open goes on under its request_id: charged once."""
    first = pay(code=CUT_AFTER_CHARGE)
    assert (first.code, first.json["outcome"]) == (21, "unknown")
    again = pay(code=CUT_AFTER_CHARGE)
    assert (again.code, again.json["resumed"], again.json["tries"]) == (0, True, 2)
    assert again.json["request_id"] == first.json["request_id"]
    assert charges(shop) == [100]


def test_a_fresh_code_is_set_aside(pay: Training, shop: Shop) -> None:
    """Scanned again for an open payment, the code is not used, and posctl says so."""
    first = pay(code=CUT_AFTER_CHARGE)
    again = pay(code="283456789012345678")
    assert (again.code, again.json["request_id"]) == (0, first.json["request_id"])
    assert any("code" in warning for warning in again.json["warnings"])
    assert charges(shop) == [100]


@pytest.mark.parametrize("other", [("--fee", "200"), ("--machine", "002"), ("--operator", "9")])
def test_another_pay_on_an_open_checkout_is_blocked(
    pay: Training, trained: Training, other: tuple[str, str]
) -> None:
    """A `pay` that differs is refused (30), told by whom and since when, and sends nothing."""
    first = pay(code=FOREVER)
    assert (first.code, first.json["outcome"]) == (20, "pending")
    flags = dict([("--fee", "100"), other])
    ran = trained("pay", "--json", "--checkout", "111", *sum(flags.items(), ()))
    assert (ran.code, ran.json["outcome"]) == (30, "blocked")
    assert ran.json["blocked_by"] == first.json["request_id"]
    assert ran.json["tries"] == 0
    assert re.search(r"\d\d:\d\d", ran.json["error"]["message"]), ran.json["error"]
    assert "001" in ran.json["error"]["message"], "which till"


def test_a_paid_checkout_is_not_paid_again(pay: Training, shop: Shop) -> None:
    """A fully paid checkout blocks the next `pay`; `--another` means it."""
    assert pay().code == 0
    again = pay()
    assert (again.code, again.json["outcome"]) == (30, "blocked")
    another = pay("--another")
    assert another.code == 0
    assert charges(shop) == [100, 100]


def test_the_remainder_is_a_new_payment(pay: Training, shop: Shop) -> None:
    """After a partial success the rest is a new payment; more than is due is blocked."""
    part = pay(code=PARTIAL)
    assert (part.code, part.json["remaining_fee"]) == (0, 23)
    assert pay(fee="24").code == 30
    rest = pay(fee="23")
    assert (rest.code, rest.json["remaining_fee"]) == (0, 0)
    assert rest.json["request_id"] != part.json["request_id"]
    assert charges(shop) == [100, 23]


def test_the_same_fee_within_a_minute(pay: Training, shop: Shop) -> None:
    """The same amount again within a minute is blocked, and on a terminal a question."""
    assert pay(fee="10", code=PARTIAL).json["remaining_fee"] == 3
    assert pay(fee="1").code == 0
    blocked = pay(fee="1")
    assert (blocked.code, blocked.json["error"]["code"]) == (30, "same_fee_again")
    command = [*shop.command, "--profile", "training", "pay", "--fee", "1", "--checkout", "111"]
    no = pty_run(command, env=shop.env, answers=[("[y/N]", "\r")])
    assert no.exit_code == 30
    yes = pty_run(command, env=shop.env, answers=[("[y/N]", "y\r")])
    assert yes.exit_code == 0
    assert charges(shop) == [10, 1, 1]


def test_after_a_definite_no_the_next_pay_is_new(pay: Training) -> None:
    """After `fail` the same command is a new payment with a new request_id."""
    failed = pay(code=FAIL)
    assert (failed.code, failed.json["outcome"]) == (10, "fail")
    again = pay()
    assert (again.code, again.json["resumed"]) == (0, False)
    assert again.json["request_id"] != failed.json["request_id"]


# ── a request_id of one's own ────────────────────────────────────────────────────────────────


def test_own_request_id_pays_once(pay: Training, shop: Shop) -> None:
    """The same id again, in any spelling, tells the recorded outcome and sends nothing."""
    first = pay("--request-id", "{" + ID.upper() + "}")
    assert (first.code, first.json["request_id"]) == (0, ID)
    again = pay("--request-id", "urn:uuid:" + ID)
    assert (again.code, again.json["resumed"], again.json["tries"]) == (0, True, 1)
    assert charges(shop) == [100]


def test_own_request_id_is_used_up_by_a_no(pay: Training) -> None:
    """After a definite no the hint asks for a new id at once: the same command would not pay."""
    hint = pay("--request-id", ID, code=FAIL).json["error"]["hint"]
    assert hint.endswith("With a new request_id: this one is used up.")
    again = pay("--request-id", ID, code=FAIL)
    assert (again.code, again.json["resumed"]) == (10, True)
    assert "used up" in again.json["error"]["hint"]
    assert "used up" not in pay(code=FAIL).json["error"]["hint"], "posctl makes a new one itself"


@pytest.mark.parametrize(
    ("fee", "said"),
    [("12.50", "￥12.50 is 1250."), ("0.5", "￥0.5 is 50."), ("0.00", "100 is ￥1.00")],
)
def test_an_amount_in_yuan_is_refused_with_its_fen(
    pay: Training, shop: Shop, fee: str, said: str
) -> None:
    """Nobody has to count noughts."""
    ran = pay(fee=fee)
    assert (ran.code, ran.json["error"]["code"]) == (2, "bad_pay_fee")
    assert said in ran.json["error"]["message"]
    assert charges(shop) == []


def test_a_code_is_no_checkout(trained: Training, shop: Shop) -> None:
    """The customer's code given as the checkout, too, is refused (2): every list would name it."""
    code = "280000000000000001"
    members = json.dumps({"pay_fee": 100, "checkout_id": code, "channel_account": code})
    for ran in (
        trained("pay", "--fee", "100", "--checkout", code, "--code", code, "--json"),
        trained("pay", "--file", "-", "--json", stdin=members),
    ):
        assert (ran.code, ran.json["error"]["code"]) == (2, "bad_channel_account")
    assert charges(shop) == []


def test_own_request_id_with_another_payload(pay: Training, shop: Shop) -> None:
    """The same id with anything changed is a usage error, and nothing is sent."""
    assert pay("--request-id", ID).code == 0
    ran = pay("--request-id", ID, fee="101")
    assert (ran.code, ran.json["outcome"]) == (2, None)
    assert ran.json["error"]["kind"] == "usage"
    assert charges(shop) == [100]


def test_own_request_id_resumes_while_open(pay: Training, shop: Shop) -> None:
    """The same id and payload of an open payment goes on with it."""
    assert pay("--request-id", ID, code=PENDING_THEN_PAID).code == 20
    again = pay("--request-id", ID, code=PENDING_THEN_PAID)
    assert (again.code, again.json["tries"], again.json["resumed"]) == (0, 2, True)
    assert charges(shop) == [100]


# ── told first ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(not FULL.exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("code", ["", PARTIAL, FAIL])
def test_an_outcome_nobody_was_told_is_told_first(pay: Training, shop: Shop, code: str) -> None:
    """When the result could not be written out, the same `pay` tells it instead of paying."""
    args = ["--profile", "training", "pay", "--json", "--fee", "100", "--checkout", "111"]
    with FULL.open("wb") as full:
        how = ("--code-stdin",) if code else ()
        process = shop.start(*args, *how, stdin=-1, stdout=full)
        process.communicate(code.encode(), timeout=30)
    before = charges(shop)
    told = pay(code=code)
    assert told.code == process.returncode
    assert told.json["resumed"] is True
    assert charges(shop) == before
    after = pay(code="")
    assert after.json["resumed"] is False


# ── the command line ─────────────────────────────────────────────────────────────────────────

BAD_FEES = [
    "0",
    "-5",
    "+5",
    "1_000",
    " 100",
    "1.5",
    "1e3",
    "１００",
    "٣",
    "￥100",
    "1,000",
    "9" * 20,
]


@pytest.mark.parametrize("fee", [*BAD_FEES, "9" * 20, "9" * 5000, "", "500001", "0100"])
def test_bad_fees_are_refused(trained: Training, shop: Shop, fee: str) -> None:
    """A fee that is not plain ASCII digits from 1 to max_fee is refused before anything is sent."""
    ran = trained("pay", "--json", f"--fee={fee}", "--checkout", "111")
    assert (ran.code, ran.json["outcome"]) == (2, None)
    assert "--fee" in ran.json["error"]["message"]
    assert not shop.recorded


def test_a_flag_given_twice_is_refused(trained: Training) -> None:
    """Of two `--fee` neither wins."""
    ran = trained("pay", "--json", "--fee", "1", "--fee", "2", "--checkout", "111")
    assert (ran.code, ran.json["error"]["kind"]) == (2, "usage")
    assert "--fee" in ran.json["error"]["message"]


def test_globals_stand_on_both_sides(shop: Shop) -> None:
    """`--profile`, `--json`, `--lang` work before and after the command's name; a clash is told."""
    before = shop.run("--json", "--lang", "zh", "--profile", "training", "pending")
    after = shop.run("pending", "--profile", "training", "--json", "--lang", "zh")
    assert (before.code, before.out) == (after.code, after.out) == (0, before.out)
    clash = shop.run("--lang", "zh", "--profile", "training", "pending", "--lang", "en")
    assert clash.code == 2


def test_typos_are_answered_with_the_nearest(shop: Shop) -> None:
    """An unknown command or option is answered with the one that was meant."""
    assert "posctl pay" in shop.run("pya").err
    assert "--checkout" in shop.run("pay", "--chekout", "1").err


def test_version(shop: Shop) -> None:
    """`--version` prints the name and the version."""
    ran = shop.run("--version")
    assert (ran.code, re.fullmatch(r"posctl \d+\.\d+\.\d+\n", ran.out) is not None) == (0, True)


@pytest.mark.parametrize("args", [("--version", "--json"), ("--json", "--version")])
def test_version_in_json(shop: Shop, args: tuple[str, ...]) -> None:
    """With `--json` the version is an object on one line, and `--field version` is the bare one."""
    ran = shop.run(*args)
    bare = shop.run("--version", "--field", "version")
    assert (ran.code, ran.out.count("\n"), bare.code) == (0, 1, 0)
    assert ran.json == {
        "posctl": 1,
        "command": "version",
        "exit_code": 0,
        "version": bare.out.strip(),
        "error": None,
    }


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_language_by_flag_and_environment(shop: Shop, lang: str) -> None:
    """Errors are in the language of --lang, $POSCTL_LANG or the locale."""
    word = {"en": "Error", "zh": "错误"}[lang]
    locale = {"en": "en_US.UTF-8", "zh": "zh_CN.UTF-8"}[lang]
    for args, env in (
        (("--lang", lang), {}),
        ((), {"POSCTL_LANG": lang}),
        ((), {"LC_ALL": locale}),
        (("--lang", lang), {"LC_ALL": "C", "POSCTL_LANG": "en"}),
    ):
        assert word in shop.run(*args, "pay", env=env).err


def test_help_is_in_the_users_language(shop: Shop) -> None:
    """A command's help has its own options and the global ones in Chinese."""
    help_text = shop.run("--lang", "zh", "pay", "--help").out
    options = [line for line in help_text.splitlines() if line.strip().startswith("-")]
    assert len(options) > 25
    assert not [line for line in options if line.isascii()]


def test_debug_masks_what_travels(trained: Training) -> None:
    """`--debug` shows the parameters and the answer, without sign and without the whole code."""
    code = "283456789012345678"
    ran = trained(*("pay", "--fee", "1", "--checkout", "1", "--code-stdin", "--debug"), stdin=code)
    assert "alibaba.pos.order.pay" in ran.err
    assert "result_status" in ran.err
    assert code not in ran.err
    assert "training-secret" not in ran.err
    assert re.search(r"sign=\*+$", ran.err, re.MULTILINE)


# ── looking back ─────────────────────────────────────────────────────────────────────────────


def test_show_has_every_try(pay: Training, trained: Training) -> None:
    """`show` gives the payment and each of its tries, oldest first."""
    request_id = pay(code=CUT_AFTER_CHARGE).json["request_id"]
    pay(code=CUT_AFTER_CHARGE)
    shown = trained("show", request_id.upper(), "--json").json
    assert shown["payment"]["outcome"] == "success"
    assert [one["event"] for one in shown["tries"]] == ["connection_cut", "paid"]
    assert trained("show", "no-such-payment", "--json").code == 2


def test_history_filters(pay: Training, trained: Training) -> None:
    """`history` lists the newest first, by day, shop, checkout, operator, till and outcome."""
    pay(checkout="a")
    pay("--operator", "77", checkout="b", code=FAIL)
    every = trained("history", "--json").json["payments"]
    assert [p["checkout_id"] for p in every] == ["b", "a"]

    def of(*args: str) -> list[str]:
        found = trained("history", "--json", *args).json["payments"]
        return [p["checkout_id"] for p in found]

    assert of("--outcome", "fail") == ["b"]
    assert of("--operator", "77") == ["b"]
    assert of("--checkout", "a") == ["a"]
    assert of("--shop", "2") == []
    assert of("--machine", "001") == ["b", "a"]
    assert of("--day", "today") == ["b", "a"]
    assert of("--day", "yesterday") == []
    assert of("--limit", "1") == ["b"]


# ── the training gateway as a command ────────────────────────────────────────────────────────


def test_training_serve_serves_others(shop: Shop) -> None:
    """`training serve --json` prints url, app_key and secret on one line when it is ready; a
    profile that points there pays, and is never taken for live.
    """
    process = shop.start("training", "serve", "--json")
    try:
        ready = json.loads(process.stdout.readline())
        assert set(ready) == {"url", "app_key", "secret"}
        shop.profile(ready["url"], app_key=ready["app_key"], secret=ready["secret"])
        ran = shop.run("pay", "--json", "--fee", "5", "--checkout", "s")
        assert (ran.code, ran.json["live"], ran.json["profile"]) == (0, False, "store-1")
        assert "TRAINING" in ran.err
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode in (0, 130)


def test_training_reset_starts_afresh(pay: Training, trained: Training, shop: Shop) -> None:
    """`training reset` empties the training gateway's memory."""
    pay()
    assert charges(shop) == [100]
    assert trained("training", "reset", "--json").code == 0
    assert charges(shop) == []


def test_training_help_lists_the_codes(shop: Shop) -> None:
    """`training --help` says what each payment code does."""
    ran = shop.run("training", "--help")
    for code in (PARTIAL, FAIL, PENDING_THEN_PAID, CUT_AFTER_CHARGE, FOREVER):
        assert code in ran.out


@pytest.mark.parametrize(
    ("raw", "encoding"),
    [
        (b"2812345678901234567\r\n", "utf-8"),
        (b"\xef\xbb\xbf2812345678901234567\r\n", "gbk"),
        ("2812345678901234567\n".encode("utf-16"), "utf-8"),
        (b"\xfe\xff" + "2812345678901234567".encode("utf-16-be"), "cp1252"),
        ("\uff12\uff18".encode("gbk"), "gbk"),
    ],
)
def test_a_code_as_powershell_and_notepad_write_it(raw: bytes, encoding: str) -> None:
    """The mark that tells how a text is written is no part of the code behind it."""
    assert one_code(typed_text(raw, encoding)) in ("2812345678901234567", "\uff12\uff18")
