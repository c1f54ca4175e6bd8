"""What a person sees on a terminal, and what a script gets instead of it.

The screens are drawn on a real pseudo-terminal, in both languages, wide and narrow.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TextIO

import pytest
from conftest import Ran, Shop
from faultserver import FaultServer, answer, refusing_port
from hypothesis import example, given
from hypothesis import strategies as st
from pty_run import Shown, pty_run
from rich.console import Console
from rich.text import Text
from scenes import CHECKOUT_ID, HOSTILE, ID, LONG_ID, MARK, VOUCHER
from wcwidth import wcswidth, wcwidth

from posctl.screen.brush import Canvas, draw_parts
from posctl.screen.contract import plain
from posctl.screen.screen import Manner, Screen, View
from posctl.text import one_line, visible

SCENES = Path(__file__).parents[1] / "harness" / "scenes.py"
PLAIN_ENV = {
    name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")
} | {"PYTHONUTF8": "1"}

looks = pytest.mark.parametrize(
    ("lang", "columns"), [("en", 80), ("en", 40), ("zh", 80), ("zh", 40)]
)
languages = pytest.mark.parametrize("lang", ["en", "zh"])


# ── reading a screen ─────────────────────────────────────────────────────────────────────────

SGR = re.compile(r"\x1b\[[0-9;]*m")  # colours, bold and the like: all that a drawing may send
BAR = re.compile(r"\x1b\[1;7(?:;3[0-9])?m([^\x1b]*)\x1b\[0m")


class Seen:
    """One screen: `lines` as the terminal shows them, `sent` as they travelled."""

    def __init__(self, lines: list[str], sent: str) -> None:
        self.lines = lines
        self.sent = sent

    @property
    def bars(self) -> list[str]:
        """What stands in bars, from the top."""
        return [found.strip() for found in BAR.findall(self.sent)]

    @property
    def bar(self) -> str:
        """All that stands in bars."""
        return " ".join(self.bars)

    @property
    def flow(self) -> str:
        """The words as one line, wherever a line ends: so a copied selection reads."""
        return "".join(line.removeprefix("   ").removeprefix(" ") for line in self.lines)

    def says(self, *words: str) -> bool:
        """Whether these words are on the screen, in whatever lines."""
        squeezed = re.sub(r"\s", "", "".join(self.lines))
        return all(re.sub(r"\s", "", word) in squeezed for word in words)

    @property
    def commands(self) -> list[str]:
        """The commands to type, each from a line of its own."""
        sent = SGR.sub("", self.sent).replace("\r", "").split("\n")
        return [line.strip() for line in sent if line.startswith(" posctl ")]


@cache
def drawn(lang: str, columns: int, *env: tuple[str, str]) -> tuple[Shown, dict[str, Seen]]:
    """Every scene on one terminal: what came of the process, and each screen by its name."""
    command = [sys.executable, str(SCENES), lang]
    shown = pty_run(command, columns=columns, rows=2000, env=PLAIN_ENV | dict(env))
    assert shown.exit_code == 0, shown.text
    encoding = dict(env).get("PYTHONIOENCODING", "utf-8")
    sent = shown.raw.decode(encoding).split(MARK)[1:]
    lines = shown.text.split(MARK)[1:] if encoding == "utf-8" else [""] * len(sent)
    return shown, {
        raw.partition("\r\n")[0]: Seen(text.split("\n")[1:], raw.partition("\r\n")[2])
        for raw, text in zip(sent, lines, strict=True)
    }


def seen(name: str, lang: str, columns: int) -> Seen:
    return drawn(lang, columns)[1][name]


# ── promises, screen by screen ───────────────────────────────────────────────────────────────

NOT_CHARGED = {"en": "The customer was not charged.", "zh": "顾客没有被扣款。"}
MAYBE_CHARGED = {"en": "The customer may have been charged.", "zh": "顾客可能已被扣款。"}
NOTHING_SENT = {"en": "Nothing was sent.", "zh": "这次没有收钱，也没有发出请求。"}
WAIT = {"en": "UNDECIDED: DO NOT CHARGE AGAIN", "zh": "结果出来之前请勿重复收款"}
STOP = {"en": "DO NOT CHARGE AGAIN", "zh": "请勿重复收款"}
DUE_2300 = {"en": "STILL DUE ￥23.00 (2300 fen)", "zh": "还需支付 ￥23.00（2300分）"}
ALL_PAID = {"en": "CHECKOUT FULLY PAID", "zh": "已付清"}

# scene → its verdict in words, what it says of the money, and the second bar
VERDICTS: dict[str, tuple[dict[str, str], dict[str, str] | None, dict[str, str] | None]] = {
    "complete": ({"en": "√ PAID", "zh": "√ 已付款"}, None, ALL_PAID),
    "part": ({"en": "√ PAID", "zh": "√ 已付款"}, None, DUE_2300),
    "untold": (
        {"en": "√ PAID", "zh": "√ 已付款"},
        None,
        {
            "en": "STILL DUE: the platform did not say Check what was to be paid",
            "zh": "整单还差多少，平台没有说 请核对应收金额",
        },
    ),
    "fail": ({"en": "× FAILED", "zh": "× 付款失败"}, NOT_CHARGED, None),
    "not_sent": ({"en": "× NOT SENT", "zh": "× 未发出，未扣款"}, NOT_CHARGED, None),
    "interrupted": ({"en": "× INTERRUPTED", "zh": "× 已中断，未扣款"}, NOT_CHARGED, None),
    "rejected": ({"en": "× REFUSED", "zh": "× 被拒绝，未扣款"}, NOT_CHARGED, None),
    "pending": ({"en": "… PENDING", "zh": "… 等待顾客在手机上确认"}, None, WAIT),
    "unknown": ({"en": "▲ UNKNOWN", "zh": "▲ 结果未知"}, MAYBE_CHARGED, STOP),
    "conflict": ({"en": "▲ CONFLICT", "zh": "▲ 结果矛盾"}, MAYBE_CHARGED, STOP),
    "show": ({"en": "▲ UNKNOWN", "zh": "▲ 结果未知"}, MAYBE_CHARGED, STOP),
    "show_paid": ({"en": "√ PAID", "zh": "√ 已付款"}, None, DUE_2300),
    "show_resolved": ({"en": "√ PAID (by hand)", "zh": "√ 已付款（人工）"}, None, None),
}
BLOCKED = {"en": "● BLOCKED", "zh": "● 未收款"}
for block in (
    "held",
    "open_payment",
    "conflict",
    "customer_gone",
    "too_old",
    "other_profile",
    "restored",
):
    VERDICTS[f"blocked_{block}"] = (BLOCKED, NOTHING_SENT, STOP)
for block in ("more_than_due", "same_fee_again"):
    VERDICTS[f"blocked_{block}"] = (BLOCKED, NOTHING_SENT, DUE_2300)
VERDICTS["blocked_already_paid"] = (BLOCKED, NOTHING_SENT, ALL_PAID)

verdicts = pytest.mark.parametrize("name", VERDICTS)


@looks
@verdicts
def test_the_verdict_leads_in_a_bar_with_the_amount(name: str, lang: str, columns: int) -> None:
    """The first bar of a live screen is glyph, word and amount; the line below speaks of money."""
    word, money, second = VERDICTS[name]
    screen = seen(name, lang, columns)
    fee = "￥50.00" if name.startswith("blocked") else "￥1,234.56"
    first = " ".join(screen.bars[: 2 if columns == 40 else 1])
    assert first.startswith(word[lang])
    assert fee in first
    if money:
        assert any(line.strip() == money[lang] for line in screen.lines[1:7])
    if second:
        assert second[lang] in " ".join(screen.bar.split())
    for other in (STOP, ALL_PAID):
        said = " ".join(screen.bar.split()).count(other[lang])
        assert said == (second is not None and other[lang] in second[lang])


@looks
@verdicts
def test_live_and_training_are_told_apart_in_the_first_line(
    name: str, lang: str, columns: int
) -> None:
    """Live says that the money is real; training says loudly, in a bar, that it is not."""
    real = {"en": "LIVE · real money · store-1", "zh": "正式 · 真实收款 · store-1"}
    play = {"en": "▲ TRAINING · no real money", "zh": "▲ 演练 · 不动用真实资金"}
    assert seen(name, lang, columns).lines[0].strip() == real[lang]
    training = seen("training", lang, columns)
    assert training.bars[0] == play[lang] == training.lines[0].strip()


@looks
@pytest.mark.parametrize(
    "name", ["results", "open", "history", "checkout", "checkout_paid", "part", "show"]
)
def test_every_list_says_whose_money_it_is_about(name: str, lang: str, columns: int) -> None:
    """Lists of live payments say so as well."""
    assert {"en": "LIVE", "zh": "正式"}[lang] in seen(name, lang, columns).lines[0]


@looks
def test_no_line_is_wider_than_the_terminal(lang: str, columns: int) -> None:
    """What posctl breaks into lines fits; only an id or a command is left for the edge to break."""
    for name, screen in drawn(lang, columns)[1].items():
        for line in SGR.sub("", screen.sent).replace("\r", "").split("\n"):
            if sum(max(0, wcwidth(c)) for c in line) > columns:
                is_id = line.startswith("   ") and line.isascii() and " " not in line.strip()
                assert is_id or line.startswith(" posctl ") or name == "hostile", (name, line)


@pytest.mark.parametrize("columns", [80, 40])
def test_no_latin_word_is_left_on_a_chinese_screen(columns: int) -> None:
    """In Chinese every word is Chinese, but for ids, commands and flags to type, and what the
    platform, a shop or a person has written; no line begins with a sign that ends a sentence.
    """
    for name, screen in drawn("zh", columns)[1].items():
        if name in ("hostile", "pairs", "dry_run"):  # what others sent, and the call itself
            continue
        sent = [line.strip() for line in SGR.sub("", screen.sent).split("\n")]
        said = " ".join(line for line in sent if not line.startswith("posctl "))
        said = re.sub(" ?".join(map(re.escape, LONG_ID)), " ", said)  # on several lines
        for known in (ID, CHECKOUT_ID, VOUCHER, ID[:8], LONG_ID[:8], *FROM_OUTSIDE):
            said = said.replace(known, " ")
        said = re.sub(r"order-\d+|[a-z]+@till-\d|--[a-z-]+|\b[0-9a-z]{13}\b", " ", said)
        left = set(re.findall(r"[A-Za-z_]{2,}", said)) - {"posctl", "DNS"}
        assert not left, (name, left)
        for line in screen.lines:
            assert not line.strip().startswith(tuple("。，；：？！）")), (name, line)


# What the platform, a shop or a person has written, as it is.
FROM_OUTSIDE = (
    *("store-1", "till-host", "Invalid signature", "BALANCE_NOT_ENOUGH", "WAIT_BUYER_PAY"),
    *("OPERATION_SUCCESS", "PROCESSING", "SUCCEEDED", "INIT", "alipay", "ok"),
    "The platform says: paid.",
)


@looks
@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("part", [ID, CHECKOUT_ID, VOUCHER]),
        ("unknown", [ID, CHECKOUT_ID]),
        ("long_id", [LONG_ID, CHECKOUT_ID]),
        ("blocked_already_paid", [ID, CHECKOUT_ID]),
        ("open", [ID, LONG_ID, CHECKOUT_ID, "order-0003"]),
        ("results", [ID, LONG_ID, CHECKOUT_ID]),
        ("history", [ID[:8], LONG_ID[:8], CHECKOUT_ID, *(f"order-000{n}" for n in range(3, 7))]),
        ("checkout", [ID[:8], CHECKOUT_ID, "order-00"]),
        ("show", [ID, CHECKOUT_ID]),
        ("dry_run", [ID]),
    ],
)
def test_ids_are_whole(name: str, ids: list[str], lang: str, columns: int) -> None:
    """Every id travels in one piece, so that it is copied whole; where it fits, it is on one line.

    In the list of open payments it stands in its command only, which may be longer than a line; in
    other lists as much of it as names one payment there, and any command takes.
    """
    screen = seen(name, lang, columns)
    for found in ids:
        assert found in SGR.sub("", screen.sent)
        fits = len(found) < columns - 3 and name != "open"
        assert not fits or any(found in line for line in screen.lines)


@looks
@pytest.mark.parametrize("name", ["pending", "unknown", "long_id"])
def test_an_open_payment_names_the_one_command_to_type(name: str, lang: str, columns: int) -> None:
    """Pending and unknown end with the retry of this very payment, ready to be copied."""
    request_id = LONG_ID if name == "long_id" else ID
    assert seen(name, lang, columns).commands == [f"posctl retry {request_id}"]


@looks
def test_a_rest_is_one_command_away(lang: str, columns: int) -> None:
    """After a part, the command for the rest is there: its profile, its checkout, its amount."""
    for name, profile in (("part", "store-1"), ("training", "training")):
        assert seen(name, lang, columns).commands == [
            f"posctl --profile {profile} pay --shop 1 --checkout {CHECKOUT_ID} --fee 2300 --scan"
        ]
    assert seen("complete", lang, columns).commands == []


@looks
@pytest.mark.parametrize(
    ("name", "commands"),
    [
        ("fail", []),
        ("not_sent", []),
        ("blocked_held", []),
        ("blocked_open_payment", ["posctl retry order-0002"]),
        ("blocked_already_paid", [f"posctl show {ID}"]),
        ("blocked_other_profile", ["posctl --profile store-1 retry order-0002"]),
        (
            "conflict",
            [
                f'posctl resolve {ID} --as paid --note "…"',
                f'posctl resolve {ID} --as not-paid --note "…"',
            ],
        ),
        (
            "blocked_customer_gone",
            [
                "posctl retry order-0002 --yes",
                "posctl status order-0002",
                'posctl resolve order-0002 --as paid --note "…"',
                'posctl resolve order-0002 --as not-paid --note "…"',
            ],
        ),
    ],
)
def test_other_verdicts_say_what_to_type(
    name: str, commands: list[str], lang: str, columns: int
) -> None:
    """Each verdict has its own next commands, and a paid or failed one none that charges."""
    assert seen(name, lang, columns).commands == commands


@looks
def test_pending_says_who_is_awaited(lang: str, columns: int) -> None:
    """A cashier reads why a payment is pending, in a list with the channel's own words."""
    why = {"en": "The customer is confirming", "zh": "请顾客在手机上输入密码或确认"}[lang]
    assert seen("pending", lang, columns).says(why)
    assert seen("open", lang, columns).says(why, "WAIT_BUYER_PAY", "等待用户付款")


