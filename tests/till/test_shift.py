"""One shift, whatever the scanner sends, in the words of the shop, and acted out in training."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count

import pytest
from conftest import Shop
from counter import Counter
from merciless import Members, Merciless, paid, told

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
    till.see("203: Amount, yuan (Enter: ￥28.00)")
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
        ("c 2", "paid or not-paid"),
        ("not-paid", "in a few words"),
        ("left", "[y/N]"),
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
