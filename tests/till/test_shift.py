"""One shift, whatever the scanner sends, in the words of the shop, and acted out in training."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count

import pytest
from conftest import Shop
from counter import SGR, Counter
from merciless import Members, Merciless, paid, refused, told
from wcwidth import wcswidth

from posctl.training.scenarios import SCENARIOS

CODE = 281234567890123456
PENDING = told({"result_status": 3})
FAILED = told({"result_status": 2, "result_code": "NO_MONEY", "result_message": "余额不足"})

# How scanners are set up: what they send around what they read.
FRAMES = {
    "CR": "{}\r",
    "LF": "{}\n",
    "CR LF": "{}\r\n",
    "Tab": "{}\t",
    "STX ETX": "\x02{}\x03",
    "STX ETX CR": "\x02{}\x03\r",
    "AIM": "]C1{}\r",
    "AIM in STX ETX": "\x02]Q1{}\x03",
    "blanks": " {} \r",
    "STX CR": "\x02{}\r",
    "AIM CR LF": "]Q3{}\r\n",
    "read twice": "{0}\r{0}\r",
    "nothing": "{}",
}


@pytest.fixture
def platform(shop: Shop) -> Iterator[Platform]:
    """A platform whose customers do what the shift wants, and the profile that reaches it."""
    with Merciless() as server:
        shop.profile(server.url)
        yield Platform(server)


class Platform:
    """What each checkout's next payment comes to, by `says`; whatever is not there is paid."""

    def __init__(self, gateway: Merciless) -> None:
        self.says: dict[str, bytes | None] = {}
        self.gateway = gateway
        gateway.charge = lambda members: members["checkout_id"] not in self.says
        gateway.answer = self._answer

    def _answer(self, members: Members) -> bytes | None:
        return self.says.get(members["checkout_id"], paid(members))

    def split(self, checkout: str, rest: int) -> None:
        """The checkout needs `rest` fen more after its next payment, which is charged."""
        self.says[checkout] = told({"result_status": 1, "remaining_fee": rest})
        self.gateway.charge = lambda m: (
            m["checkout_id"] == checkout or m["checkout_id"] not in self.says
        )

    @property
    def ledger(self) -> list[tuple[str, int, int]]:
        """What was charged: checkout, fen, and whose code it was."""
        return [
            (m["checkout_id"], m["pay_fee"], int(m["channel_account"]) - CODE)
            for m in self.gateway.charges.values()
        ]


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_a_shift_is_the_same_with_every_scanner(
    counter: Callable[..., Counter], shop: Shop, platform: Platform, frame: str
) -> None:
    """Paid, pending and taken up, split in two, refused and scanned afresh, closed by hand: with
    each way to set up a scanner the platform's ledger and the journal are the same.
    """
    till = counter()
    customers = count(1)

    def sell(amount: str, checkout: str) -> None:  # while a verdict is waited for, too
        till.type(f"{amount}\r")
        till.see("Checkout: ")
        till.type(f"{checkout}\r")
        till.see("scan the payment code: ")
        scan()

    def scan() -> None:
        till.type(frame.format(CODE + next(customers)))

    till.see("Amount, yuan: ")
    sell("12.50", "201")
    till.see("√ PAID", "￥12.50", "Today 1")
    platform.says["202"] = PENDING
    sell("8", "202")
    till.see("… PENDING", "again in")
    platform.split("203", 2800)
    sell("30", "203")
    till.see("√ PAID", "STILL DUE  ￥28.00", "(+: the rest")
    del platform.says["203"]
    till.type("+\r")
    till.see("203: Amount, yuan (Enter or scan: ￥28.00)")
    scan()  # an amount is offered: a scan alone takes it
    till.see("√ PAID", "￥28.00", "Today 3")
    del platform.says["202"]
    till.type("r 1\r")
    till.see("√ PAID", "￥8.00", "Today 4")
    till.see("Amount, yuan: ")
    platform.says["205"] = FAILED
    sell("3", "205")
    till.see("× FAILED", "(Enter: ￥3.00 · 205)")
    del platform.says["205"]
    scan()
    till.see("√ PAID", "￥3.00", "Today 5")
    platform.says["206"] = PENDING
    sell("5", "206")
    till.see("… PENDING", "again in")
    for typed, answer in (
        ("c 2", "Paid? 1 yes"),
        ("not-paid", "What shows it"),
        ("left", "[y/n]"),
    ):
        till.type(f"{typed}\r")
        till.see(answer)
    till.type("y\r")
    till.see("Amount, yuan: ")
    till.type("q\r")
    assert till.end() == 0
    assert platform.ledger == [
        *(("201", 1250, 1), ("203", 3000, 3), ("203", 2800, 4)),
        *(("202", 800, 2), ("205", 300, 6)),
    ]
    with closing(sqlite3.connect(shop.journal)) as db:
        found = db.execute("SELECT checkout_id, pay_fee, state, paid FROM payments ORDER BY seq")
        assert found.fetchall() == [
            ("201", 1250, "success", 1),
            ("202", 800, "success", 1),
            *(("203", 3000, "success", 1), ("203", 2800, "success", 1)),
            *(("205", 300, "fail", 0), ("205", 300, "success", 1)),
            ("206", 500, "resolved", 0),
        ]
    assert f"{CODE}"[:12] not in till.text


