"""A cashier's first day, recorded on a real pseudo-terminal, as a page of Markdown.

    python tests/harness/first_day.py en > docs/first-day.md
    python tests/harness/first_day.py zh > docs/first-day.zh.md

What differs from run to run (ids, times, the home) is replaced by something fixed that is exactly
as wide, so that every line ends where it ended on the screen.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import fill
from typing import NamedTuple

import pyte
from counter import LIMIT_S, Counter

SECRET = "0123456789abcdef0123456789abcdef"
PAID, REFUSED, SLOW, CUT_AFTER, SPLIT = (f"28{n:016d}" for n in (1, 3, 4, 9, 5800))
HOME = "/home/cashier"
DAY, NEXT_DAY = "2026-01-02", "2026-01-03"
QUARTER_S = 15 * 60  # reports begin at a quarter of an hour


class Words(NamedTuple):
    """What is waited for on the screen, as patterns."""

    amount: str
    checkout: str
    scan: str
    rest: str
    status: str
    asks_again: str
    name: str
    gateway: str
    app_key: str
    way: str
    secret: str
    defaults: Sequence[str]
    max_fee: str
    practice: str
    close: str


_DEFAULTS = ("shop_id", "operator_id", "machine_id", "buyer_id", "source", "merchant_code")
WORDS = {
    "en": Words(
        amount=r"Amount, yuan[^\r\n]*\r",
        checkout=r"Checkout: ",
        scan=r"can the payment code: ",
        rest=r"205: Amount, yuan[^\r\n]*: ",
        status=r"\? help",
        asks_again=r"again in \d+ s · Enter: next *\r",
        name=r"A name for the profile [^\n]*: ",
        gateway=r"The gateway [^\n]*\]: ",
        app_key=r"The AppKey [^\n]*: ",
        way=r"How is it kept [^\n]*: ",
        secret=r"The AppSecret \(it is not shown\): ",
        defaults=[rf"\({name}\)[^\n]*: " for name in _DEFAULTS],
        max_fee=r"in fen \[500000\]: ",
        practice=r"No real money moves\. \[y/N\] ",
        close=r"for good\?[^\n]*\[y/N\] ",
    ),
    "zh": Words(
        amount=r"金额（元）[^\r\n]*\r",
        checkout=r"单号：",
        scan=r"扫付款码：",
        rest=r"单号 205 的余款[^\r\n]*：",
        status=r"\? 帮助",
        asks_again=r"\d+ 秒后再问（回车：下一位） *\r",
        name=r"配置方案的名称 [^\n]*[:：] ?",
        gateway=r"网关 \[[^\n]*\][:：] ?",
        app_key=r"AppKey[:：] ?",
        way=r"如何保存 [^\n]*[:：] ?",
        secret=r"AppSecret（不显示）：",
        defaults=[rf"（{name}）[^\n]*[:：] ?" for name in _DEFAULTS],
        max_fee=r"\[500000\][:：] ?",
        practice=r"不动用真实资金。 ?\[y/N\]（是按 y）",
        close=r"\[y/N\]（是\s*按 y）",
    ),
}


class Terminal(Counter):
    """A counter whose screen is read at the very byte that a wait ends with.

    What came after it in the same piece belongs to the next look: a machine under load sends more
    in one piece than an idle one.
    """

    def __init__(self, command: Sequence[str], env: dict[str, str], home: Path) -> None:
        super().__init__(command, env, cwd=home)
        self._look = pyte.Screen(80, 1000)
        self._look.set_mode(pyte.modes.LNM)
        self._feed = pyte.ByteStream(self._look)
        self._fed = self._top = 0

    def wait(self, *patterns: str) -> None:
        """Read until these patterns have come, one after the other."""
        for pattern in patterns:
            wanted = re.compile(pattern.encode())
            deadline = time.monotonic() + LIMIT_S
            while (found := wanted.search(self.raw, self._fed)) is None:
                assert self._read(deadline), f"never said: {pattern} in\n{self.text}"
            self._take(found.end())

    def look(self) -> str:
        """The screen from where the last look ended (that line included) to the cursor."""
        row = self._look.cursor.y
        lines = [line.rstrip() for line in self._look.display[self._top : row + 1]]
        self._top = row
        return "\n".join(lines).rstrip("\n")

    def finish(self) -> str:
        """The rest, to the end of the command."""
        self.end()
        self._take(len(self.raw))
        return self.look()

    def _take(self, end: int) -> None:
        self._feed.feed(self.raw[self._fed : end])
        self._fed = end


class Fixed:
    """Puts what is the same in every run in place of what is not, at the same width."""

    def __init__(self, home: Path) -> None:
        self._home = str(home)
        self._ids: dict[str, str] = {}

    def __call__(self, screen: str) -> str:
        assert len(HOME) == len(self._home), "another width breaks the lines elsewhere"
        screen = screen.replace(self._home, HOME)
        for found in re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", screen):
            number = len(self._ids) + 1
            self._ids.setdefault(found, f"1f0c{number:04d}-0000-4000-8000-{number:012d}")
        for found in re.findall(r"(?:TRAINING|training)-([0-9a-f]{16})", screen):
            self._ids.setdefault(found, f"{len(self._ids) + 1:016d}")
        for found, instead in self._ids.items():
            screen = screen.replace(found, instead)
            screen = screen.replace(found[:30], instead[:30])  # a receipt breaks it in two
            if rest := found[30:]:
                screen = re.sub(rf"^  {rest}$", f"  {instead[30:]}", screen, flags=re.MULTILINE)
        return _machine(_times(screen))


def _times(screen: str) -> str:
    """One moment for all; a shift begins where its quarter does, and is closed minutes later."""
    days = sorted(set(re.findall(r"20\d\d-\d\d-\d\d", screen)))
    for day, instead in zip(days, (DAY, NEXT_DAY), strict=False):
        screen = screen.replace(day, instead)
    screen = re.sub(r"\b09:\d\d:\d\d\b", "09:20:00", screen)
    screen = re.sub(rf"({DAY} )09:\d\d(?= to | 至 )", r"\g<1>09:15", screen)
    screen = re.sub(rf"((?:to|至) {DAY} )09:\d\d\b", r"\g<1>09:20", screen)
    screen = re.sub(r"(?<=   )\d+ (s|秒)(?=   )", r"5 \1", screen)  # how long a payment is open
    return re.sub(r"\d+(?= s · Enter| 秒后再问)", "2", screen)


def _machine(screen: str) -> str:
    """Not this machine's name, nor how much its disk holds."""
    screen = re.sub(r"(?<=  )(123, )?\S+@\S+$", r"\1cashier@till-1", screen, flags=re.MULTILINE)
    screen = re.sub(r"\b[0-9a-f]{64}\b", "1f0c" * 16, screen)
    screen = re.sub(r"UTC[+-]\d\d:\d\d", "UTC+08:00", screen)
    return re.sub(r"\d+(?= MB)", "20000", screen)