@looks
def test_a_failure_says_why_in_the_platforms_own_words(lang: str, columns: int) -> None:
    """The platform's code and message are shown with what to do."""
    assert seen("fail", lang, columns).says("BALANCE_NOT_ENOUGH", "余额不足")
    assert seen("rejected", lang, columns).says("25", "Invalid signature")


@looks
def test_what_was_told_again_says_that_it_is_not_new(lang: str, columns: int) -> None:
    """A resumed payment says so, and when it was begun."""
    words = {"en": "Not a new payment", "zh": "这不是新付款"}
    assert seen("resumed", lang, columns).says(words[lang], "2026-01-01")


@looks
def test_another_amount_than_asked_is_in_a_bar(lang: str, columns: int) -> None:
    """When the platform charged another amount, no one can read only the amount asked for."""
    words = {"en": "THE PLATFORM CHARGED ￥1.00", "zh": "平台实际扣款 ￥1.00"}
    assert words[lang] in seen("other_fee", lang, columns).bar


@looks
def test_pending_lists_amounts_reasons_and_commands(lang: str, columns: int) -> None:
    """`pending`: how many, how much, since when, why, and what to type for each."""
    screen = seen("open", lang, columns)
    assert STOP[lang] in screen.bar
    total = {"en": "OPEN PAYMENTS: 3, ￥2,469.13", "zh": "待确认付款：3 笔，共 ￥2,469.13"}
    assert total[lang] in screen.bar
    assert screen.says({"en": "1 d 1 h", "zh": "1 天 1 小时"}[lang])
    assert screen.commands == [
        f"posctl status {ID}",  # too old to be sent again
        f'posctl resolve {ID} --as paid --note "…"',
        f'posctl resolve {ID} --as not-paid --note "…"',
        f"posctl retry {LONG_ID}",
        'posctl resolve order-0003 --as paid --note "…"',
        'posctl resolve order-0003 --as not-paid --note "…"',
        f"posctl show {ID}",
        f'posctl resolve {ID} --acknowledge --note "…"',
    ]
    assert {"en": "▲ ALARM", "zh": "▲ 警报"}[lang] in screen.bar
    nothing = {"en": "√ Nothing is open.", "zh": "√ 没有待确认付款。"}
    assert seen("open_none", lang, columns).lines[1].strip() == nothing[lang]