# ── in the words of the shop ─────────────────────────────────────────────────────────────────

SCAN = "scan"  # a fresh code, and Enter
LONGEST = "001-20261127-225620-3fa9c1-the-longest-that-a-till-has-seen"

# What each checkout comes to.
PENDING_AT, FAILED_AT, SPLIT_AT, LOST_AT, CONFLICT_AT, REFUSED_AT, BANNED_AT = map(
    str, range(301, 308)
)

# What is typed, Enter behind it, and what is then said, where checkouts are typed.
TYPED = (
    *(("?", "退出收银"), ("o", "没有待确认付款"), ("p", "还没有收到付款"), ("r 1", "没有这个编号")),
    *(("c", "没有待确认"), ("s", "没有待确认"), ("+", "没有未付清的订单"), ("zz", "没有 zz")),
    *(
        ("12,345", "金额单位"),
        ("0", "金额以元"),
        ("99999", "金额以元"),
        (SCAN, "先输入金额"),
        ("x", "报表"),
    ),
    # Paid, and once more; its receipt.
    *(
        ("12.50", "单号："),
        ("", "请输入单号"),
        ("201", "扫付款码"),
        (SCAN, "已付清"),
        ("12.50", "单号："),
        ("", "请输入单号"),
        ("201", "未收款"),
    ),
    *(("p", "收款小票"), ("p 9", "从昨天起")),
    # What a scanner reads that is no payment code, or where none belongs.
    *(("1", "单号："), (SCAN, "请先输入单号"), ("202", "扫付款码")),
    *(("6901028075831", "商品条码"), ("https://qr.alipay.com/fkx12345", "网址"), ("302", "太短")),
    *(("001-20261127-225620", "单号"), ("99999999999999990001", "仍然用它"), ("n", "扫付款码")),
    ("\x1b", "已取消"),
    # Pending; asked about, resumed, in the way of another amount; closed by hand.
    *(("8", "单号："), (PENDING_AT, "扫付款码"), (SCAN, "请勿重复收款"), ("", "待确认 1")),
    *(
        ("s 1", "没有应答"),
        ("8", "单号："),
        (PENDING_AT, "扫付款码"),
        (SCAN, "等待顾客"),
        ("", "待确认 1"),
    ),
    *(
        ("9", "单号："),
        (PENDING_AT, "扫付款码"),
        (SCAN, "未收款"),
        ("c 1", "付了没有"),
        ("2", "怎么知道的"),
    ),
    *(("顾客走了", "未付"), ("n", "没有确认"), ("c 1", "付了没有"), ("付了", "怎么知道的")),
    *(("看了手机", "已付"), ("y", "前面顾客")),
    # Failed, scanned afresh; a split, more than its rest, a part of it; a code that was used.
    *(
        ("3", "单号："),
        (FAILED_AT, "扫付款码"),
        (SCAN, "付款失败"),
        (SCAN, "付款失败"),
        ("\x1b", "金额"),
    ),
    *(("30", "单号："), (SPLIT_AT, "扫付款码"), (SCAN, "还需支付"), ("+", "余款"), ("99", "全收")),
    ("\x1b", "金额"),
    *(("o", "未付清"), ("x", "报表"), ("+ 1", "余款"), ("5", "扫付款码"), ("\x1b", "已取消")),
    *(("1", "单号："), ("203", "扫付款码"), ("used", "已经用过")),
    # Unknown, a contradiction, a system's error, a rate limit.
    *(("5", "单号："), (LOST_AT, "扫付款码"), (SCAN, "结果未知"), ("", "待确认 1")),
    *(
        ("6", "单号："),
        (CONFLICT_AT, "扫付款码"),
        (SCAN, "结果矛盾"),
        ("r 3", "未收款"),
        ("z", "请先处理"),
        ("o", "结果未知"),
    ),
    *(("7", "单号："), (REFUSED_AT, "扫付款码"), (SCAN, "结果未知"), ("", "待确认 3")),
    *(("7", "单号："), (BANNED_AT, "扫付款码"), (SCAN, "扫码"), (SCAN, "平台限流")),
    *(
        ("w", "收银员："),
        ("124", "收银员 124"),
        ("1", "单号"),
        (LONGEST, "扫付款码"),
        ("\x1b", "已取消"),
    ),
    ("q", "仍要退出吗"),
    ("y", "已退出收银"),
)
# The same where the till numbers the checkouts.
NUMBERED = (
    *(
        ("8", "扫付款码"),
        (SCAN, "已付清"),
        ("8", "扫付款码"),
        (SCAN, "另一位顾客"),
        ("n", "已付款"),
    ),
    *(("8", "扫付款码"), (SCAN, "另一位顾客"), ("y", "已付清"), ("z", "结班"), ("n", "没有结班")),
    *(("z", "结班"), ("y", "结班报表"), ("q", "已退出收银")),
)


