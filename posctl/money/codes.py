"""Payment codes: what looks like one, how it is masked, and cut out of texts. Pure."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

CODE_FIELDS = ("channel_account", "alipay_account")


def mask(code: str) -> str:
    """At most the first six and the last four of a payment code; of a short one, less."""
    if len(code) >= 16:
        return f"{code[:6]}******{code[-4:]}"
    if len(code) >= 10:
        return f"{code[:2]}******{code[-2:]}"
    return "******"


def discreet(word: str) -> str:
    """`word` as an error may repeat it: a scanner types wherever the cursor is, so digits enough
    for a payment code are masked.
    """
    return re.sub(r"[0-9]{10,}", lambda digits: mask(digits.group()), word)


def masked(wire: str) -> str:
    """`wire` with its payment codes masked."""
    if not _may_hold_codes(wire):
        return wire
    members = json.loads(wire)
    return compact({k: mask(v) if k in CODE_FIELDS else v for k, v in members.items()})


def codes_of(wire: str) -> tuple[str, ...]:
    """The whole payment codes in a recorded payload, so that they can be cut out of answers."""
    if not _may_hold_codes(wire):
        return ()
    members = json.loads(wire)
    return tuple(str(members[name]) for name in CODE_FIELDS if name in members)


def _may_hold_codes(wire: str) -> bool:
    """False for sure when no member's name is a code's: then nothing needs to be parsed."""
    return any(name in wire for name in CODE_FIELDS)


def has_one_time_code(wire: str) -> bool:
    """Whether a recorded payload holds a wallet's code, which lives a minute and works once.

    An account or a card number pays as often as it is sent.
    """
    return one_time_code(json.loads(wire)) is not None


def one_time_code(members: Mapping[str, object]) -> str | None:
    """The wallet's code among the members of a pay_request, if there is one."""
    code = str(members.get("channel_account", ""))
    return code if re.fullmatch(WALLET_CODE, code) else None


def on_training_sheet(code: str) -> bool:
    """Whether `code` is one of the training gateway's, which cashiers scan again and again."""
    return re.fullmatch(r"28000000000000[0-9]{4}", code) is not None


def wallet_codes_in(text: str) -> frozenset[str]:
    """What looks like a wallet's code in a text, whoever's it is."""
    return frozenset(re.findall(rf"(?<![0-9])(?:{WALLET_CODE})(?![0-9])", text))


def codes_typed(words: Iterable[str]) -> tuple[str, ...]:
    """What looks like payment codes in a command line: one alone, or several scanned one behind
    another, also behind what a scanner puts before one.
    """
    runs = (run for word in words for run in re.findall(r"(?:\][A-Za-z][0-9])?([0-9]+)", word))
    return tuple(dict.fromkeys(run for run in runs if re.match(WALLET_CODE, run)))


def without_codes(text: str, codes: tuple[str, ...]) -> str:
    """`text` with every whole payment code masked. Codes under 6 characters are no secret and
    would eat ids that happen to contain them.
    """
    for code in codes:
        if len(code) >= 6:
            for spelled in {code, json.dumps(code)[1:-1], code.replace("/", "\\/")}:
                text = text.replace(spelled, mask(code))
            # A text that was cut to a length may end in most of a code.
            ends = (n for n in range(len(code) - 1, 6, -1) if text.endswith(code[:n]))
            text = text[: -next(ends, 0) or None]
    return text


def compact(members: Mapping[str, Any]) -> str:
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"))


# Codes of wallets (protocol, section 7): their digits may pass Luhn's check by chance.
WALLET_CODE = r"(?:2[5-9]|30)[0-9]{14,22}|1[0-5][0-9]{16}|62[0-9]{17}"


def is_wallet_code(text: str) -> bool:
    """Whether `text` looks like the payment code of a wallet, whole."""
    return re.fullmatch(WALLET_CODE, text) is not None


def passes_luhn(digits: str) -> bool:
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0