@looks
def test_a_checkout_says_what_it_had_and_needs(lang: str, columns: int) -> None:
    """`checkout`: paid so far, still due, every payment, and a warning while one is open."""
    screen = seen("checkout", lang, columns)
    paid = {"en": "￥1,234.56 (123456 fen) paid", "zh": "已付 ￥1,234.56（123456分）"}
    assert screen.says(paid[lang])
    assert DUE_2300[lang] in " ".join(screen.bar.split())
    assert STOP[lang] in screen.bar
    assert screen.commands == ["posctl retry order-0002"]
    assert ALL_PAID[lang] in seen("checkout_paid", lang, columns).bar


@looks
def test_show_has_every_try(lang: str, columns: int) -> None:
    """`show`: every try and question, by whom, from where, and how it ended."""
    tries = {
        "en": ("Try 1", "Try 2", "Question 1", "Try 3", "No end is recorded", "operator 123"),
        "zh": ("第 1 次尝试", "第 2 次尝试", "第 1 次查询", "第 3 次尝试", "没有记录到结果"),
    }
    screen = seen("show", lang, columns)
    assert screen.says(*tries[lang], "till-host", "4242", "服务暂时不可用", "PROCESSING")
    assert screen.says("283456******5678")
    resolved = seen("show_resolved", lang, columns)
    assert resolved.says("wang@till-1", "顾客出示了支付凭证")