@pytest.mark.parametrize("columns", [80, 40])
@pytest.mark.parametrize("typed", [TYPED, NUMBERED], ids=["typed", "numbered"])
def test_every_screen_of_the_till_is_chinese(
    counter: Callable[..., Counter], shop: Shop, typed: tuple[tuple[str, str], ...], columns: int
) -> None:
    """Through every key and scene no Latin word is left but ids, keys, and what the platform has
    said; no line is too wide, and none begins with a sign that ends a sentence.
    """
    with Merciless() as gateway:
        shop.profile(gateway.url, till=f"{{checkout: {'ask' if typed is TYPED else 'number'}}}")
        platform = Platform(gateway)
        platform.says = {
            PENDING_AT: PENDING,
            FAILED_AT: FAILED,
            LOST_AT: None,
            CONFLICT_AT: told({"result_status": 1, "is_success": False}),
            REFUSED_AT: refused(15, "Invalid signature"),
            BANNED_AT: refused(7, "This ban will last for 600 more seconds"),
        }
        platform.split(SPLIT_AT, 2800)
        till = counter("till", lang="zh", columns=columns)
        till.see("金额（元）：")
        codes = (str(CODE + n) for n in count(1))
        for keys, words in typed:
            code = {SCAN: lambda: next(codes), "used": lambda: str(CODE + 2)}.get(keys)
            till.type(keys if keys == "\x1b" else f"{code() if code else keys}\r")
            till.see_in_words(words)
        till.end()
    said = till.raw.decode()
    for line in re.split(r"[\r\n]+", SGR.sub("", said)):
        whole = line.startswith(" posctl ") or re.fullmatch(r" +[0-9a-f]{64}", line)
        assert wcswidth(line) <= columns or whole, line
        assert not re.match(r"….*(?:y/[nN]|：)", line) or LONGEST[-9:] in line, "cut at its left"
    for line in till.text.split("\n"):
        assert not line.strip().startswith(tuple("。，；：？！）")), line
    flow = re.sub(r"\r\n +(?!posctl)", "", SGR.sub("", said))  # no edge breaks what is known
    assert not latin_words(flow)


