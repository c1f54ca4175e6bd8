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

from posctl.config.profile import Profile
from posctl.errors import UsageError
from posctl.messages import N_, _
from posctl.money.codes import mask
from posctl.money.order import Limits, check_scanned, check_value, not_known, yuan
from posctl.money.scan import (
    ETX,
    STX,
    Scan,
    half_width,
    has_code,
    pieces,
    plain_amount,
    plain_id,
    unframed,
    what_else,
    what_is,
)
from posctl.shell import lines_of
from posctl.text import sentences
from posctl.till.labels import amount_label, shorter_labels
from posctl.till.wishes import (
    COMMANDS,
    Answer,
    Chosen,
    Command,
    Keep,
    Note,
    Offer,
    Plain,
    Sale,
    Wish,
    Words,
)

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


class Asks(Enum):
    """How a question is answered: with yes, and anything else is no; INSIST with yes or no alone;
    LEAVE as ONCE, and Ctrl-C is yes.
    """

    ONCE = auto()
    INSIST = auto()
    LEAVE = auto()


class Entry:
    """The dialogue with one cashier. `prompt` is what is asked for now."""

    def __init__(self, profile: Profile) -> None:
        self.prompt = Prompt.AMOUNT
        self.offer: Offer | None = None
        self._profile = profile
        self._keys = profile.till
        self._typed = ""
        self._first_s = self._last_s = 0.0  # when what is typed came
        self._after_end, self._end_s = "", 0.0  # what just ended a line or a scan, and when
        self._fee = 0
        self._checkout_id = ""
        self._question = self._about = self._if_empty = ""
        self._asks = Asks.ONCE
        self._rest: Offer | None = None  # the checkout of which the next amount is a part
        self._type_it = False  # an amount is to be typed: Enter and a scan take nothing
        self._is_refused = False  # the amount that was entered last
        self._framed = False  # a scan has begun with STX
        self._doubt = ""  # a checkout_id that looks like a payment code
        self._no_code = ""  # what was scanned as a payment code, and does not look like one
        self._sent_code = ""  # what is on its way while a verdict is waited for
        self._goods_lengths: set[int] = set()  # of the shop's numbers that look like barcodes

    def fresh(self) -> None:
        """Ask for the next amount; what was typed so far is dropped."""
        self.prompt, self._typed, self._rest = Prompt.AMOUNT, "", None
        self._sent_code = ""
        self._is_refused = self._type_it = False

    def ask_code(self, pay_fee: int, checkout_id: str) -> None:
        """Ask for the code of a payment whose amount and checkout are known."""
        self.fresh()
        self.offer = None
        self._fee, self._checkout_id, self.prompt = pay_fee, checkout_id, _CODE

    def take_rest(self, rest: Offer, *, type_it: bool = False) -> None:
        """Ask how much of a rest is paid now: all of it, unless an amount is typed; with `type_it`
        what is typed, for more than the rest was typed before.
        """
        self.fresh()
        self.offer, self._rest, self._type_it = None, rest, type_it

    def watch(self) -> None:
        """Wait for a verdict; any key goes on to the next customer."""
        self.prompt, self._typed = Prompt.WATCH, ""

    def ask(self, question: str, asks: Asks = Asks.ONCE, about: str = "") -> None:
        """A question for yes or no, short enough for 40 columns; what it is `about`, as long as it
        may be, stands above it.
        """
        self.prompt, self._typed = Prompt.CONFIRM, ""
        self._question, self._about, self._asks = question, about, asks
        self._doubt = self._no_code = ""

    def ask_words(self, question: str, about: str, if_empty: str) -> None:
        """A question, as above, that is answered in words; `if_empty` is said to none."""
        self.prompt, self._typed = Prompt.WORDS, ""
        self._question, self._about, self._if_empty = question, about, if_empty

    @property
    def about(self) -> str:
        """What is to stand above the question that is asked now."""
        return self._about if self.prompt in (Prompt.CONFIRM, Prompt.WORDS) else ""

    @property
    def rest(self) -> Offer | None:
        """The rest that `+` without a number takes: of the checkout that is spoken of."""
        return self._rest or (self.offer if self.offer and self.offer.rest else None)

    @property
    def asks(self) -> Asks | None:
        """How the question is answered that is asked now, if one is."""
        return self._asks if self.prompt is Prompt.CONFIRM else None

    # ── what is shown ────────────────────────────────────────────────────────────────────────

    @property
    def label(self) -> str:
        """What stands before the cursor, without what was typed."""
        match self.prompt:
            case Prompt.AMOUNT:
                unit = self._keys.amount
                return amount_label(unit, self.offer, self._rest, type_it=self._type_it)
            case Prompt.CHECKOUT:
                return self._checkout_label()
            case Prompt.CODE if self._rest is not None:  # whose order it is was not typed just now
                return f"{self._rest.checkout_id} · {self._code_label}"
            case Prompt.CODE:
                return self._code_label
            case Prompt.CONFIRM if self._asks is Asks.INSIST:
                return _("{question} [y/n] ").format(question=self._question)
            case Prompt.CONFIRM:
                return _("{question} [y/N] ").format(question=self._question)
            case Prompt.WORDS:
                return self._question
            case Prompt.WATCH:
                return ""

    @property
    def shorter_labels(self) -> list[str]:
        """The same where there is less room, the widest first."""
        match self.prompt:
            case Prompt.AMOUNT:
                return shorter_labels(self.offer, self._rest, type_it=self._type_it)
            case Prompt.CODE if self._rest is not None:
                return [self._code_label]
            case _:
                return []

    @property
    def _code_label(self) -> str:
        return _("￥{yuan} · scan the payment code: ").format(yuan=yuan(self._fee))

    def _checkout_label(self) -> str:
        if self.offer is None or self.offer.rest:  # a rest is taken with its own key alone
            return _("Checkout: ")
        return _("Checkout (Enter: {id}): ").format(id=self.offer.checkout_id)

    @property
    def echo(self) -> str:
        """What was typed, as far as it may be seen."""
        if self.prompt is Prompt.CODE:
            return ""
        if self.prompt is Prompt.CHECKOUT and not has_code(self._typed):
            return self._typed
        return re.sub(rf"([0-9]{{{MAX_ECHO}}})[0-9]+", r"\1…", self._typed)

    # ── keys ─────────────────────────────────────────────────────────────────────────────────

    @property
    def scan_end_s(self) -> float:
        """When a code counts as scanned without an end; never for what a hand typed."""
        if self.prompt is not Prompt.CODE or not has_code(self._typed):
            return inf
        return self._last_s + SCAN_END_S if self._was_scanned(self._typed) else inf

    def _was_scanned(self, typed: str) -> bool:
        """Whether what was typed last came as fast as no hand types."""
        return self._last_s - self._first_s <= SCANNED_S * len(typed)

    def take(self, typed: str, now_s: float) -> Iterator[Wish]:
        """What `typed`, which came in one piece, wishes; "" when only time has passed.

        Each wish is to be granted before the next is asked for: it may change the prompt.
        """
        if not typed and now_s >= self.scan_end_s:
            yield from self._enter()
        codes = pieces(typed)
        if len(codes) > 1 and all(what_is(one) is Scan.CODE for one in codes):
            if len(set(codes)) > 1:
                words = _("More than one payment code came in."), _("Scan the code once.")
                yield Note(sentences(*words))
                return
            typed = codes[0] + "\r"  # read twice
        scanned = unframed(typed)
        is_code = what_is(scanned) is Scan.CODE
        if is_code and self.prompt is not Prompt.CODE:
            self._after_end, self._end_s = typed[-1] if typed[-1] in _ENDS else "", now_s
            yield from self._scanned(scanned, now_s)
            return
        if is_code and typed.endswith(ETX):  # ETX without STX
            self._framed = True
        for key in self._keys_of(typed, now_s):
            if not self._typed:
                self._first_s = now_s
            self._last_s = now_s
            yield from self._key(key)

    def _scanned(self, code: str, now_s: float) -> Iterator[Wish]:
        """A payment code where none was asked for."""
        offer = self.offer
        if self.prompt is Prompt.CONFIRM and self._no_code:  # better than what is asked about
            self.prompt = _CODE
            yield from self._code(code)
        elif self.prompt is Prompt.CONFIRM:
            yield Note(_("That was a code. First answer: y or n."))
        elif self.prompt is Prompt.AMOUNT and (self._typed or self._is_refused or self._type_it):
            # Another amount was meant than the one that is offered.
            yield Note(_("That was a code. First the amount, then scan."))
        elif self.prompt is Prompt.AMOUNT and self._rest is not None:
            yield from self._take(self._rest)
            yield from self._code(code)
        elif self.prompt is Prompt.AMOUNT and offer is not None and now_s < offer.scan_until_s:
            yield from self._take(offer)
            yield from self._code(code)
        elif self.prompt is Prompt.AMOUNT and offer is not None and offer.rest:
            words = _("That was a code. To take the rest of ￥{yuan} with it: +, then scan.")
            yield Note(words.format(yuan=yuan(offer.pay_fee)))
        else:
            yield from self._unasked(code)

    def _unasked(self, code: str) -> Iterator[Wish]:
        """Say that a payment code was not used, and what is asked for instead."""
        if self.prompt is Prompt.AMOUNT:
            yield Note(_("That was a code. First the amount, then scan."))
        elif self.prompt is Prompt.CHECKOUT:
            yield Note(_("That was a payment code. First the checkout's number, then scan."))
        elif self.prompt is Prompt.WORDS:
            yield Note(sentences(_("That was a code."), self._if_empty))
        elif code != self._sent_code:  # the same once more says nothing new
            waits = _("This scan was not used: a verdict is waited for.")
            yield Note(sentences(waits, _(ANOTHER_PHONE)))

    def _keys_of(self, typed: str, now_s: float) -> str:
        """`typed` without what arrow keys send, and with one end, a CR, for each line or scan."""
        typed = re.sub(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.)", "", typed)
        keys = ""
        for key in typed:
            same_end = key in _SAME_END.get(self._after_end, "")
            same_end = same_end and now_s - self._end_s <= SCAN_END_S
            if not same_end:
                self._after_end, self._end_s = key if key in _ENDS else "", now_s
            if key == STX:
                self._framed = True
            elif key == ETX and self._framed:  # else it is Ctrl-C
                keys += "\r"
            elif not same_end:
                keys += "\r" if key == "\n" else key
            self._framed = self._framed and key not in _ENDS
        return keys

    def _key(self, key: str) -> Iterator[Wish]:
        if key == "\r" or (key == "\t" and self._typed):  # some scanners end with Tab
            yield from self._enter()
        elif key in ("\x03", "\x04", "\x1b"):
            yield from self._cancel(leave=key != "\x1b")
        elif key in ("\x7f", "\b"):
            self._typed = self._typed[:-1]
        elif key == "\x15":
            self._typed = ""
        elif (key.isprintable() or key in _BLANKS) and len(self._typed) < MAX_TYPED:
            if self.prompt is Prompt.WATCH:
                yield Plain.NEXT
            self._typed += " " if key in _BLANKS else key

    def _cancel(self, *, leave: bool) -> Iterator[Wish]:
        """One step back: what is typed, the customer, and at last the till."""
        self._is_refused = False
        if self._typed and self.prompt is not Prompt.CODE:
            self._typed = ""
            if self.prompt is Prompt.AMOUNT and self.offer is not None and not self.offer.rest:
                self.offer = None  # an amount was typed: the next customer's
        elif leave and self.asks is Asks.LEAVE:
            yield Plain.LEAVE
        elif self.prompt is not Prompt.AMOUNT:
            self.offer = None  # whom it was for has left
            if self.prompt is Prompt.WORDS or self.asks in (Asks.INSIST, Asks.LEAVE):
                yield Note(_("Cancelled. Nothing has changed."))
            elif self.prompt is not Prompt.WATCH:
                yield Note(_("Cancelled. Nothing was sent."))
            yield Plain.NEXT
        elif leave:
            yield Plain.LEAVE
        else:
            self.fresh()
            self.offer = None

    def _enter(self) -> Iterator[Wish]:
        typed, self._typed = self._typed.strip(), ""
        self._is_refused = False
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
            self._is_refused = self.prompt is Prompt.AMOUNT
            yield Note(sentences(error.message, *lines_of(error.hint)))

    # ── one prompt each ──────────────────────────────────────────────────────────────────────

    def _amount(self, typed: str) -> Iterator[Wish]:
        offer, rest = self.offer, self._rest
        if not typed:
            if self._type_it and rest is not None:
                words = _(
                    "Type the amount, at most ￥{yuan}; + takes it all. Esc: another customer."
                )
                yield Note(words.format(yuan=yuan(rest.pay_fee)))
            elif rest is not None:
                yield from self._take(rest)
            elif offer is not None and not offer.rest:
                yield from self._take(offer)
            else:  # the next customer
                self.offer = None
            return
        plain = half_width(typed).lower()
        command = re.fullmatch(_COMMAND, plain)
        if command:
            yield from self._command(command[1], command[2])
            return
        named = re.fullmatch(r"(?i)(?:p|receipt) +(\S+)", half_width(typed))
        if named is not None and not has_code(named[1]):  # what is kept stays in sight
            yield Keep(f"p {named[1]}")
            yield Command("p", None, named[1])
            return
        fee = self._fee_of(typed)
        yield Keep(f"￥{yuan(fee)}")
        if rest is not None:
            self._fee, self._checkout_id, self.prompt = fee, rest.checkout_id, _CODE
            yield Chosen(self._fee, self._checkout_id)
            return
        if offer is not None and fee != offer.pay_fee:
            self.offer = None  # another customer's
        self._fee, self._checkout_id = fee, ""
        self.prompt = Prompt.CHECKOUT if self._keys.checkout == "ask" else _CODE

    def _take(self, offer: Offer) -> Iterator[Wish]:
        """Go on with what was offered: only the code is missing."""
        yield Keep(f"￥{yuan(offer.pay_fee)} · {offer.checkout_id}")
        self._fee, self._checkout_id, self.prompt = offer.pay_fee, offer.checkout_id, _CODE

    def _command(self, word: str, number: str) -> Iterator[Wish]:
        letter = COMMANDS.get(word, word)
        if letter in COMMANDS.values() and (not number or letter in _NUMBERED):
            if letter != "?" and self.offer is not None and not self.offer.rest:
                self.offer = None  # other business: Enter and a scan take nobody's payment
            yield Keep(f"{word} {number}".rstrip())
            yield Command(letter, int(number) if number else None)
        else:
            word = f"{word[:20]} {number}".rstrip()
            yield Note(_("There is no command {word}. Help: ?").format(word=word))

    def _fee_of(self, typed: str) -> int:
        """The amount in fen. Raises UsageError for what is none, or more than the profile takes."""
        if typed.lower() in _REFUND:
            raise UsageError("bad_amount", _("The till gives no money back: fetch the manager."))
        fee = self._fen(typed)
        if self._keys.amount == "yuan" and not 0 < int(fee) <= self._profile.max_fee:
            if what_is(typed) is Scan.GOODS:
                words = _("That was an article's barcode. First the amount, then scan.")
                raise UsageError("bad_amount", words)
            most = yuan(self._profile.max_fee)
            words = _("The amount is in yuan, from 0.01 to {most}. Help: ?")
            raise UsageError("bad_amount", words.format(most=most))
        check_value("pay_fee", fee, _("The amount"), max_fee=self._profile.max_fee)
        return int(fee)

    def _fen(self, typed: str) -> str:
        """The amount in fen, as digits. Raises UsageError."""
        plain = plain_amount(typed)
        if self._keys.amount == "fen" and re.fullmatch(r"[0-9]{1,12}", half_width(typed)):
            return half_width(typed)
        parts = re.fullmatch(r"([0-9]{1,10})(?:\.([0-9]{1,2}))?", plain)
        if self._keys.amount == "yuan" and parts:
            return str(int(parts[1]) * 100 + int((parts[2] or "").ljust(2, "0")))
        if what_is(typed) in (Scan.GOODS, Scan.LINK):
            words = _("That was an article's barcode. First the amount, then scan.")
            raise UsageError("bad_amount", words)
        if len(re.findall("[0-9]", typed)) > 12:
            raise UsageError("bad_amount", _("That was a code. First the amount, then scan."))
        if self._keys.amount == "yuan" and re.fullmatch(r"[0-9]+\.[0-9]{3,}", half_width(typed)):
            raise UsageError("bad_amount", _("At most two decimals, as in 12.50."))
        if self._keys.amount == "yuan":
            raise UsageError("bad_amount", _("The amount is in yuan, as in 12.50. Help: ?"))
        raise UsageError("bad_amount", _("The amount is in fen, as in 1250. Help: ?"))

    def _checkout(self, typed: str) -> Iterator[Wish]:
        typed = plain_id(typed)
        if not typed:
            if self.offer is None or self.offer.rest:
                yield Note(_("Type the checkout's number. Esc: another customer."))
                return
            typed = self.offer.checkout_id
        elif typed in COMMANDS.values():
            words = _("{letter} is a command, not a checkout. Esc first, then {letter}.")
            raise UsageError("bad_checkout", words.format(letter=typed))
        elif typed.lower() in _REFUND:
            yield Note(_("The till gives no money back: fetch the manager."))
            return
        elif re.fullmatch(r"[a-z]+ [0-9]{1,3}", typed.lower()):  # p 2, say
            words = _("{letter} is a command, not a checkout. Esc first, then {letter}.")
            raise UsageError("bad_checkout", words.format(letter=typed))
        elif re.search(r"\s", typed):
            raise UsageError("bad_checkout", _("A checkout's number has no blank in it."))
        elif has_code(typed) and self._was_scanned(typed):
            yield Note(_("That was a payment code. First the checkout's number, then scan."))
            return
        elif has_code(typed):
            self.ask(_("Is it the checkout?"), about=_("That looks like a payment code."))
            self._doubt = typed
            return
        else:
            check_value("checkout_id", typed, _("The checkout"))
            else_ = what_else(typed)
            if else_ is not None and len(typed) not in self._goods_lengths:
                about = _(_WHAT_ELSE[else_]).format(typed=typed)
                self.ask(_("Is it the checkout?"), about=about)
                self._doubt = typed
                return
        yield Keep(typed)
        self._checkout_id, self.prompt = typed, _CODE
        yield Chosen(self._fee, typed)

    def _answer(self, typed: str) -> Iterator[Wish]:
        word = half_width(typed).lower()
        yes = word in _YES
        if self.asks is Asks.INSIST and not yes and word not in _NO:
            yield Note(_("Type y or n. Esc leaves everything as it is."))
            return
        doubt, no_code = self._doubt, self._no_code
        self._doubt = self._no_code = ""
        yield Keep(typed)
        if no_code:
            self.prompt = _CODE
            if yes:
                yield Keep(mask(no_code))
                yield from self._sell(no_code)
        elif not doubt:
            yield Answer(yes)
        elif yes:
            if what_else(doubt) is Scan.GOODS:  # a shop's numbers are alike: asked once
                self._goods_lengths.add(len(doubt))
            self._checkout_id, self.prompt = doubt, _CODE
            yield Chosen(self._fee, doubt)
        else:
            self.prompt = Prompt.CHECKOUT

    def _words(self, typed: str) -> Iterator[Wish]:
        if has_code(typed):
            yield Note(sentences(_("That was a code."), self._if_empty))
        elif typed:
            yield Keep(typed)
            yield Words(typed)
        else:
            yield Note(self._if_empty)

    def _code(self, typed: str) -> Iterator[Wish]:
        if not typed:
            yield Note(_("Scan the customer's payment code. Esc: another customer."))
            return
        typed = unframed(typed)
        command = re.fullmatch(_COMMAND, half_width(typed).lower())
        if command and COMMANDS.get(command[1], command[1]) in COMMANDS.values():
            words = _("{typed} is a command, not a payment code. Esc first, then {typed}.")
            yield Note(words.format(typed=typed))
            return
        by_hand = not self._was_scanned(typed)
        if by_hand and re.fullmatch(r"[0-9]{1,7}(?:[.,][0-9]{0,2})?", half_width(typed)):
            yield Note(_("What was typed: this is not a payment code. To change the amount: Esc."))
            return
        limits = Limits(self._profile.max_fee, self._profile.allow_card_numbers)
        where = _("What was typed") if by_hand else _("The scan")
        if check_scanned(typed, self._checkout_id, where, limits) is not Scan.CODE:
            self.ask(_("Send it all the same?"), about=not_known(typed))
            self._no_code = typed
            return
        yield Keep(mask(typed))
        yield from self._sell(typed)

    def _sell(self, code: str) -> Iterator[Wish]:
        yield Sale(self._fee, self._checkout_id, code)
        if self.prompt is Prompt.WATCH:
            self._sent_code = code


ANOTHER_PHONE = N_("Another phone? The customer cancels the first payment there; then wait.")
_YES = frozenset({"y", "yes", "是", "是的", "好"})
_NO = frozenset({"n", "no", "否", "不", "不是"})
_REFUND = frozenset({"退款", "退钱", "退货", "refund"})
_COMMAND = r"([a-z]+|[?+]) ?([0-9]{0,3})"
_WHAT_ELSE = {
    Scan.LINK: N_("That looks like a web address."),
    Scan.GOODS: N_("{typed} looks like an article's barcode."),
    Scan.AMOUNT: N_("{typed} looks like an amount."),
    Scan.WORDS: N_("{typed} is in words, not in digits or letters."),
}
_BLANKS = "\u3000\xa0"  # an input method's, and a copied page's: `5 30` is no 530 with them
_NUMBERED = frozenset("rcs+p")  # commands that take the number of something
_ENDS = "\r\n\t" + ETX
# What one scanner sends behind another end is the same end: a second Enter would answer the next
# question.
_SAME_END = {"\r": "\n", "\n": "\r", "\t": "\r\n", ETX: "\r\n\t"}
_CODE = Prompt.CODE