def _zone() -> str:
    """A time zone where a quarter past nine was less than a quarter ago: no hour and no day ends
    while this runs, and reports, which count by the hour, look the same around the clock.
    """
    ahead = 9 * 4 + 1 - int(time.time()) % 86_400 // QUARTER_S
    sign, hours, minutes = "-" if ahead > 0 else "", abs(ahead) // 4, abs(ahead) % 4 * 15
    return f"TILL{sign}{hours:02d}:{minutes:02d}"


class Day:
    """What the cashier does, and the page that tells it."""

    def __init__(self, lang: str, home: Path) -> None:
        self.page: list[str] = []
        self._chinese = lang == "zh"
        self._home = home
        self._fixed = Fixed(home)
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "POSCTL_LANG": lang,
            "PYTHONUTF8": "1",
            "TZ": _zone(),
        }

    def tell(self, english: str, chinese: str) -> None:
        """A paragraph, in the language of the page."""
        folded = fill(english, 100, break_long_words=False, break_on_hyphens=False)
        self.page += [chinese if self._chinese else folded, ""]

    def show(self, screen: str) -> None:
        self.page += ["```text", self._fixed(screen).strip("\n"), "```", ""]

    def start(self, line: str) -> Terminal:
        """Put the command on the page, and run it."""
        self.page += ["```sh", self._fixed(line), "```", ""]
        command = [sys.executable, "-m", *shlex.split(line)]
        return Terminal(command, self._env, self._home)

    def run(self, line: str, answers: Sequence[tuple[str, str]] = ()) -> str:
        """A command to its end; the screen that it leaves, also put on the page."""
        with self.start(line) as terminal:
            for pattern, answer in answers:
                terminal.wait(pattern)
                terminal.type(answer + "\n")
            screen = terminal.finish()
        self.show(screen)
        return screen


