"""What is typed and scanned at the till, and what is wished by it. Pure: no terminal, no journal.

A payment code is echoed nowhere, wherever it was scanned: of digits in a row only the first six
are shown while they are typed. A code is complete with Enter, CR or LF, or when a scanner that
ends with nothing has been silent for a moment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from math import inf
from typing import NamedTuple

from posctl.config.profile import Profile
from posctl.errors import UsageError
from posctl.messages import _
from posctl.money.codes import is_scanned, is_wallet_code, mask
from posctl.money.order import check_value, yuan
from posctl.shell import lines_of

MAX_TYPED = 256  # characters
MAX_ECHO = 6  # digits in a row: a code may have been scanned where the amount belongs
SCAN_END_S = 0.25  # after so long a scanner that ends with nothing has ended
SCANNED_S = 0.06  # a character at most: nobody types 16 digits so fast


class Prompt(Enum):
    """What the cashier is asked for; WATCH waits for a verdict."""

    AMOUNT = auto()
    CHECKOUT = auto()
    CODE = auto()
    CONFIRM = auto()
    WORDS = auto()
    WATCH = auto()


class Offer(NamedTuple):
    """What Enter alone takes: the rest of a checkout, or once more what came to nothing."""

    checkout_id: str
    pay_fee: int
    rest: bool


class Sale(NamedTuple):
    """A customer is ready to be charged `pay_fee` fen. A checkout_id of "" is for the till to
    number.
    """

    pay_fee: int
    checkout_id: str
    code: str

    def __repr__(self) -> str:
        return f"Sale({self.pay_fee})"  # no payment code


class Command(NamedTuple):
    """A letter of COMMANDS, and the number behind it."""

    letter: str
    number: int | None


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


Wish = Sale | Command | Answer | Words | Keep | Note | Plain

COMMANDS = {
    "retry": "r",
    "close": "c",
    "open": "o",
    "receipt": "p",
    "report": "x",
    "help": "?",
    "quit": "q",
}
"""Each command's word, and the letter that does."""