@looks
def test_a_history_names_every_outcome(lang: str, columns: int) -> None:
    """`history`: glyph and word, amount and both ids of every payment."""
    screen = seen("history", lang, columns)
    for name in ("unknown", "pending", "conflict", "part", "fail"):
        assert screen.says(VERDICTS[name][0][lang])
    assert screen.says("￥9,999,999,999.99", "￥0.01", {"en": "(by hand)", "zh": "（人工）"}[lang])
    assert seen("history_none", lang, columns).says(
        {"en": "No payments.", "zh": "没有付款。"}[lang]
    )


@looks
def test_several_results_are_counted(lang: str, columns: int) -> None:
    """`retry --all`: each verdict, how many of each, and where to go on."""
    screen = seen("results", lang, columns)
    counts = {
        "en": ("√ PAID 1", "× FAILED 1", "▲ UNKNOWN 1", "● BLOCKED 1"),
        "zh": ("√ 已付款 1", "× 付款失败 1", "▲ 结果未知 1", "● 未收款 1"),
    }
    assert screen.says(*counts[lang])
    assert STOP[lang] in screen.bar
    assert screen.commands == ["posctl pending"]


@looks
def test_status_tells_the_platforms_word_from_the_journals(lang: str, columns: int) -> None:
    """`status`: what the platform says, how the payment stands here, and what follows."""
    says = {"en": "The platform says: INIT", "zh": "平台的状态：INIT"}
    opened = seen("status_open", lang, columns)
    assert opened.bars == [STOP[lang]]
    assert opened.says(says[lang], VERDICTS["unknown"][0][lang], "￥23.00", "alipay")
    assert opened.commands == ["posctl retry order-0002"]
    closed = seen("status_closed", lang, columns)
    assert closed.says("SUCCEEDED", VERDICTS["part"][0][lang])
    assert closed.commands == []
    mute = {"en": "NO ANSWER", "zh": "没有应答"}
    assert mute[lang] in seen("status_mute", lang, columns).bar
    assert seen("status_unknown", lang, columns).says(says[lang])


@looks
def test_a_dry_run_cannot_be_taken_for_a_payment(lang: str, columns: int) -> None:
    """`--dry-run`: the bar says that nothing was sent, and the code is masked."""
    screen = seen("dry_run", lang, columns)
    words = {"en": "DRY RUN: nothing was sent or recorded", "zh": "试运行：没有发送，也没有记录"}
    assert screen.bar == words[lang]
    assert screen.says("283456******5678", "alibaba.pos.order.pay")


# ── never by colour alone, never against the terminal ────────────────────────────────────────


@looks
def test_without_colour_the_words_are_the_same(lang: str, columns: int) -> None:
    """NO_COLOR changes no word and no line, and leaves no colour; bars stay bars."""
    shown, screens = drawn(lang, columns, ("NO_COLOR", "1"))
    assert shown.text == drawn(lang, columns)[0].text
    assert re.search(rb"\x1b\[[0-9;]*(?:[34][0-9]|9[0-7])[;m]", shown.raw) is None
    assert screens["part"].bars == seen("part", lang, columns).bars != []


def test_the_no_color_flag_leaves_no_colour(shop: Shop) -> None:
    """--no-color does for one command what NO_COLOR does for all."""
    dry = ["--profile", "training", "pay", "--fee", "100", "--checkout", "1", "--dry-run"]
    for flags, coloured in (([], True), (["--no-color"], False)):
        shown = pty_run([*shop.command, *flags, *dry], env=shop.env, cwd=shop.home)
        assert (b"\x1b[1;7;36m" in shown.raw) is coloured
        assert b"\x1b[1;7" in shown.raw


@looks
def test_a_dumb_terminal_gets_words_and_stars(lang: str, columns: int) -> None:
    """With TERM=dumb no escape travels, lines still fit, and stars stand for the bars."""
    shown, screens = drawn(lang, columns, ("TERM", "dumb"))
    assert b"\x1b" not in shown.raw
    stars = [line for line in screens["unknown"].lines if line.startswith(" *** ")]
    assert VERDICTS["unknown"][0][lang] in stars[0]
    assert stars[1] == f" *** {STOP[lang]}"
    assert any(ID in line for line in screens["unknown"].lines)


def test_force_color_colours_a_dumb_terminal() -> None:
    """FORCE_COLOR is for whoever looks at a terminal that claims to have no colour."""
    shown, screens = drawn("en", 80, ("TERM", "dumb"), ("FORCE_COLOR", "1"))
    assert b"\x1b[1;7;32m" in shown.raw
    assert screens["part"].bars[0].startswith("√ PAID")


@languages
def test_a_chinese_console_can_show_every_screen(lang: str) -> None:
    """In cp936 nothing has to be escaped or replaced, save what is hostile."""
    _shown, screens = drawn(lang, 80, ("PYTHONIOENCODING", "gbk"), ("PYTHONUTF8", "0"))
    assert [name for name, screen in screens.items() if "\\u" in screen.sent] == []
    assert VERDICTS["part"][0][lang] in screens["part"].sent