def _set_up(day: Day, words: Words) -> None:
    day.tell("# The first day at the till", "# 上岗第一天")
    day.tell(
        "[中文](first-day.zh.md) · [README](../README.md)",
        "[English](first-day.md) · [说明](README.zh.md)",
    )
    day.tell(
        "From the first command to a closed shift, in ten minutes and without real money. Every "
        "screen was recorded on a terminal of 80 columns; one that is longer than 24 lines is "
        "shown whole. Colours are left out. Ids, times and names of the machine are made up.",
        "从第一条命令到结班，十分钟，不动用真实资金。所有屏幕都在 80 列的终端上录得，\n"
        "超过 24 行的也完整显示；颜色略去。编号、时间和机器上的名称是虚构的。",
    )
    day.tell("## Before the shop opens", "## 开店之前")
    day.tell(
        "The cashier takes a first payment, with nothing set up.",
        "收银员什么都没有配置，先收第一笔演练付款。",
    )
    day.run(
        "posctl --profile training pay --shop 1 --fee 100 --checkout 111 --scan",
        [(words.scan, PAID)],
    )
    day.tell(
        "The cashier answers the questions of `posctl init` with what the manager wrote down. The "
        "secret is typed and not shown; where nothing stands behind the question, Enter was "
        "pressed.",
        "收银员按店长写好的内容回答 `posctl init` 的问题。密钥照样输入，但屏幕不显示；\n"
        "问题后面没有内容的，是直接按了回车。",
    )
    answers = ["", "", "12345678", "", SECRET, "1", "123", "001", "1", "hema", "HM", "", ""]
    questions = [words.name, words.gateway, words.app_key, words.way, words.secret]
    questions += [*words.defaults, words.max_fee, words.practice]
    day.run("posctl init", list(zip(questions, answers, strict=True)))
    day.tell(
        "The cashier asks whether everything is ready to practise.",
        "收银员检查演练所需的一切是否就绪。",
    )
    day.run("posctl --profile training doctor")


