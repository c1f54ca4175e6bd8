"""What a scanner types around and instead of a payment code. Pure.

A scanner is set up by scanning sheets of paper, so each shop's differs: it may put STX and ETX
around what it read, an AIM identifier (`]C1`, `]Q3`, …) before it, and CR, LF, Tab, blanks or
nothing behind it; two quick scans may arrive as one. Whatever is not sure to be a payment code is
never sent as one by itself.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from posctl.money.codes import WALLET_CODE, is_wallet_code, passes_luhn

STX, ETX = "\x02", "\x03"
SHORTEST_CODE = 16  # characters
_LONGEST = 24  # digits of one code

_AROUND = r"[\s\x00-\x20\x7f\ufeff]+"
_AIM = r"\][A-Za-z][0-9A-Za-z](?=[^\s])"
_LINK = r"(?i)[a-z][a-z0-9+.-]*://|www\.|[a-z0-9-]+(?:\.[a-z0-9-]+)+/"
_ACCOUNT = r"[!-~]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}"
# With O for 0 and l for 1, as they are mistyped.
_MONEY = r"[￥¥]?[0-9OolI]*[0-9][0-9OolI]*[.,。，][0-9OolI]{1,2}元?|[￥¥][0-9]+|[0-9]+元"
# As posctl's own tills number them: till, date, time, and what tells machines apart.
_OWN_NUMBER = r".+-[0-9]{8}-[0-9]{6}(?:-[0-9a-z]+)*"


class Scan(Enum):
    """What was scanned, or typed, where a payment code belongs."""

    CODE = auto()  # a wallet's
    SEVERAL = auto()  # more than one, or one with something around it
    GOODS = auto()  # the barcode of an article
    LINK = auto()  # a web address
    NUMBER = auto()  # a checkout's, as posctl's own tills number them
    ACCOUNT = auto()  # a customer's, which is an e-mail address: no scanner's, a program's perhaps
    AMOUNT = auto()  # money, where a checkout's number belongs
    WORDS = auto()  # no digit and no letter, where a checkout's number belongs
    SHORT = auto()  # too short for a code
    OTHER = auto()  # a person has to know


def unframed(text: str) -> str:
    """`text` without what a scanner puts around what it read."""
    text = re.sub(f"^{_AROUND}|{_AROUND}$", "", text)
    return re.sub(f"^{_AROUND}", "", re.sub(f"^{_AIM}", "", text))


def pieces(text: str) -> list[str]:
    """The scans in `text`, each without its frame."""
    return [one for part in re.split(r"[\r\n\t\x02\x03]+", text) if (one := unframed(part))]


def what_is(text: str, *, allow_card_numbers: bool = False) -> Scan:
    """What `text`, without its frame, is."""
    if is_wallet_code(text):
        return Scan.CODE
    if re.match(_LINK, text):
        return Scan.LINK
    if _is_goods(text):
        return Scan.GOODS
    if is_several(text):
        return Scan.SEVERAL
    if allow_card_numbers and re.fullmatch(r"[0-9]{13,19}", text) and passes_luhn(text):
        return Scan.CODE
    if re.fullmatch(_OWN_NUMBER, text):
        return Scan.NUMBER
    if re.fullmatch(_ACCOUNT, text):
        return Scan.ACCOUNT
    return Scan.SHORT if len(text) < SHORTEST_CODE else Scan.OTHER


def what_else(checkout_id: str) -> Scan | None:
    """What a checkout's number, as typed or scanned, looks like instead; None when like one. It may
    be one all the same: a person has to know.
    """
    if re.match(_LINK, checkout_id):
        return Scan.LINK
    if _is_goods(checkout_id):
        return Scan.GOODS
    if re.fullmatch(_MONEY, checkout_id):
        return Scan.AMOUNT
    return None if re.search("[0-9A-Za-z]", checkout_id) else Scan.WORDS


def is_several(text: str) -> bool:
    """Whether more than one scan stands in `text`, or a wallet's code with something around it."""
    runs = re.findall(r"[0-9]+", text)
    if runs == [text]:  # digits alone: some wallets' codes are not known here, up to 24 digits
        return len(text) > _LONGEST and holds_code(text)
    return any(holds_code(run) for run in runs)


def holds_code(digits: str) -> bool:
    """Whether a wallet's code stands in a run of digits: alone, behind a digit of something else,
    or as one of several. Not further inside: an order's number begins with a date.
    """
    several = len(digits) > _LONGEST
    starts = range(len(digits)) if several else (0, 1)
    return any(re.match(WALLET_CODE, digits[n:]) for n in starts)


def has_code(text: str) -> bool:
    """Whether a payment code stands in `text`, whatever else was typed before it."""
    return any(holds_code(digits) for digits in re.findall("[0-9]+", unframed(text)))


def _is_goods(text: str) -> bool:
    """An article's number: EAN-8, UPC-A, EAN-13 or GTIN-14, with its check digit."""
    if not re.fullmatch(r"[0-9]{8}|[0-9]{12,14}", text):
        return False
    weighted = [int(digit) * (3 if n % 2 else 1) for n, digit in enumerate(reversed(text))]
    return sum(weighted) % 10 == 0


# ── what an input method types ───────────────────────────────────────────────────────────────


def half_width(text: str) -> str:
    """`text` as it would be without a Chinese input method: its full-width signs made plain."""
    plain = {c: chr(c - 0xFEE0) for c in range(0xFF01, 0xFF5F)}
    return text.translate(plain | {0x3000: " ", ord("。"): ".", ord("、"): ","})


def plain_id(text: str) -> str:
    """An identifier as it would be without an input method: full-width letters, digits and hyphens
    made plain, nothing else.
    """
    return re.sub(r"[\uff0d\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]+", _made_plain, text)


def _made_plain(found: re.Match[str]) -> str:
    return half_width(found[0])


def plain_amount(text: str) -> str:
    """An amount as digits and a point, however it was typed: full-width, with `。` or a comma for
    the point, with ￥ before it or 元 behind it. What is no amount stays none; two numbers are not
    one.
    """
    text = re.sub(r"(?<![0-9.,])\s+|\s+(?![0-9.,])", "", half_width(text))
    text = re.sub(r"^(?:[￥¥]|CNY|RMB)|(?:元|块|圆)(?:整)?$", "", text, flags=re.IGNORECASE)
    whole, point, cents = text.partition("." if "." in text else ",")
    return f"{whole or '0'}.{cents}" if point and cents else text