@languages
def test_an_ascii_terminal_gets_the_verdict_too(lang: str) -> None:
    """Where not even √ can be written, the screen is drawn all the same, with what there is."""
    _shown, screens = drawn(lang, 40, ("PYTHONIOENCODING", "ascii"), ("PYTHONUTF8", "0"))
    assert "CNY 23.00" in screens["part"].sent
    assert all(screen.sent.isascii() and screen.sent for screen in screens.values())


# ── words from elsewhere ─────────────────────────────────────────────────────────────────────


@looks
def test_words_from_elsewhere_cannot_act(lang: str, columns: int) -> None:
    """Escapes, markup, links, titles and bidi from the server are drawn, never obeyed."""
    shown, screens = drawn(lang, columns)
    raw = SGR.sub("", screens["hostile"].sent)
    assert "\x1b" not in raw
    assert (
        re.findall(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e\u2066\u200b\ufeff\ud800]", raw)
        == []
    )
    assert shown.title == ""
    assert screens["hostile"].says("[/x] [bold red]a[/]", ":smile:", "{x} %s")
    assert not any("10:smile" in bar for bar in screens["hostile"].bars)


@looks
def test_words_from_elsewhere_cannot_pose_as_a_verdict(lang: str, columns: int) -> None:
    """What the server says never begins a line where posctl's own lines begin."""
    lines = [line for line in seen("hostile", lang, columns).lines if "￥9.99" in line]
    assert lines != []
    assert [line for line in lines if re.match(r" ?√", line)] == []
    assert not any("￥9.99" in bar for bar in seen("hostile", lang, columns).bars)


@given(st.text(alphabet=st.characters(codec=None), max_size=200))
def test_visible_text_is_harmless(text: str) -> None:
    """No text keeps a control, a bidi control or a surrogate; the rest of it stays as it is."""
    made = one_line(text)
    assert len(made) == len(text)
    assert not any(
        c < " " or "\x7f" <= c <= "\x9f" or c in "\u200e\u200f\u061c" or "\u2028" <= c <= "\u202e"
        for c in made
    )
    made.encode()
    assert visible(made) == made


@given(
    st.dictionaries(
        st.text(alphabet="abc_", min_size=1, max_size=8),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=40),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=8,
        ),
        max_size=5,
    )
)
def test_a_plain_line_is_one_line(data: dict[str, Any]) -> None:
    """No value can add a line of its own to the `key: value` lines."""
    for name, value in plain(data):
        assert f"{name}: {value}\n".splitlines() == [f"{name}: {value}"]


@pytest.fixture
def evil_gateway(shop: Shop) -> Iterator[FaultServer]:
    """A live profile whose gateway answers a pending and then nothing but nonsense."""
    model = {
        "result_status": 3,
        "result_code": HOSTILE,
        "result_message": HOSTILE,
        "payment_order_id": HOSTILE,
    }
    inner = {"result": {"model": model, "is_success": True}, "request_id": HOSTILE}
    error = {"code": 10, "msg": HOSTILE, "sub_code": HOSTILE, "sub_msg": HOSTILE}
    bodies = ({"alibaba_pos_order_pay_response": inner}, {"error_response": error})
    with FaultServer(*(answer(json.dumps(body).encode()) for body in bodies)) as server:
        shop.profile(server.url)
        yield server


@pytest.mark.parametrize(("lang", "columns"), [("en", 80), ("zh", 40)])
def test_a_hostile_gateway_changes_nothing_but_words(
    evil_gateway: FaultServer, shop: Shop, lang: str, columns: int
) -> None:
    """Screen, warnings on stderr, JSON: a hostile answer is pending (20) and nothing obeys it."""
    args = ("--lang", lang, "pay", "--fee", "100", "--checkout", "111")
    first = pty_run([*shop.command, *args], columns=columns, env=shop.env, cwd=shop.home)
    again = pty_run([*shop.command, *args], columns=columns, env=shop.env, cwd=shop.home)
    for shown in (first, again):
        assert (shown.exit_code, shown.title) == (20, "")
        assert "\x1b" not in SGR.sub("", shown.raw.decode())
        assert not any(re.match(r" ?√", line) for line in shown.text.split("\n"))
        assert VERDICTS["pending"][0][lang] in shown.text
    as_json = shop.run(*args, "--json")
    assert as_json.code == 20
    assert as_json.json["result_message"]
    assert "\x1b" not in as_json.out + as_json.err


# ── the real command ─────────────────────────────────────────────────────────────────────────

COMPLETE, PARTIAL, FAIL = (f"28{n:016d}" for n in (1, 2, 3))
CUT_AFTER_CHARGE, FOREVER, CONTRADICTS, MALFORMED = (f"28{n:016d}" for n in (9, 13, 14, 16))
Till = Callable[..., Seen]


@pytest.fixture(params=[("en", 80), ("zh", 40)], ids=["en-80", "zh-40"])
def counter(request: pytest.FixtureRequest, shop: Shop) -> tuple[str, Till]:
    """The language, and `posctl --profile training …` on a terminal: exit code, then arguments."""
    lang, columns = request.param

    def type_in(code: int, *args: str, profile: str = "training") -> Seen:
        command = [*shop.command, "--lang", lang, "--profile", profile, *args]
        shown = pty_run(command, columns=columns, env=shop.env, cwd=shop.home)
        assert shown.exit_code == code, shown.text
        return Seen(shown.text.split("\n"), shown.raw.decode())

    return lang, type_in


