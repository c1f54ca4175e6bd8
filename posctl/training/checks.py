"""What TOP checks before the business sees a call, with TOP's own codes (protocol, sections 2–6).

Written from the API page and the protocol, not from posctl's own signing and validating: what both
agree on is then right twice.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from posctl.training.answers import Refusal

Kind = Literal["String", "Number"]

_MAX_NUMBER = (1 << 63) - 1
_MAX_FEE = 10**15  # fen; sums of it stay within 64 bits
_TIMESTAMP = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2}) ([0-9]{2}):([0-9]{2}):([0-9]{2})")
_EPOCH_MS = re.compile(r"[0-9]{1,15}")
_TOLERANCE_S = 600
_GMT8_S = 8 * 3600


@dataclass(frozen=True, slots=True)
class Method:
    """A method's one object parameter, and its members as the API page lists them."""

    request: str
    required: Mapping[str, Kind]
    optional: Mapping[str, Kind]


PAY = "alibaba.pos.order.pay"
ACTION_QUERY = "alibaba.pos.pay.action.query"
STATUS_QUERY = "alibaba.pos.paystatus.query"
METHODS = {
    PAY: Method(
        "pay_request",
        required={
            "operator_id": "String",
            "request_id": "String",
            "machine_id": "String",
            "buyer_id": "Number",
            "pay_channel": "String",
            "source": "String",
            "pay_fee": "Number",
            "shop_id": "String",
            "payment_channel": "Number",
            "payer_id": "Number",
            "checkout_id": "String",
            "merchant_code": "String",
            "order_id": "String",
        },
        optional={
            "pay_code_source": "String",
            "alipay_account": "String",
            "channel_account": "String",
            "attributes": "String",
        },
    ),
    ACTION_QUERY: Method(
        "payment_action_request", {"request_id": "String", "buyer_id": "Number"}, {}
    ),
    STATUS_QUERY: Method("pay_status_request", {"checkout_id": "String", "buyer_id": "Number"}, {}),
}
_SIGN = re.compile(r"[0-9A-F]{24}")  # most of one


def bad_signature(why: str) -> Refusal:
    """Code 25, for whatever was not signed as it arrived."""
    return Refusal(25, "Invalid signature", "isv.invalid-signature", why)


def check_signature(params: Mapping[str, str], secret: str) -> None:
    """The first check, so that no byte can change on the way and be answered as anything else.

    Raises Refusal: 25, or 24 when there is no signature in it at all. One that stands under
    another name, or inside another value, got there on the way. Blank values are refused: SDKs
    disagree on whether they are signed, and `format&json` signs like `format=json`.
    """
    given = params.get("sign")
    if given is None and not any(_SIGN.search(text) for pair in params.items() for text in pair):
        raise Refusal(24, "Missing signature", "isv.missing-signature")
    if not all(params.values()):
        raise bad_signature("a parameter has a blank value; leave it out")
    expected = _signature(params, secret)
    if given is None or expected is None or not hmac.compare_digest(given.encode(), expected):
        raise bad_signature("sign is not what the secret and these parameters give")


def _signature(params: Mapping[str, str], secret: str) -> bytes | None:
    """Section 3; None for a sign_method that TOP does not know."""
    pairs = sorted((n.encode(), v.encode()) for n, v in params.items() if n != "sign")
    text = b"".join(name + value for name, value in pairs)
    key = secret.encode()
    match params.get("sign_method"):
        case "md5":
            digest = hashlib.md5(key + text + key).digest()  # noqa: S324  the protocol's own
        case "hmac":
            digest = hmac.digest(key, text, "md5")
        case "hmac-sha256":
            digest = hmac.digest(key, text, "sha256")
        case _:
            return None
    return digest.hex().upper().encode()


def check_common(params: Mapping[str, str], app_key: str, now_s: float) -> tuple[str, Method]:
    """The common parameters, in TOP's order; the method they name. Raises Refusal."""
    name = _given(params, "method", 21, "Missing method")
    if name not in METHODS:
        raise Refusal(22, "Invalid method", "isv.invalid-method", "alibaba.pos payments only")
    if params.get("format", "xml") not in ("xml", "json"):
        raise Refusal(23, "Invalid format", "isv.invalid-format", "format is json or xml")
    if _given(params, "app_key", 28, "Missing app Key") != app_key:
        raise Refusal(29, "Invalid app Key", "isv.appkey-not-exists", f"it is {app_key} here")
    sent_s = _epoch_s(_given(params, "timestamp", 30, "Missing timestamp"))
    if sent_s is None or abs(now_s - sent_s) > _TOLERANCE_S:
        why = "GMT+8, and at most 10 minutes off"
        raise Refusal(31, "Invalid timestamp", "isv.invalid-timestamp", why)
    if _given(params, "v", 32, "Missing version") != "2.0":
        raise Refusal(33, "Invalid version", "isv.invalid-version", "v is 2.0")
    return name, METHODS[name]


def _given(params: Mapping[str, str], name: str, code: int, msg: str) -> str:
    if not params.get(name):
        raise Refusal(code, msg, f"isv.missing-{name.replace('_', '-')}")
    return params[name]


def _epoch_s(text: str) -> float | None:
    """A `timestamp` in either spelling (section 2), in seconds since the epoch; else None."""
    if _EPOCH_MS.fullmatch(text):  # the official Python SDK's
        return int(text) / 1000
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    from datetime import UTC, datetime

    year, month, day, hour, minute, second = map(int, match.groups())
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:  # the 30th of February
        return None
    return moment.timestamp() - _GMT8_S


def check_business(params: Mapping[str, str], method: Method) -> dict[str, Any]:
    """The members of the method's object, `shop_id` always text among them. Raises Refusal."""
    for name in ("shop_id", method.request):
        if not params.get(name):
            raise _missing(name)
    shop_id = params["shop_id"]
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", shop_id) or int(shop_id) > _MAX_NUMBER:
        raise _invalid("shop_id")
    members = _object(params[method.request], method.request)
    for name in method.required:
        if members.get(name) in (None, ""):
            raise _missing(name)
    for name, kind in (*method.required.items(), *method.optional.items()):
        if members.get(name) is not None and not _fits(name, members[name], kind):
            raise _invalid(name)
    if members.get("shop_id", shop_id) != shop_id:
        names = f"shop_id-and-{method.request}.shop_id"
        raise Refusal(15, "Remote service error", f"isv.parameters-mismatch:{names}")
    return members | {"shop_id": shop_id}


def _object(text: str, name: str) -> dict[str, Any]:
    try:
        found = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise _invalid(name) from None
    if not isinstance(found, dict):
        raise _invalid(name)
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members


def _refuse(word: str) -> None:
    raise ValueError(word)


def _fits(name: str, value: object, kind: Kind) -> bool:
    if kind == "String":
        return isinstance(value, str) and (name == "attributes" or value.isprintable())
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _MAX_NUMBER:
        return False
    return name != "pay_fee" or 1 <= value <= _MAX_FEE


def _missing(name: str) -> Refusal:
    msg = f"Missing required arguments:{name}"
    return Refusal(40, msg, f"isv.missing-parameter:{name}")


def _invalid(name: str) -> Refusal:
    return Refusal(41, f"Invalid arguments:{name}", f"isv.invalid-parameter:{name}")
