"""How many payments stay open for a person, under a stated mix: the old rule beside the new.

`python tests/harness/open_figures.py` writes the table into
docs/outcomes.md, `test_refusal.py` looks.
The mix is an assumption, written down here and there; the rules are the real ones: `proves` and
`read_event` of now, and the list of words of 0.1 that the simulator keeps as a deliberate bug.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from sim_child import WORDS_OF_0_1
from tables import with_table

from posctl.gateway.judge import read_event
from posctl.gateway.top import Answer
from posctl.money.outcome import NEW, REFUSALS, Event, Standing, advance, begin_try

PAGE = Path(__file__).parents[2] / "docs" / "outcomes.md"
BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->\n"

PAYMENTS = 20_000
ASKS = 12  # a minute of the till's own questions
LOST, DECLINED, CHARGED_OF_LOST = 0.02, 0.06, 0.5
# At the till: which one, what became of it, what shows it, yes.
BY_HAND = "c 1\rpaid\rseen on her phone\ry\r"

Words = tuple[str, str]
KNOWN: tuple[Words, ...] = (
    ("ACQ.BUYER_BALANCE_NOT_ENOUGH", "买家余额不足"),
    ("NOTENOUGH", "余额不足"),
    ("", "用户取消支付"),
    ("ACQ.PAYMENT_REQUEST_HAS_RISK", "支付有风险"),
)
OTHER: tuple[Words, ...] = (("ACQ.PAYMENT_FAIL", "支付失败"), ("TRADE_ERROR", "交易错误"))
CODE: tuple[Words, ...] = (
    ("ACQ.PAYMENT_AUTH_CODE_INVALID", "支付授权码无效"),
    ("AUTHCODEEXPIRE", "二维码已过期，请用户在微信上刷新后再试"),
)
DONE: tuple[Words, ...] = (("ORDERPAID", "订单已支付"), ("ACQ.TRADE_FINISHED", "交易完结"))
BUSY: tuple[Words, ...] = (
    ("USERPAYING", "用户支付中，需要输入密码"),
    ("ACQ.SYSTEM_ERROR", "系统异常"),
)
# What the repeat of a charged payment is told: (share, words, how often before the stored answer).
REPEATS = ((0.50, (), 0), (0.20, CODE, ASKS), (0.15, DONE, ASKS), (0.15, BUSY, 3))
# What a repeat that arrives as the first is told: paid, or one of these.
FRESH = ((0.70, ()), (0.15, CODE), (0.09, KNOWN), (0.06, OTHER))
DECLINES = ((0.75, KNOWN), (0.25, OTHER))


class Figures(NamedTuple):
    """Of all payments: open for a person, told "not charged" though charged, settled right."""

    open: int
    wrong: int
    right: int


def _event(words: Words | None, *, old: bool) -> Event:
    if words is None:
        return Event.PAID
    code, message = words
    model = {"result_status": 2, "result_code": code, "result_message": message}
    event = read_event(Answer(model), 200, None)
    if old and event in REFUSALS:
        said = " | ".join(text for text in words if text).lower()
        return event if re.search(WORDS_OF_0_1, said) else Event.DECLINED
    return event


def _drawn(
    dice: random.Random, shares: tuple[tuple[float, tuple[Words, ...]], ...]
) -> Words | None:
    """Words out of one of `shares`; None for "paid"."""
    (chosen,) = dice.choices([kind for _share, kind in shares], [share for share, _kind in shares])
    return dice.choice(chosen) if chosen else None


def _answers(dice: random.Random) -> tuple[list[Words | None], bool]:
    """What the questions after a lost answer are told, and whether the first try was charged."""
    if dice.random() < CHARGED_OF_LOST:
        (kind,) = dice.choices(REPEATS, [share for share, *_rest in REPEATS])
        _share, words, times = kind
        said: list[Words | None] = [dice.choice(words)] * times if words else []
        return [*said, *[None] * (ASKS - len(said))], True
    first = _drawn(dice, FRESH)
    return [first] * ASKS, first is None


def _settled(dice: random.Random, *, old: bool) -> tuple[Standing, bool]:
    """How one payment stands after the till has asked for a minute, and whether it was charged."""
    standing = begin_try(NEW)
    roll = dice.random()
    if roll >= LOST + DECLINED:
        return advance(standing, Event.PAID, own_id=True), True
    if roll >= LOST:
        return advance(standing, _event(_drawn(dice, DECLINES), old=old), own_id=True), False
    standing = advance(standing, Event.READ_TIMEOUT, own_id=True)
    answers, charged = _answers(dice)
    for words in answers:
        if not standing.open:
            break
        standing = advance(begin_try(standing), _event(words, old=old), own_id=True)
    return standing, charged


def figures(*, old: bool) -> Figures:
    """All of `PAYMENTS`, by the rule of now or of 0.1; the same dice for both."""
    counted: Counter[str] = Counter()
    for seed in range(PAYMENTS):
        standing, charged = _settled(random.Random(seed), old=old)
        if standing.open:
            counted["open"] += 1
        else:
            counted["right" if standing.paid is charged else "wrong"] += 1
    return Figures(counted["open"], counted["wrong"], counted["right"])


def table() -> str:
    """The table of docs/outcomes.md."""
    lines = [
        f"| of {PAYMENTS:,} payments | rule of 0.1 | this rule |",
        "|---|---|---|",
    ]
    old, new = figures(old=True), figures(old=False)
    for name, one, other in (
        ("open for a person after a minute of questions", old.open, new.open),
        ("told “not charged, pay again”, and charged", old.wrong, new.wrong),
        ("settled rightly without a person", old.right, new.right),
    ):
        lines.append(f"| {name} | {one:,} | {other:,} |")
    per_1000 = new.open * len(BY_HAND) * 1000 / PAYMENTS
    lines.append(f"| keys to close one at the till (`c 1`) | – | {len(BY_HAND)} |")
    lines.append(f"| that is, keys for each 1,000 payments | – | {per_1000:.0f} |")
    return "\n".join(lines) + "\n"


def written(page: str) -> str:
    """`page` with the table of this state of the code."""
    return with_table(page, BEGIN, table(), END)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