def test_a_day_at_the_counter(counter: tuple[str, Till], shop: Shop) -> None:
    """Every verdict, list and record, from the real command against the training gateway."""
    lang, till = counter

    def pay(exit_code: int, code: str, checkout: str, fee: str = "10000") -> Seen:
        return till(exit_code, "pay", "--fee", fee, "--checkout", checkout, "--code", code)

    def verdict(name: str, screen: Seen) -> None:
        word, money, second = VERDICTS[name]
        assert screen.bars[0].startswith("▲")  # training, before anything else
        assert screen.bars[1].startswith(word[lang])
        assert money is None or screen.says(money[lang])
        assert second is None or second[lang] in " ".join(screen.bar.split())

    verdict("complete", pay(0, COMPLETE, "c-1"))
    part = pay(0, PARTIAL, "c-2")
    verdict("part", part)
    assert part.commands == [
        "posctl --profile training pay --shop 1 --checkout c-2 --fee 2300 --scan"
    ]
    verdict("fail", pay(10, FAIL, "c-3"))
    verdict("rejected", pay(12, MALFORMED, "c-4"))
    verdict("pending", pay(20, FOREVER, "c-5"))
    unknown = pay(21, CUT_AFTER_CHARGE, "c-6")
    verdict("unknown", unknown)
    assert len(unknown.commands) == 1
    assert unknown.commands[0].startswith("posctl --profile training retry ")
    verdict("conflict", pay(22, CONTRADICTS, "c-7"))
    blocked = pay(30, COMPLETE, "c-6", "500")
    verdict("blocked_open_payment", blocked)
    assert blocked.commands == unknown.commands
    verdict("blocked_already_paid", pay(30, COMPLETE, "c-1", "500"))

    opened = till(0, "pending")
    assert STOP[lang] in opened.bar
    assert unknown.commands[0] in opened.commands
    assert len(till(0, "history").lines) > 8
    checkout = till(0, "checkout", "c-2")
    assert DUE_2300[lang] in " ".join(checkout.bar.split())
    request_id = shlex.split(unknown.commands[0])[-1]
    assert till(0, "show", request_id).says(request_id, VERDICTS["unknown"][0][lang])
    dry = till(0, "pay", "--fee", "100", "--checkout", "c-9", "--code", COMPLETE, "--dry-run")
    assert dry.says("280000******0001")
    assert not dry.says(COMPLETE)
    verdict("complete", till(0, *shlex.split(unknown.commands[0])[1:]))  # typed as the screen says


def test_a_payment_that_never_left_says_so(counter: tuple[str, Till], shop: Shop) -> None:
    """Nobody listens: not sent, not charged, live."""
    lang, till = counter
    with refusing_port() as port:
        shop.profile(f"http://127.0.0.1:{port}")
        screen = till(11, "pay", "--fee", "100", "--checkout", "c-1", profile="store-1")
    word, money, _second = VERDICTS["not_sent"]
    assert screen.bars[0].startswith(word[lang])
    assert money
    assert screen.says(money[lang])
    assert screen.lines[0].strip().startswith({"en": "LIVE", "zh": "正式"}[lang])


def test_an_error_is_broken_between_words_and_its_command_nowhere(shop: Shop) -> None:
    """On a terminal an English error wraps at words; what is to be typed stays in one piece."""
    command = [*shop.command, "--profile", "training"]
    wrong = pty_run([*command, "pay", "--fee", "1.0"], columns=40, env=shop.env, cwd=shop.home)
    assert wrong.exit_code == 2
    assert "Error: --fee cannot be used. It is a\n   whole number" in wrong.text
    unknown = pty_run([*command, "show", LONG_ID], columns=40, env=shop.env, cwd=shop.home)
    assert LONG_ID.encode() in unknown.raw
    assert b" posctl --profile training history\r\n" in unknown.raw


@languages
def test_a_scanned_code_is_never_on_the_screen(shop: Shop, lang: str) -> None:
    """--scan asks, echoes nothing, and the verdict follows."""
    prompt = {"en": "Scan the payment code", "zh": "请扫付款码"}[lang]
    command = [*shop.command, "--lang", lang, "--profile", "training", "pay", "--scan"]
    shown = pty_run(
        [*command, "--fee", "100", "--checkout", "111"],
        env=shop.env,
        cwd=shop.home,
        answers=[(prompt, f"{COMPLETE}\r")],
    )
    assert shown.exit_code == 0
    assert COMPLETE not in shown.raw.decode()
    assert VERDICTS["complete"][0][lang] in shown.text


@languages
def test_ctrl_c_in_a_countdown_leaves_the_verdict(shop: Shop, lang: str) -> None:
    """--wait counts down on one line; Ctrl-C wipes it, and the payment stays pending (20)."""
    asking = {"en": "asking again in", "zh": "秒后再次询问"}[lang]
    command = [*shop.command, "--lang", lang, "--profile", "training", "pay", "--wait", "60"]
    shown = pty_run(
        [*command, "--fee", "100", "--checkout", "111", "--code", FOREVER],
        env=shop.env,
        cwd=shop.home,
        answers=[(asking, "\x03")],
    )
    assert shown.exit_code == 20
    assert asking not in shown.text
    assert VERDICTS["pending"][0][lang] in shown.text
    assert STOP[lang] in shown.text


# ── piped ────────────────────────────────────────────────────────────────────────────────────


@languages
def test_piped_lines_are_keys_and_values_without_colour(
    trained: Callable[..., Ran], lang: str
) -> None:
    """Piped, even with FORCE_COLOR: `key: value`, no colour, no box, the same keys as the JSON."""
    args = ("--lang", lang, "pay", "--fee", "100", "--checkout")
    ran = trained(*args, "1", env={"FORCE_COLOR": "1", "TERM": "xterm-256color"})
    assert ran.code == 0
    assert "\x1b" not in ran.out + ran.err
    keys = [line.partition(": ")[0] for line in ran.out.splitlines()]
    data = trained(*args, "2", "--json").json
    assert keys == [name for name, value in data.items() if value != []]
    assert re.fullmatch(r"(?:[a-z_]+: [^\x00-\x1f]*\n)+", ran.out)