# Ids, keys, and what the platform or the cashier has said.
KNOWN = re.compile(
    rf"{LONGEST}|[0-9a-f]{{8}}-[0-9a-f-]{{0,27}}|V-[0-9a-f-]+|^ posctl .*|^  [0-9a-f-]+\r$"
    r"|store-1|NO_MONEY|SUCCESS|SHA-256|UTC|[0-9a-f]{64}|[a-z]+@\S+"
    r"|Invalid ?signature|This ?ban ?will ?last ?for ?\d+ ?more ?seconds"
    r"|001-\d{8}-\d{6}-[0-9a-f]{6}",
    re.MULTILINE,
)


def latin_words(text: str) -> set[str]:
    """What is left on Chinese screens."""
    return set(re.findall(r"[A-Za-z_]{2,}", KNOWN.sub(" ", text))) - {"Esc", "zz"}


# ── acted out in training ────────────────────────────────────────────────────────────────────

PENDING_WORDS, UNKNOWN_WORDS = "… PENDING", "▲ UNKNOWN"
ON_THE_SHEET = {
    1: "CHECKOUT FULLY PAID",
    2: "STILL DUE  ￥6.90",
    5800: "STILL DUE  ￥28.00",
    3: "× FAILED",
    15: "× FAILED",
    16: "× REFUSED",
    14: "▲ CONFLICT",
    **dict.fromkeys((4, 5, 13), PENDING_WORDS),
    **dict.fromkeys((8, 9, 11, 12, 17, 18, 19, 20, 21, 22, 23), UNKNOWN_WORDS),
    **dict.fromkeys((6, 7), "Collecting, "),  # no answer for long
    10: "× REFUSED",  # a rate limit, for a moment
}
EARLIER = "An earlier payment, not the customer in front of you: checkout "


def test_every_scene_can_be_acted_out_in_training(counter: Callable[..., Counter]) -> None:
    """The training's sheet of codes has every scene of a counter: each verdict, what an earlier
    customer's comes to while the next one is served, the rest that a second phone pays, and what a
    power cut leaves.
    """
    assert set(ON_THE_SHEET) == {int(scenario.code[-4:]) for scenario in SCENARIOS}
    till = counter("--profile", "training", "till")
    till.see("Amount, yuan: ")

    def sell(number: int, amount: str = "30") -> None:
        till.type(f"{amount}\r")
        till.see("Checkout")
        till.type(f"c{number}\r")
        till.see("scan the payment code: ")
        till.type(f"{280000000000000000 + number}\r")

    sell(5800)
    till.see(ON_THE_SHEET[5800])
    till.type("+\r")  # the second phone
    till.see("c5800: Amount, yuan (Enter or scan: ￥28.00)")
    till.type("280000000000000001\r")
    till.see("￥28.00", "CHECKOUT FULLY PAID", "Today 2 ")
    for number, words in ON_THE_SHEET.items():
        if number != 5800:
            sell(number)
            till.see(words)
    till.see_at_last(EARLIER + "c4", EARLIER + "c5")
    till.process.kill()  # the power is cut, with two on their way
    till.process.wait()
    again = counter("--profile", "training", "till")
    again.see("c6", "c7", "Amount, yuan: ")
    again.see(EARLIER + "c6", EARLIER + "c7")
    again.type("q\r")
    again.see("[y/N]")  # what waits for its customers for ever is left open
    again.type("y\r")
    again.end()
    assert "c5800" not in again.text