class Entry:
    """The dialogue with one cashier. `prompt` is what is asked for now."""

    def __init__(self, profile: Profile) -> None:
        self.prompt = Prompt.AMOUNT
        self.offer: Offer | None = None
        self._profile = profile
        self._keys = profile.till
        self._typed = ""
        self._first_s = self._last_s = 0.0  # when what is typed came
        self._after_cr = False
        self._fee = 0
        self._checkout_id = ""
        self._question = ""
        self._doubt = ""  # a checkout_id that looks like a payment code

    def fresh(self) -> None:
        """Ask for the next amount; what was typed so far is dropped."""
        self.prompt, self._typed = Prompt.AMOUNT, ""

    def watch(self) -> None:
        """Wait for a verdict; any key goes on to the next customer."""
        self.prompt, self._typed = Prompt.WATCH, ""

    def ask(self, question: str) -> None:
        """A question, to be answered with yes; anything else is no."""
        self.prompt, self._typed, self._question, self._doubt = Prompt.CONFIRM, "", question, ""

    def ask_words(self, question: str) -> None:
        """A question that is answered in words; nothing is no answer."""
        self.prompt, self._typed, self._question = Prompt.WORDS, "", question

    # ── what is shown ────────────────────────────────────────────────────────────────────────

    @property
    def label(self) -> str:
        """What stands before the cursor, without what was typed."""
        match self.prompt:
            case Prompt.AMOUNT:
                unit = _("Amount, yuan") if self._keys.amount == "yuan" else _("Amount, fen")
                if self.offer is None:
                    return _("{unit}: ").format(unit=unit)
                taken = f"￥{yuan(self.offer.pay_fee)} · {self.offer.checkout_id}"
                return _("{unit} (Enter: {taken}): ").format(unit=unit, taken=taken)
            case Prompt.CHECKOUT:
                return self._checkout_label()
            case Prompt.CODE:
                return _("￥{yuan} · scan the payment code: ").format(yuan=yuan(self._fee))
            case Prompt.CONFIRM:
                return f"{self._question} [y/N] "
            case Prompt.WORDS:
                return self._question
            case Prompt.WATCH:
                return ""

    def _checkout_label(self) -> str:
        if self.offer is None:
            return _("Checkout: ")
        if self._keys.checkout == "ask":
            return _("Checkout (Enter: {id}): ").format(id=self.offer.checkout_id)
        return _("Checkout (Enter: {id}, +: a new one): ").format(id=self.offer.checkout_id)

    @property
    def echo(self) -> str:
        """What was typed, as far as it may be seen."""
        if self.prompt is Prompt.CODE:
            return ""
        if self.prompt is Prompt.CHECKOUT and not _holds_code(self._typed):
            return self._typed
        return re.sub(rf"([0-9]{{{MAX_ECHO}}})[0-9]+", r"\1…", self._typed)

    # ── keys ─────────────────────────────────────────────────────────────────────────────────

    @property
    def scan_end_s(self) -> float:
        """When a code counts as scanned without an end; never for what a hand typed."""
        if self.prompt is not Prompt.CODE or not is_wallet_code(self._typed):
            return inf
        fast = self._last_s - self._first_s <= SCANNED_S * len(self._typed)
        return self._last_s + SCAN_END_S if fast else inf

    def take(self, typed: str, now_s: float) -> Iterator[Wish]:
        """What `typed`, which came in one piece, wishes; "" when only time has passed.

        Each wish is to be granted before the next is asked for: it may change the prompt.
        """
        if not typed and now_s >= self.scan_end_s:
            yield from self._enter()
        if self.prompt in (Prompt.AMOUNT, Prompt.WATCH) and is_wallet_code(typed.strip()):
            # Scanned once more, or too early. While a verdict is waited for it says nothing new.
            self._after_cr = typed.endswith("\r")
            if self.prompt is Prompt.AMOUNT:
                yield Note(_("That was a code. First the amount, then scan."))
            return
        for key in self._keys_of(typed):
            if not self._typed:
                self._first_s = now_s
            self._last_s = now_s
            yield from self._key(key)

    def _keys_of(self, typed: str) -> str:
        """`typed` without what arrow keys send, and with one end for each line."""
        if not typed:  # only time has passed: "\n" may still be the rest of a scan's end
            return ""
        after_cr, self._after_cr = self._after_cr, typed.endswith("\r")
        if after_cr and typed.startswith("\n"):
            typed = typed[1:]
        typed = re.sub(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.)", "", typed)
        return typed.replace("\r\n", "\r")

    def _key(self, key: str) -> Iterator[Wish]:
        if key in ("\r", "\n"):
            yield from self._enter()
        elif key in ("\x03", "\x04", "\x1b"):
            yield from self._cancel(leave=key != "\x1b")
        elif key in ("\x7f", "\b"):
            self._typed = self._typed[:-1]
        elif key == "\x15":
            self._typed = ""
        elif key.isprintable() and len(self._typed) < MAX_TYPED:
            if self.prompt is Prompt.WATCH:
                yield Plain.NEXT
            self._typed += key

    def _cancel(self, *, leave: bool) -> Iterator[Wish]:
        """One step back: what is typed, the customer, and at last the till."""
        if self._typed and self.prompt is not Prompt.CODE:
            self._typed = ""
        elif self.prompt is not Prompt.AMOUNT:
            if self.prompt is not Prompt.WATCH:
                yield Note(_("Cancelled. Nothing was sent."))
            yield Plain.NEXT
        elif leave:
            yield Plain.LEAVE
        else:
            self.offer = None

    def _enter(self) -> Iterator[Wish]:
        typed, self._typed = self._typed.strip(), ""
        try:
            match self.prompt:
                case Prompt.AMOUNT:
                    yield from self._amount(typed)
                case Prompt.CHECKOUT:
                    yield from self._checkout(typed)
                case Prompt.CODE:
                    yield from self._code(typed)
                case Prompt.CONFIRM:
                    yield from self._answer(typed)
                case Prompt.WORDS:
                    yield from self._words(typed)
                case Prompt.WATCH:
                    yield Plain.NEXT
        except UsageError as error:
            yield Note(" ".join((error.message, *lines_of(error.hint))))

    # ── one prompt each ──────────────────────────────────────────────────────────────────────

    def _amount(self, typed: str) -> Iterator[Wish]:
        offer = self.offer
        if not typed:
            if offer is not None:
                yield Keep(f"￥{yuan(offer.pay_fee)} · {offer.checkout_id}")
                self._fee, self._checkout_id, self.prompt = offer.pay_fee, offer.checkout_id, _CODE
            return
        command = re.fullmatch(r"([a-z]+|\?) ?([0-9]{0,3})", typed.lower().replace("？", "?"))
        if command:
            yield from self._command(command[1], command[2])
            return
        fee = self._fen(typed)
        if self._keys.amount == "yuan" and not 0 < int(fee) <= self._profile.max_fee:
            most = yuan(self._profile.max_fee)
            words = _("The amount is in yuan, from 0.01 to {most}. Help: ?")
            raise UsageError("bad_amount", words.format(most=most))
        check_value("pay_fee", fee, _("The amount"), max_fee=self._profile.max_fee)
        self._fee, self._checkout_id = int(fee), ""
        yield Keep(f"￥{yuan(self._fee)}")
        # Where the till numbers, only a checkout of which a rest is due can be meant again.
        asked = self._keys.checkout == "ask" or (offer is not None and offer.rest)
        self.prompt = Prompt.CHECKOUT if asked else _CODE

    def _command(self, word: str, number: str) -> Iterator[Wish]:
        letter = COMMANDS.get(word, word)
        if letter in COMMANDS.values():
            yield Keep(f"{word} {number}".rstrip())
            yield Command(letter, int(number) if number else None)
        else:
            yield Note(_("There is no command {word}. Help: ?").format(word=word[:20]))

    def _fen(self, typed: str) -> str:
        """The amount in fen, as digits. Raises UsageError."""
        if self._keys.amount == "fen" and re.fullmatch(r"[0-9]{1,12}", typed):
            return typed
        parts = re.fullmatch(r"([0-9]{1,10})(?:\.([0-9]{1,2}))?", typed)
        if self._keys.amount == "yuan" and parts:
            return str(int(parts[1]) * 100 + int((parts[2] or "").ljust(2, "0")))
        if len(re.findall("[0-9]", typed)) > 12:
            raise UsageError("bad_amount", _("That was a code. First the amount, then scan."))
        if self._keys.amount == "yuan":
            raise UsageError("bad_amount", _("The amount is in yuan, as in 12.50. Help: ?"))
        raise UsageError("bad_amount", _("The amount is in fen, as in 1250. Help: ?"))

    def _checkout(self, typed: str) -> Iterator[Wish]:
        offer, numbers = self.offer, self._keys.checkout == "number"
        if not typed:
            if offer is None:
                return
            typed = offer.checkout_id
        elif _holds_code(typed):
            self.ask(_("That looks like a payment code. Is it the checkout?"))
            self._doubt = typed
            return
        elif typed != "+" or not numbers:
            check_value("checkout_id", typed, _("The checkout"))
        yield Keep(typed)
        self._checkout_id = "" if typed == "+" and numbers else typed
        self.prompt = _CODE

    def _answer(self, typed: str) -> Iterator[Wish]:
        yes, doubt = typed.lower() in ("y", "yes", "是", "好"), self._doubt
        yield Keep(typed)
        if not doubt:
            yield Answer(yes)
        elif yes:
            self._checkout_id, self.prompt = doubt, _CODE
        else:
            self.prompt = Prompt.CHECKOUT

    def _words(self, typed: str) -> Iterator[Wish]:
        if _holds_code(typed):
            yield Note(_("That was a code. Here words are asked for."))
        elif typed:
            yield Keep(typed)
            yield Words(typed)

    def _code(self, typed: str) -> Iterator[Wish]:
        if not typed:
            return
        allowed = self._profile.allow_card_numbers
        check_value("channel_account", typed, _("The code"), allow_card_numbers=allowed)
        yield Keep(mask(typed))
        yield Sale(self._fee, self._checkout_id, typed)


def _holds_code(text: str) -> bool:
    """Whether a payment code stands in `text`, whatever else was typed before it."""
    return any(is_scanned(digits) for digits in re.findall("[0-9]+", text))


_CODE = Prompt.CODE