def _at_the_till(day: Day, words: Words) -> None:
    day.tell("## Customers", "## 接待顾客")
    day.tell(
        "The cashier opens the till, and asks it what can be typed: `?`.",
        "收银员打开收银台，输入 `?` 查看可以输入什么。",
    )
    asked_for_amount = (words.status, words.amount)
    with day.start("posctl --profile training till") as till:

        def sell(amount: str, checkout: str, code: str, *until: str) -> None:
            for typed, pattern in ((amount, words.checkout), (checkout, words.scan)):
                till.type(f"{typed}\r")
                till.wait(pattern)
            till.type(f"{code}\r")
            till.wait(*until)
            day.show(till.look())

        till.wait(*asked_for_amount)
        till.type("?\r")
        till.wait(*asked_for_amount)
        day.show(till.look())
        day.tell(
            f"A customer pays: ￥12.50, checkout 201. The code that is scanned is `{PAID}`, which "
            "always pays.",
            f"一位顾客付款：￥12.50，单号 201。扫的是演练码 `{PAID}`，它总是付款成功。",
        )
        sell("12.50", "201", PAID, *asked_for_amount)
        day.tell(
            f"The next one has to confirm on the phone: ￥8, checkout 202, code `{SLOW}`.",
            f"下一位要在手机上确认：￥8，单号 202，演练码 `{SLOW}`。",
        )
        sell("8", "202", SLOW, words.asks_again)
        day.tell(
            "The cashier waits. The customer confirms; the till went on asking, and says so.",
            "收银员等待。顾客确认了；收银台一直在询问，随即显示结果。",
        )
        till.wait(*asked_for_amount)
        day.show(till.look())
        day.tell(
            f"The third customer's payment is refused: ￥30, checkout 203, code `{REFUSED}`.",
            f"第三位顾客的付款被拒：￥30，单号 203，演练码 `{REFUSED}`。",
        )
        sell("30", "203", REFUSED, *asked_for_amount)
        day.tell(
            "The customer shows a fresh code. The cashier scans it at once: amount and checkout "
            "are known.",
            "顾客刷新付款码，收银员直接扫：金额和单号都已知道。",
        )
        till.type(f"{PAID}\r")
        till.wait(*asked_for_amount)
        day.show(till.look())
        day.tell(
            f"Two phones pay one checkout of ￥58: ￥30 from the first, code `{SPLIT}`, and then, "
            "with `+`, Enter and a scan, the rest.",
            f"一单 ￥58 用两部手机付：第一部付 ￥30，演练码 `{SPLIT}`；\n"
            "再按 `+`、回车，扫第二部，收余款。",
        )
        sell("30", "205", SPLIT, *asked_for_amount)
        till.type("+\r")
        till.wait(words.rest)
        till.type("\r")
        till.wait(words.scan)
        till.type(f"{PAID}\r")
        till.wait(*asked_for_amount)
        day.show(till.look())
        day.tell(
            "The cashier leaves the till: `q`.",
            "收银员输入 `q` 退出收银。",
        )
        till.type("q\r")
        day.show(till.finish())


def _unknown(day: Day, words: Words) -> None:
    day.tell("## When nobody knows", "## 结果未知时")
    day.tell(
        f"The connection breaks after the request was sent: code `{CUT_AFTER}`, scanned and not "
        "shown.",
        f"请求发出之后连接断开：演练码 `{CUT_AFTER}`，扫入但不显示。",
    )
    day.run(
        "posctl --profile training pay --fee 500 --checkout 204 --scan",
        [(words.scan, CUT_AFTER)],
    )
    day.tell("The cashier asks what is open.", "收银员查看待确认付款。")
    pending = day.run("posctl --profile training pending")
    day.tell(
        "The cashier charges nobody again, and types what the screen says.",
        "收银员不再收款，按屏幕所示输入命令。",
    )
    said = re.search(r"posctl --profile training retry \S+", pending)
    assert said, pending
    day.run(said[0])
    day.tell("Nothing is open any more.", "已经没有待确认付款。")
    day.run("posctl --profile training pending")


def _close(day: Day, words: Words) -> None:
    day.tell("## The end of the shift", "## 结班")
    day.tell(
        "The cashier looks at what was taken. This may be done at any time; it changes nothing.",
        "收银员查看收了多少。随时都可以看，不改变任何东西。",
    )
    day.run("posctl --profile training report")
    day.tell("The cashier closes the shift, and says yes: `y`.", "收银员结班，并以 `y` 确认。")
    day.run("posctl --profile training report --close", [(words.close, "y")])
    day.tell("The cashier prints the last receipt.", "收银员打印最后一张小票。")
    day.run("posctl --profile training receipt --last")


PARTS: tuple[Callable[[Day, Words], None], ...] = (_set_up, _at_the_till, _unknown, _close)


def first_day(lang: str) -> str:
    """The page in `lang`, recorded now."""
    with tempfile.TemporaryDirectory(prefix="", dir="/tmp") as home:
        day = Day(lang, Path(home))
        for part in PARTS:
            part(day, WORDS[lang])
    return "\n".join(day.page).rstrip("\n") + "\n"


if __name__ == "__main__":
    sys.stdout.write(first_day(sys.argv[1]))