def test_field_walks_into_lists_as_the_plain_lines_count_them(trained: Callable[..., Ran]) -> None:
    """`--field payments.1.request_id` is the value of the plain line with that name."""
    trained("pay", "--fee", "100", "--checkout", "111", "--request-id", "order-0001")
    ran = trained("history", "--field", "payments.1.request_id")
    assert ran.out == "order-0001\n"
    assert "payments.1.request_id: order-0001\n" in trained("history").out
    for nothing in ("payments.0.request_id", "payments.2.request_id", "payments.x", "nonsense"):
        assert trained("history", "--field", nothing).out == "\n"


def test_a_drawing_that_failed_is_not_shown_with_the_next() -> None:
    """A terminal that was busy does not see an earlier customer's verdict as the next one's."""

    class Busy(io.StringIO):
        busy = True

        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> int:
            if self.busy:
                self.busy = False
                raise BlockingIOError
            return super().write(text)

    stream = Busy()
    screen = Screen(stream, io.StringIO())
    assert not screen.show(View({}, lambda canvas: canvas.print(Text("PAID"))))
    assert screen.show(View({}, lambda canvas: canvas.print(Text("FAILED"))))
    assert "PAID" not in stream.getvalue()
    assert "FAILED" in stream.getvalue()


def test_a_field_that_no_run_has_is_refused(trained: Callable[..., Ran]) -> None:
    """A misspelt `--field` is 2, once said, and stderr names the fields there are."""
    ran = trained("pending", "--field", "paymets.1.request_id")
    assert (ran.code, ran.out) == (2, "\n")
    assert "There is no field paymets.1.request_id." in ran.err
    assert "There are: posctl, command, exit_code, payments" in ran.err
    assert "no field" not in trained("pending", "--field", "payments.9.request_id").err
    trained("pay", "--fee", "100", "--checkout", "111")
    assert "no field" in trained("history", "--field", "payments.1.fee").err
    assert "no field" in trained("history", "--field", "payments.1.pay_fee.yuan").err
    for known in ("payments.1.pay_fee", "payments"):
        assert "no field" not in trained("history", "--field", known).err, known
    said_once = trained("pay", "--fee", "1", "--checkout", "2", "--field", "remaning_fee").err
    assert said_once.count("There is no field remaning_fee.") == 1
    nothing = trained("retry", "--checkout", "7", "--field", "outcome")
    assert (nothing.code, nothing.out, nothing.err) == (0, "\n", ""), "a normal state, no mail"
    assert trained("history", "--field", f"payments.{'9' * 5000}").code == 0
    assert trained("pay", "--fee", "1", "--checkout", "3", "--field", "payments").code == 2


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "gbk", "latin-1", "utf-8:strict"])
def test_json_is_one_valid_line_in_every_encoding(shop: Shop, encoding: str) -> None:
    """A script reads the same object whatever the console's encoding is."""
    env = {"PYTHONUTF8": "0", "PYTHONIOENCODING": encoding}
    command = [
        "--lang",
        "zh",
        "--profile",
        "training",
        "pay",
        "--fee",
        "100",
        "--checkout",
        "顾客-1",
    ]
    process = shop.start(*command, "--code", FAIL, "--json", env=env)
    out, _err = process.communicate(timeout=60)
    assert process.returncode == 10
    line, end, rest = out.decode(encoding.partition(":")[0]).partition("\n")
    assert (end, rest) == ("\n", "")
    told = json.loads(line)
    assert (told["outcome"], told["checkout_id"]) == ("fail", "顾客-1")
    assert told["error"]["message"].startswith("付款失败")


# ── when nothing can be printed ──────────────────────────────────────────────────────────────


def _into(stream: int | TextIO, command: list[str], shop: Shop) -> int:
    how: dict[str, Any] = {"stdout": stream, "stderr": stream}
    return subprocess.run(command, check=False, env=shop.env, cwd=shop.home, **how).returncode


def _full(command: list[str], shop: Shop) -> int:
    with Path("/dev/full").open("w") as full:
        return _into(full, command, shop)


def _closed_pipe(command: list[str], shop: Shop) -> int:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return _into(writer, command, shop)
    finally:
        os.close(writer)


def _closed_streams(command: list[str], shop: Shop) -> int:
    return _into(subprocess.DEVNULL, ["sh", "-c", f"exec {shlex.join(command)} >&- 2>&-"], shop)


HOWS = {"full": _full, "closed_pipe": _closed_pipe, "closed_streams": _closed_streams}


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("form", ["plain", "json"])
def test_a_failure_to_print_changes_no_exit_code(
    shop: Shop, trained: Callable[..., Ran], how: str, form: str
) -> None:
    """A full disk, a closed pipe, closed streams: exit code and record say what happened, and a
    success that nobody was told is told by the next run of the same command.
    """
    forms = {"plain": (), "json": ("--json",)}
    for code, exit_code, checkout in ((PARTIAL, 0, "1"), (CUT_AFTER_CHARGE, 21, "2")):
        args = ("pay", "--fee", "100", "--checkout", checkout, "--code", code)
        command = [*shop.command, "--profile", "training", *args, *forms[form]]
        assert HOWS[how](command, shop) == exit_code
    rows = trained("history", "--json").json["payments"]
    assert [row["outcome"] for row in rows] == ["unknown", "success"]
    told = trained("pay", "--fee", "100", "--checkout", "1", "--json").json
    assert (told["resumed"], told["request_id"]) == (True, rows[1]["request_id"])


