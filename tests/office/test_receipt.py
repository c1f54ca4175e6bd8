"""A receipt is for money that was paid: all of it, once, and within the paper's edges."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Ran, Shop
from hypothesis import given
from hypothesis import strategies as st
from pty_run import pty_run
from rich.cells import cell_len
from scenes import HOSTILE, PAID, PART, payment

from posctl import messages
from posctl.config.profile import Receipt
from posctl.money.outcome import Event, Standing, State
from posctl.office.receipt import columns, folded, receipt_text
from posctl.text import one_line

Training = Callable[..., Ran]

PAY = ("pay", "--fee", "1250", "--checkout", "111", "--code-stdin", "--json")
GOOD, HALF, PENDING, UNKNOWN, REFUSED = (f"2800000000000000{n:02d}" for n in (1, 2, 4, 9, 3))
LOOK = Receipt(("云朵便利店", "杭州市西湖区文三路 1 号 电话 0571-88888888"), ("谢谢惠顾",), 32)


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    yield
    messages.use_language("en")


def paid(trained: Training, code: str = GOOD) -> str:
    ran = trained(*PAY, stdin=code)
    assert ran.code == 0, ran
    return str(ran.json["request_id"])


@pytest.mark.parametrize("width", [32, 48])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_line_fits_the_paper_and_ids_are_whole(lang: str, width: int) -> None:
    """In both languages no line is wider than the paper, and every fact can be read off it."""
    messages.use_language(lang)
    one = payment(Event.PAID, verdict=PART)
    text = receipt_text(one, LOOK._replace(width=width), "customer", 1)
    assert max(columns(line) for line in text.split("\n")) == width
    assert max(cell_len(line) for line in text.split("\n")) == width
    flow = re.sub(r"\n *", "", text)
    for fact in (
        *(one.request_id, one.checkout.checkout_id, "123", "001"),
        {"en": "alipay_facepay_v2", "zh": "支付宝当面付"}[lang],
        *(
            "￥1,234.56",
            "￥23.00",
            "283456******5678",
            "云朵便利店",
            "谢谢惠顾",
        ),
        *(PART.payment_order_id, PART.channel_order_id),
    ):
        assert fact
        assert fact in flow
    assert "283456789012345678" not in flow
    assert "TRAINING" not in text
    assert "演练" not in text


def test_a_chinese_receipt_of_32_columns_looks_like_this() -> None:
    """The whole paper, line by line: Chinese characters take two columns."""
    messages.use_language("zh")
    one = payment(Event.PAID, verdict=PAID)._replace(created_ms=0, closed_ms=0)
    lines = receipt_text(one, LOOK, "store", 3).split("\n")
    assert lines[:3] == [
        "           云朵便利店",
        "  杭州市西湖区文三路 1 号 电话",
        "         0571-88888888",
    ]
    assert lines[3] == lines[7] == "-" * 32
    assert lines[4:6] == ["            收款小票", "             商户联"]
    assert lines[6].strip() == messages._("*** REPRINT {n} ***").format(n=2)
    assert lines[8] == "已付款                ￥1,234.56"
    assert lines[-2:] == ["-" * 32, "            谢谢惠顾"]


@given(text=st.text(max_size=60), width=st.sampled_from([30, 32, 48]))
def test_folding_loses_nothing_but_spaces(text: str, width: int) -> None:
    """Whatever a profile or the platform says, it is on the paper, and inside its edges."""
    lines = folded(text, width)
    assert all(columns(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == one_line(text).replace(" ", "").strip()


def test_hostile_words_stay_inside_their_line() -> None:
    """What the platform or a profile says cannot move the cursor or begin a line of its own."""
    verdict = PAID._replace(payment_order_id=HOSTILE)
    text = receipt_text(payment(Event.PAID, verdict=verdict), Receipt((HOSTILE,)), "customer", 1)
    assert "\x1b" not in text
    assert not [line for line in text.split("\n") if line.startswith("√ PAID")]
    assert max(columns(line) for line in text.split("\n")) == 32


def test_another_amount_than_was_asked_shows_both() -> None:
    """The paper says what the platform charged, and what was asked for."""
    verdict = PAID._replace(current_pay_fee=100)
    text = receipt_text(payment(Event.PAID, verdict=verdict), Receipt(), "customer", 1)
    assert re.search(r"^PAID +￥1\.00$", text, re.MULTILINE)
    assert re.search(r"^Asked for\s+￥1,234\.56$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("remaining", "words"), [(0, "nothing"), (None, "did not say"), (23, "￥0.23")]
)
def test_what_is_still_due_is_said(remaining: int | None, words: str) -> None:
    """Nothing due, something due, and not told are three different things."""
    verdict = PAID._replace(remaining_fee=remaining)
    text = receipt_text(payment(Event.PAID, verdict=verdict), Receipt(), "customer", 1)
    assert words in text[text.index("Still due") :]


def test_a_payment_closed_by_hand_says_so() -> None:
    """Both copies say that a person confirmed it; who and why is on the store's alone."""
    one = payment(None, standing=Standing(State.RESOLVED, paid=True))
    one = one._replace(resolved_by="wang@till-1", resolved_note="saw the receipt")
    customer, store = (receipt_text(one, Receipt(), copy, 1) for copy in ("customer", "store"))
    assert "Confirmed by hand" in customer
    assert "wang" not in customer
    assert "wang@till-1" in store
    assert "saw the receipt" in store


