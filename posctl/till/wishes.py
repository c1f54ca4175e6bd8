"""What a cashier can wish for at the till, and what it may offer her. Pure."""

from __future__ import annotations

from enum import Enum, auto
from math import inf
from typing import NamedTuple


class Offer(NamedTuple):
    """What a key takes: the rest of a checkout, `+`, or once more what came to nothing, Enter.

    Enter alone never takes a rest: the next customer would pay it. A code that is scanned at once,
    until `scan_until_s`, is the one that a customer was asked for whose payment came to nothing.
    """

    checkout_id: str
    pay_fee: int
    rest: bool
    scan_until_s: float = -inf


class Sale(NamedTuple):
    """A customer is ready to be charged `pay_fee` fen. A checkout_id of "" is for the till to
    number.
    """

    pay_fee: int
    checkout_id: str
    code: str

    def __repr__(self) -> str:
        return f"Sale({self.pay_fee})"  # no payment code


class Chosen(NamedTuple):
    """A checkout was named for `pay_fee` fen: whether it is paid can be told before the scan."""

    pay_fee: int
    checkout_id: str


class Command(NamedTuple):
    """A letter of COMMANDS, and the number or the checkout behind it."""

    letter: str
    number: int | None
    checkout_id: str = ""


class Answer(NamedTuple):
    """What was said to a question."""

    yes: bool


class Words(NamedTuple):
    """What was said to a question for words; never a payment code."""

    text: str


class Keep(NamedTuple):
    """A prompt was answered: its line stays on the screen, with `text` behind it."""

    text: str


class Note(NamedTuple):
    """Something to tell at once."""

    text: str


class Plain(Enum):
    """Wishes without more to say."""

    NEXT = auto()  # go on to the next customer
    LEAVE = auto()


Wish = Sale | Chosen | Command | Answer | Words | Keep | Note | Plain

COMMANDS = {
    "retry": "r",
    "close": "c",
    "status": "s",
    "rest": "+",
    "open": "o",
    "receipt": "p",
    "report": "x",
    "operator": "w",
    "shift": "z",
    "help": "?",
    "quit": "q",
}
"""Each command's word, and the letter that does."""