def _training_into(
    stdout: int | TextIO, shop: Shop, *args: str
) -> subprocess.CompletedProcess[str]:
    command = [*shop.command, "--profile", "training", *args]
    how: dict[str, Any] = {"stdout": stdout, "stderr": subprocess.PIPE, "text": True}
    return subprocess.run(command, check=False, env=shop.env, cwd=shop.home, **how)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("pay", "--fee", "100", "--checkout", "1", "--json"), "could not be written"),
        (("retry", "--all"), "could not be written"),
        (("report", "--close", "--yes"), "could not be written"),
        (("history",), "could not be written"),
        (("history", "--json"), "could not be written"),
        (("report", "--csv", "-"), "could not be written"),
        (("config", "path"), "could not be written"),
        (("completion", "bash"), "could not be written"),
        (("-h",), ""),
        (("pay", "-h"), ""),
        (("--version",), "could not be written"),
    ],
)
def test_a_full_disk_is_no_bug(shop: Shop, args: tuple[str, ...], words: str) -> None:
    """What could not be written to stdout is said on stderr, and never called an error of ours."""
    with Path("/dev/full").open("w") as full:
        done = _training_into(full, shop, *args)
    assert done.returncode == 0
    assert words in done.stderr
    assert "Error" not in done.stderr


def test_a_lost_receipt_is_said(shop: Shop, trained: Callable[..., Ran]) -> None:
    """That a receipt found no room is said on stderr: there is no paper."""
    assert trained("pay", "--fee", "100", "--checkout", "1").code == 0
    with Path("/dev/full").open("w") as full:
        done = _training_into(full, shop, "receipt", "--last")
    assert "could not be written" in done.stderr


def test_a_reader_who_has_seen_enough_is_told_nothing(shop: Shop) -> None:
    """`posctl history | head` says nothing of the pipe that head has closed."""
    reader, writer = os.pipe()
    os.close(reader)
    done = _training_into(writer, shop, "history")
    os.close(writer)
    assert (done.returncode, "written" in done.stderr) == (0, False)


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "ascii:strict", "PYTHONUTF8": "0"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "POSIX"},
        {"TERM": "", "LANG": ""},
    ],
    ids=str,
)
def test_a_console_that_knows_few_letters_changes_no_exit_code(
    shop: Shop, env: dict[str, str]
) -> None:
    """On such a terminal, and piped, a payment is told with the letters there are."""
    shop.env.pop("PYTHONUTF8")
    command = [*shop.command, "--lang", "zh", "--profile", "training", "pay"]
    shown = pty_run(
        [*command, "--fee", "100", "--checkout", "1", "--code", PARTIAL],
        env=shop.env | env,
        cwd=shop.home,
    )
    assert shown.exit_code == 0
    assert b"0.23" in shown.raw
    piped = shop.run("--lang", "zh", "--profile", "training", "checkout", "1", env=env)
    assert piped.code == 0
    assert "remaining_fee: 23\n" in piped.out


def test_a_long_list_is_shown_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pieces a drawing is shown in, each of its lines is shown once, in order."""

    class Written(io.StringIO):
        pieces = 0

        def write(self, text: str) -> int:
            self.pieces += 1
            return super().write(text)

    monkeypatch.setattr(Canvas, "PIECE", 10)
    out = Written()
    canvas = Canvas(Console(file=out, width=80))
    for number in range(100):
        canvas.print(Text(f"line {number}"))
        canvas.print()
    assert 5 < out.pieces < 200, "shown as it grows, and not line by line"
    canvas.show()
    assert out.getvalue().split("\n") == [
        *(line for number in range(100) for line in (f"line {number}", "")),
        "",
    ]


@given(
    st.integers(30, 90),
    st.lists(st.text("ab ￥", min_size=1, max_size=20).map(str.strip), min_size=1),
)
@example(40, ["TRAINING", "Today 1 · ￥12.50", "? help"])
def test_parts_of_a_line_stay_whole(width: int, parts: list[str]) -> None:
    """Where parts have no room beside each other they stand below each other, none broken."""
    out = io.StringIO()
    canvas = Canvas(Console(file=out, width=width))
    parts = [" ".join(part.split()) for part in parts if part]
    draw_parts(canvas, parts, "")
    canvas.show()
    lines = out.getvalue().splitlines()
    fitting = [part for part in parts if wcswidth(part) <= width - 4]
    assert all(any(part in line for line in lines) for part in fitting)
    assert all(wcswidth(line) < width for line in lines)


def test_a_bug_in_a_drawing_hides_nothing() -> None:
    """When a drawing raises, the plain lines come instead of it."""
    script = (
        "import sys; from posctl.screen.screen import Manner, Screen, View\n"
        "def draw(canvas): canvas.print('half'); raise ValueError\n"
        "shown = Screen(sys.stdout, sys.stderr).show(View({'outcome': 'success'}, draw))\n"
        "sys.exit(0 if shown else 1)\n"
    )
    shown = pty_run([sys.executable, "-c", script], env=PLAIN_ENV)
    assert (shown.exit_code, shown.text) == (0, "outcome: success")


def test_a_terminal_that_goes_away_is_a_failure_to_print() -> None:
    """When the terminal hangs up in the middle of a drawing, that is told, not raised."""
    master, slave = os.openpty()
    terminal = os.fdopen(slave, "w")

    def draw(canvas: Canvas) -> None:
        canvas.print(Text("√"))
        os.close(master)

    assert not Screen(terminal, None).show(View({"outcome": "success"}, draw))
    with suppress(OSError):
        terminal.close()


def test_a_closed_screen_shows_nothing_and_says_so() -> None:
    """Without streams every way of showing is False, and none raises."""
    view = View({"outcome": "success"}, lambda _canvas: None)
    for screen in (
        Screen(None, None),
        Screen(None, None, Manner("json")),
        Screen(None, None, Manner(field="x")),
    ):
        assert not screen.show(view)
        assert not screen.interactive
        screen.note("a warning")
        screen.lines("help")