def test_what_was_due_while_it_was_pending_is_not_due_when_it_is_paid() -> None:
    """A payment closed by hand: what an answer said before it was paid is not what is still due."""
    pending = PAID._replace(result_status=3, remaining_fee=123456)
    one = payment(None, standing=Standing(State.RESOLVED, paid=True), verdict=pending)
    text = receipt_text(one, Receipt(), "customer", 1)
    assert "did not say" in text[text.index("Still due") :]


def test_every_print_after_the_first_is_marked(trained: Training) -> None:
    """The journal counts the prints of each copy, over all runs."""
    request_id = paid(trained)
    first = trained("receipt", request_id)
    assert first.code == 0
    assert "REPRINT" not in first.out
    assert "*** REPRINT 1 ***" in trained("receipt", "--last").out
    assert "*** REPRINT 2 ***" in trained("receipt", request_id).out
    assert "REPRINT" not in trained("receipt", request_id, "--copy", "store").out


def test_a_checkout_has_one_receipt_for_all_its_payments(trained: Training) -> None:
    """Both parts, their sum and what is due then; none while one is open, none where none is paid;
    each part that was printed before makes it a reprint.
    """
    first = trained("pay", "--fee", "3000", "--checkout", "a", "--code-stdin", "--json", stdin=HALF)
    rest = first.json["remaining_fee"]
    args = ("pay", "--fee", str(rest), "--checkout", "a", "--code-stdin", "--json")
    second = trained(*args, stdin=GOOD)
    assert (first.code, second.code, second.json["remaining_fee"]) == (0, 0, 0)
    data = trained("receipt", "--checkout", "a", "--json").json
    ids = [one["request_id"] for one in data["payments"]]
    assert ids == [first.json["request_id"], second.json["request_id"]]
    assert data["charged_fee"] == first.json["current_pay_fee"] + rest
    assert data["reprint"] is False
    flow = re.sub(r"\n *", "", data["text"])
    assert all(one in flow for one in ids)
    assert f"￥{data['charged_fee'] / 100:.2f}" in flow
    assert re.search("Still due +nothing", data["text"])
    again = trained("receipt", ids[1], "--json").json
    assert (again["print"], again["reprint"]) == (2, True)
    trained("pay", "--fee", "100", "--checkout", "b", "--code-stdin", "--json", stdin=UNKNOWN)
    assert trained("receipt", "--checkout", "b", "--json").json["error"]["code"] == "open"
    for words in (("--checkout", "c"), ("--checkout", "a", "--last"), ("--shop", "1", "--last")):
        assert trained("receipt", *words).code == 2


def test_a_training_receipt_shouts(trained: Training) -> None:
    """The first and the last lines of a training receipt say that no money was paid."""
    paid(trained)
    lines = trained("receipt", "--last").out.splitlines()
    assert "TRAINING" in lines[1]
    assert "TRAINING" in lines[-3]
    assert "演练" in trained("receipt", "--last", "--lang", "zh").out.splitlines()[1]


@pytest.mark.parametrize(
    ("code", "word"), [(PENDING, "open"), (UNKNOWN, "open"), (REFUSED, "not_paid")]
)
def test_only_paid_payments_have_a_receipt(trained: Training, code: str, word: str) -> None:
    """A failed or an open payment is refused, and an open one says what to do instead."""
    request_id = trained(*PAY, stdin=code).json["request_id"]
    for which in ("--last", request_id):
        ran = trained("receipt", which, "--json")
        assert (ran.code, ran.json["error"]["code"]) == (2, word)
        assert (f"retry {request_id}" in ran.json["error"]["hint"]) == (word == "open")


def test_another_merchants_payment_is_refused(shop: Shop, trained: Training) -> None:
    """A training payment never gets the paper of a live shop."""
    request_id = paid(trained)
    shop.profile("https://127.0.0.1:9/router/rest", receipt="{header: Real Shop}")
    ran = shop.run("receipt", request_id)
    assert ran.code == 2
    assert f"posctl --profile training receipt {request_id}" in ran.err
    assert "Real Shop" not in ran.out


