"""The payment that is asked for: API names, one validator for flags, file and profile.

`FIELDS` holds the 17 members of `pay_request` as the API page lists them. Values arrive as text
(flags, profile) or as JSON values (file) and leave as a `PayRequest`, ready for the wire.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from posctl.errors import UsageError
from posctl.messages import N_, _
from posctl.money.codes import (
    CODE_FIELDS,
    WALLET_CODE,
    compact,
    is_wallet_code,
    mask,
    masked,
    passes_luhn,
)
from posctl.money.scan import Scan, what_is
from posctl.text import nearest

MAX_NUMBER = (1 << 63) - 1  # a Number is a 64-bit integer (protocol, section 4)
MAX_FILE_BYTES = 1 << 20
MAX_IDENTIFIER = 128
MAX_ATTRIBUTES = 1024

Kind = Literal["identifier", "number", "shop", "fee", "request_id", "code", "free"]


class Field(NamedTuple):
    """One member of pay_request: what it may hold, and the flag that sets it."""

    kind: Kind
    flag: str
    required: bool = True


FIELDS = {
    "operator_id": Field("identifier", "--operator"),
    "request_id": Field("request_id", "--request-id", required=False),
    "machine_id": Field("identifier", "--machine"),
    "pay_code_source": Field("identifier", "--code-source", required=False),
    "buyer_id": Field("number", "--buyer"),
    "pay_channel": Field("identifier", "--channel"),
    "source": Field("identifier", "--source"),
    "pay_fee": Field("fee", "--fee"),
    "shop_id": Field("shop", "--shop"),
    "payment_channel": Field("number", "--payment-channel"),
    "payer_id": Field("number", "--payer"),
    "alipay_account": Field("code", "--alipay-account", required=False),
    "checkout_id": Field("identifier", "--checkout"),
    "channel_account": Field("code", "--scan", required=False),
    "merchant_code": Field("identifier", "--merchant"),
    "order_id": Field("identifier", "--order"),
    "attributes": Field("free", "--attributes", required=False),
}
OF_EACH_PAYMENT = ("pay_fee", "checkout_id", "order_id")  # no profile can know them
WHEN_ABSENT = {"payer_id": "3", "pay_channel": "alipay_facepay_v2", "payment_channel": "1006"}


class PayRequest(NamedTuple):
    """A checked payment. `members` are the wire's own names and JSON values, without nulls.

    Its repr shows no payment code.
    """

    members: Mapping[str, str | int]

    @property
    def shop_id(self) -> str:
        return str(self.members["shop_id"])

    @property
    def checkout_id(self) -> str:
        return str(self.members["checkout_id"])

    @property
    def request_id(self) -> str | None:
        """The id that was asked for; None when posctl is to make one."""
        given = self.members.get("request_id")
        return None if given is None else str(given)

    @property
    def pay_fee(self) -> int:
        """Fen."""
        return int(self.members["pay_fee"])

    @property
    def codes(self) -> tuple[str, ...]:
        """The payment codes in it, which no screen and no record of a closed payment shows."""
        return tuple(str(self.members[name]) for name in CODE_FIELDS if name in self.members)

    def wire(self, request_id: str) -> str:
        """The `pay_request` form value: these very bytes are signed, sent and recorded."""
        named = {**self.members, "request_id": request_id}
        return compact({name: named[name] for name in FIELDS if name in named})

    def __repr__(self) -> str:
        return f"PayRequest({masked(self.wire(self.request_id or '…'))})"


def intent(wire: str) -> dict[str, Any]:
    """What makes two payments "the same": every member but the id and the payment codes."""
    members: dict[str, Any] = json.loads(wire)
    return {k: v for k, v in members.items() if k not in ("request_id", *CODE_FIELDS)}


# ── checking ─────────────────────────────────────────────────────────────────────────────────


class Limits(NamedTuple):
    """What a profile allows: fees up to `max_fee` fen, card numbers where a code belongs."""

    max_fee: int
    allow_card_numbers: bool = False


WIDEST = Limits(MAX_NUMBER, allow_card_numbers=True)


def check(
    flags: Mapping[str, str],
    file: Mapping[str, Any],
    defaults: Mapping[str, str],
    limits: Limits,
) -> PayRequest:
    """One payment from three sources; flags win over the file, the file over the profile.

    `flags` and `defaults` hold text by API name, `file` what `read_file` gave. Every value given
    is checked, also one that another source overrides: a typo must not wait for its day.
    Raises UsageError naming the field, where it stands, and what is allowed.
    """
    members: dict[str, str | int] = {}
    for name, text in (WHEN_ABSENT | dict(defaults)).items():
        where = _("{name} in the profile's defaults").format(name=name)
        members[name] = _value(name, text, where, limits)
    members |= check_given(flags, file, limits)
    if "checkout_id" in members:
        members.setdefault("order_id", members["checkout_id"])
    if missing := _missing(members):
        raise _is_missing(missing)
    code = str(members.get("channel_account", ""))
    if is_wallet_code(code) and code == members["checkout_id"]:  # it would be in every list
        raise _no_code("channel_account", _NO_CODES[Scan.NUMBER], _("The payment code"))
    return PayRequest({name: members[name] for name in FIELDS if name in members})


def check_given(
    flags: Mapping[str, str], file: Mapping[str, Any], limits: Limits = WIDEST
) -> dict[str, str | int]:
    """What flags and file give, without a profile: by its `limits`, or as far as none is needed.
    Raises UsageError as `check` does.
    """
    members: dict[str, str | int] = {}
    for name, given in file.items():
        where = _("{name} in the file").format(name=name)
        members[name] = _value(name, _as_text(name, given, where), where, limits)
    for name, text in flags.items():
        # A code comes with --scan, --code-stdin or --code.
        where = _("The payment code") if name == "channel_account" else FIELDS[name].flag
        members[name] = _value(name, text, where, limits)
    return members


def not_in(defaults: Mapping[str, str]) -> list[str]:
    """The members that `defaults` could give to every payment, and do not."""
    return [n for n in _missing(WHEN_ABSENT | dict(defaults)) if n not in OF_EACH_PAYMENT]


def _missing(members: Mapping[str, str | int]) -> list[str]:
    return [name for name, field in FIELDS.items() if field.required and name not in members]


def _is_missing(names: list[str]) -> UsageError:
    if "checkout_id" in names:  # order_id is the same when it is left out
        names = [name for name in names if name != "order_id"]
    flags = ", ".join(FIELDS[name].flag for name in names)
    if len(names) > 1:
        message = _("Missing: {names}.").format(names=", ".join(names))
    else:
        message = _("{name} is missing.").format(name=names[0])
    if set(names).isdisjoint(OF_EACH_PAYMENT):
        hint = _("Give it with {flag}, in the JSON file, or in the profile's defaults.")
    else:
        hint = _("Give it with {flag} or in the JSON file.")
    return UsageError("missing_" + names[0], message, hint.format(flag=flags))


def check_value(
    name: str,
    text: str,
    where: str,
    *,
    allow_card_numbers: bool = False,
    max_fee: int = MAX_NUMBER,
) -> str | int:
    """One value for the member `name`, as it goes on the wire. Raises UsageError."""
    return _value(name, text, where, Limits(max_fee, allow_card_numbers))


def _value(name: str, text: str, where: str, limits: Limits) -> str | int:
    kind = FIELDS[name].kind
    if kind == "fee":
        return _fee(text, where, limits.max_fee)
    if kind in ("number", "shop"):
        if not re.fullmatch(r"0|[1-9][0-9]{0,18}", text) or int(text) > MAX_NUMBER:
            raise _bad(name, where, _("It is a whole number in plain digits, as in 1."))
        return text if kind == "shop" else int(text)
    if kind == "request_id":
        return request_id(text, where)
    if kind == "free":
        return _visible(name, text, where, range(MAX_ATTRIBUTES + 1), spaces=True)
    text = _visible(name, text, where, range(1, MAX_IDENTIFIER + 1))
    if kind == "code":
        _refuse_wrong_scan(name, text, where, limits)
    return text


def _fee(text: str, where: str, max_fee: int) -> int:
    # As raw ASCII text: int() would take 1_000, +5, " 5" and full-width digits.
    if not re.fullmatch(r"[1-9][0-9]{0,11}", text):
        words = _("It is a whole number of fen in plain digits, at least 1: 100 is ￥1.00.")
        if as_yuan := re.fullmatch(r"(?=.*[1-9])([0-9]{1,9})\.([0-9]{1,2})", text):
            fen = int(as_yuan[1]) * 100 + int(as_yuan[2].ljust(2, "0"))
            words = _(
                "It is a whole number of fen in plain digits: 100 is ￥1.00, and ￥{yuan} is {fen}."
            ).format(yuan=text, fen=fen)
        raise _bad("pay_fee", where, words)
    fee = int(text)
    if fee > max_fee:
        raise UsageError(
            "pay_fee_over_max",
            _("{where}: {fee} fen (￥{yuan}) is more than this profile allows.").format(
                where=where, fee=fee, yuan=yuan(fee)
            ),
            _("The limit is max_fee: {max_fee} fen (￥{yuan}). Was the amount typed twice?").format(
                max_fee=max_fee, yuan=yuan(max_fee)
            ),
        )
    return fee


def yuan(fen: int) -> str:
    """Fen as yuan, without the sign: 100 is "1.00"."""
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def grouped(fen: int) -> str:
    """As `yuan`, for people: 123450 is "1,234.50"."""
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100:,}.{abs(fen) % 100:02d}"


# Patterns are compiled where they are first used: most runs need none of them.
_UUID = (
    r"(?ia)(?:urn:uuid:)?\{?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?"
    r"([0-9a-f]{12})\}?"
)


def request_id(text: str, where: str) -> str:
    """A request_id in its one spelling. Raises UsageError.

    A UUID in braces, as URN, in capitals or without hyphens is one and the same id.
    """
    if uuid := re.fullmatch(_UUID, text):
        canonical = "-".join(uuid.groups()).lower()
        if canonical.strip("0-"):
            return canonical
    elif re.fullmatch(r"[A-Za-z0-9._-]{8,64}", text):
        return text
    raise _bad(
        "request_id",
        where,
        _("It is a UUID, or 8 to 64 of A-Z a-z 0-9 . _ -; leave it out for a new one."),
    )


def _visible(name: str, text: str, where: str, length: range, *, spaces: bool = False) -> str:
    if len(text) not in length:
        raise _bad(
            name,
            where,
            _("It is {least} to {most} characters long.").format(
                least=length.start, most=length.stop - 1
            ),
        )
    if not text.isascii() or not text.isprintable() or " " in text:
        for character in text:
            if re.match("[０-９Ａ-Ｚａ-ｚ]", character) and not spaces:
                raise _bad(
                    name, where, _("It has full-width letters or digits: switch the input method.")
                )
            if not _is_visible(character) and not (spaces and character == " "):
                raise _bad(
                    name,
                    where,
                    _("It may hold only visible characters; U+{code:04X} is none.").format(
                        code=ord(character)
                    ),
                )
    return text


# Letters and marks by category, and yet nobody sees them: fillers, joiners, variation selectors.
_INVISIBLE = frozenset(
    "\ufffd"  # what could not be read as text: all such ids would be one
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
) | {chr(c) for c in (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))}


def _is_visible(character: str) -> bool:
    if character.isascii():
        return "!" <= character <= "~"
    import unicodedata

    # C*: control, format (bidi, zero-width), surrogates, unassigned. Z*: spaces of any kind.
    return unicodedata.category(character)[0] not in "CZ" and character not in _INVISIBLE


def _bad(name: str, where: str, allowed: str) -> UsageError:
    return UsageError(
        f"bad_{name}", _("{where} cannot be used. {allowed}").format(where=where, allowed=allowed)
    )


# What was read for certain, and is no payment code.
_NO_CODES = {
    Scan.GOODS: N_("this is not a payment code but the barcode of an article."),
    Scan.LINK: N_("this is not a payment code but a web address."),
    Scan.NUMBER: N_("this is not a payment code but the number of a checkout."),
    Scan.SEVERAL: N_("more than one code came in, or something around it."),
}
_TOO_SHORT = N_("this is not a payment code: it is too short.")

_CARD_NUMBER = r"(?:3|4|5|6|2[2-7])[0-9]{12,18}"


def _refuse_wrong_scan(name: str, code: str, where: str, limits: Limits) -> None:
    """What a reader at the till types by itself and what is no payment code."""
    if not code.isascii() and re.search(r"[\uff01-\uff5e]|(?![0-9])\d", code):
        raise UsageError(
            f"bad_{name}",
            _("{where}: the code came in full-width characters.").format(where=where),
            _("Switch the input method off, then scan it once more."),
        )
    half = len(code) // 2
    if len(code) >= 32 and code[:half] * 2 == code:
        raise UsageError(
            f"bad_{name}",
            _("{where}: the code was scanned twice.").format(where=where),
            _("Scan it once more."),
        )
    if re.match(r"%B?[0-9]|;[0-9]{12}", code) or ("=" in code[12:21] and code[:12].isdigit()):
        raise UsageError(
            f"bad_{name}",
            _("{where}: this is a card's magnetic track, which posctl never takes.").format(
                where=where
            ),
            _("Scan the customer's payment code."),
        )
    found = what_is(code)
    if found in _NO_CODES:
        raise _no_code(name, _NO_CODES[found], where)
    if (
        not limits.allow_card_numbers
        and re.fullmatch(_CARD_NUMBER, code)
        and not re.fullmatch(WALLET_CODE, code)
        and passes_luhn(code)
    ):
        raise UsageError(
            f"bad_{name}",
            _("{where}: this looks like a card number.").format(where=where),
            _("Scan the customer's payment code; a profile may allow cards (allow_card_numbers)."),
        )


def _no_code(name: str, what: str, where: str) -> UsageError:
    words = _("{where}: {what}").format(where=where, what=_(what))
    return UsageError(f"bad_{name}", words, _("Scan the customer's payment code."))


def check_scanned(code: str, checkout_id: str, where: str, limits: Limits) -> Scan:
    """What was scanned for this checkout: a person has to know whether it is a payment code, unless
    it is CODE. Raises UsageError for what is none.

    A scanner reads whatever is held before it. What a program gives as `channel_account` is meant,
    also where it is short or unknown here.
    """
    found = what_is(code, allow_card_numbers=limits.allow_card_numbers)
    if code == checkout_id:
        raise _no_code("channel_account", _NO_CODES[Scan.NUMBER], where)
    if found is Scan.SHORT:
        raise _no_code("channel_account", _TOO_SHORT, where)
    _value("channel_account", code, where, limits)
    return found


def not_known(code: str) -> str:
    """What is said of a code that is none for sure."""
    return _("{code} does not look like a payment code.").format(code=mask(code))


# ── the JSON file ────────────────────────────────────────────────────────────────────────────


def read_file(raw: bytes, name: str, also: str = "") -> dict[str, Any]:
    """The members of a JSON request file, flat, by API name; nulls are left out. `also` is one
    that may stand there besides those of the API.

    `raw` is at most MAX_FILE_BYTES + 1 bytes of the file called `name`. Either
    `{"shop_id":…,"pay_request":{…}}` or the flat object. Raises UsageError.
    """
    members = _flat(_object(raw, name), name)
    for member in members:
        if member not in (*FIELDS, also):
            raise _unknown_member(name, member)
    return {k: v for k, v in members.items() if v is not None}


def _object(raw: bytes, name: str) -> dict[str, Any]:
    if len(raw) > MAX_FILE_BYTES:
        raise _bad_file(name, _("it is larger than 1 MiB"))
    if raw.startswith(b"\xef\xbb\xbf") or b"\x00" in raw[:4]:
        raise _bad_file(name, _("save it as UTF-8 without a byte order mark"))
    try:
        tree = json.loads(
            raw.decode(), object_pairs_hook=_unique, parse_constant=_constant, parse_int=_integer
        )
    except UnicodeDecodeError:
        raise _bad_file(name, _("it is not UTF-8 text")) from None
    except RecursionError:
        raise _bad_file(name, _("it is nested too deeply")) from None
    except json.JSONDecodeError as error:
        # The position, never the text: it may hold a payment code.
        where = _("it is not JSON at line {line}, column {column}")
        raise _bad_file(name, where.format(line=error.lineno, column=error.colno)) from None
    except ValueError as error:
        raise _bad_file(name, str(error)) from None
    if not isinstance(tree, dict):
        raise _bad_file(name, _("it must hold one object, {…}"))
    return tree


def _flat(tree: dict[str, Any], name: str) -> dict[str, Any]:
    if "pay_request" not in tree:
        return tree
    inner = tree["pay_request"]
    if not isinstance(inner, dict) or set(tree) - {"pay_request", "shop_id"}:
        raise _bad_file(name, _('next to "pay_request" only "shop_id" is allowed'))
    shops = [shop for shop in (tree.get("shop_id"), inner.get("shop_id")) if shop is not None]
    if len({str(shop) for shop in shops}) > 1:
        raise _bad_file(name, _("its two shop_id differ"))
    return {**inner, "shop_id": shops[0]} if shops else inner


def _as_text(name: str, value: object, where: str) -> str:
    """A JSON value of the type the API page gives, as text; shop_id is both there."""
    kind = FIELDS[name].kind
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if kind in ("number", "fee"):
        if not is_number:
            raise _bad(name, where, _("It is a JSON number without quotes, as in 100."))
    elif not isinstance(value, str) and not (kind == "shop" and is_number):
        raise _bad(name, where, _('It is JSON text in quotes, as in "111".'))
    return str(value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _value in pairs]
        twice = next(n for n in names if names.count(n) > 1)
        raise ValueError(_("{name} is given twice").format(name=_shown(twice)))
    return members


def _constant(word: str) -> None:
    raise ValueError(_("{word} is not JSON").format(word=word))


def _integer(digits: str) -> int:
    if len(digits) > 20:  # one more than any 64-bit number has; int() gives up only at 4,300
        raise ValueError(_("a number in it is too long"))
    return int(digits)


def _bad_file(name: str, why: str) -> UsageError:
    return UsageError("bad_file", _("{name} cannot be used: {why}.").format(name=name, why=why))


def _unknown_member(file_name: str, member: str) -> UsageError:
    near = nearest(member, FIELDS)
    hint = _("Did you mean {name}?").format(name=near) if near else ""
    return UsageError(
        "unknown_member",
        _("{file}: the API knows no {member}.").format(file=file_name, member=_shown(member)),
        code_hint() if seems_code(member) else hint,
    )


def seems_code(member: str) -> bool:
    """Whether somebody means the payment code by a name that the API does not know."""
    return re.fullmatch("(?!.*(merchant|source)).*code.*", member.lower()) is not None


def code_hint() -> str:
    """What somebody needs who looks for the payment code by another name."""
    return _("The payment code is called channel_account.")


def _shown(name: str) -> str:
    """A member's name as an error may show it: a secret or a code out of place is not repeated."""
    return ascii(name) if re.fullmatch(r"[A-Za-z_]{1,24}", name) else ascii(name[:6]) + "…"