def test_json_gives_the_facts(trained: Training) -> None:
    """Every fact of the paper under the contract's names, and the paper itself."""
    request_id = paid(trained)
    data = trained("receipt", request_id, "--json").json
    assert (data["posctl"], data["command"], data["exit_code"]) == (1, "receipt", 0)
    assert (data["copy"], data["print"], data["reprint"]) == ("customer", 1, False)
    assert (data["charged_fee"], data["payment_code"]) == (1250, "280000******0001")
    assert data["payment"]["request_id"] == request_id
    assert data["error"] is None
    assert "PAYMENT RECEIPT" in data["text"]
    assert trained("receipt", request_id, "--field", "charged_fee").out == "1250\n"


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ((), "which"),
        (("r-0000001", "--last"), "which"),
        (("--last", "--copy", "mine"), "bad_copy"),
        (("--last", "--width", "40"), "bad_width"),
        (("--last",), "no_payments"),
        (("r-0000001",), "unknown_payment"),
    ],
)
def test_bad_command_lines_print_nothing(
    trained: Training, args: tuple[str, ...], code: str
) -> None:
    """What cannot be understood or found is a usage error."""
    ran = trained("receipt", *args, "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, code)


def test_a_profile_gives_header_footer_and_width(shop: Shop, trained: Training) -> None:
    """Several lines as a block, in the profile in use; --width wins over the profile's."""
    paid(trained)
    config = shop.home / "config.yaml"
    config.write_text(
        "profiles:\n  training:\n    receipt:\n      width: 48\n      header: |\n"
        "        Cloud Shop\n        1 Wensan Road\n      footer: Come again\n"
    )
    config.chmod(0o600)
    shop.env["POSCTL_CONFIG"] = str(config)
    lines = trained("receipt", "--last").out.splitlines()
    assert [line.strip() for line in lines[4:6]] == ["Cloud Shop", "1 Wensan Road"]
    assert lines[-5].strip() == "Come again"
    assert lines[0] == "=" * 48
    assert trained("receipt", "--last", "--width", "32").out.splitlines()[0] == "=" * 32


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("{header: {a: b}}", 4),
        ("{headline: x}", 4),
        ("{width: 40}", 4),
        ('{header: "a\\tb"}', 4),
        ('{footer: "' + "x\\n" * 21 + 'x"}', 4),
    ],
)
def test_a_bad_receipt_in_the_profile_names_its_line(
    shop: Shop, trained: Training, value: str, line: int
) -> None:
    """A key or value that cannot be used is a configuration error (3)."""
    config = shop.home / "config.yaml"
    config.write_text(f"profiles:\n  training:\n    max_fee: 5000\n    receipt: {value}\n")
    config.chmod(0o600)
    shop.env["POSCTL_CONFIG"] = str(config)
    ran = trained("receipt", "--last", "--json")
    assert ran.code == 3
    assert f"line {line}" in ran.json["error"]["message"]


def test_on_a_terminal_it_is_the_same_paper(shop: Shop, trained: Training) -> None:
    """A terminal shows what a printer gets, columns and all."""
    request_id = paid(trained)
    piped = json.loads(trained("receipt", request_id, "--json", "--lang", "zh").out)["text"]
    command = [*shop.command, "--profile", "training", "--lang", "zh", "receipt", request_id]
    shown = pty_run(command, env=shop.env, cwd=shop.home)
    messages.use_language("zh")
    mark = messages._("*** REPRINT {n} ***").format(n=1)
    lines = [line.strip() for line in shown.text.split("\n")]
    assert mark in lines
    lines.remove(mark)
    assert lines == [line.strip() for line in piped.split("\n")]


def test_the_example_configuration_shows_the_keys_as_they_work(shop: Shop) -> None:
    """What config.example.yaml shows in comments for receipts and statements can be used as is."""
    example = (Path(__file__).parents[2] / "config.example.yaml").read_text()
    start = example.index("    # receipt:\n")
    block = re.sub(r"^    # ", "    ", example[start:], flags=re.MULTILINE)
    keys = [line for line in block.splitlines() if re.match(r"    (receipt|statement|  )", line)]
    config = shop.home / "config.yaml"
    config.write_text("profiles:\n  training:\n" + "\n".join(keys) + "\n")
    config.chmod(0o600)
    ran = shop.run("--config", str(config), "--profile", "training", "config", "check")
    assert ran.code == 0, ran
    assert "receipt" in block
    assert "statement: {id" in block
