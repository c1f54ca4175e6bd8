"""The TOP protocol, pure: a signed form out, an answer in.

Facts: `docs/protocol.md` gathers them; the section numbers below are its own. No clock, no
network and no secret store here: all of it is passed in.
"""

import json
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

PAY_METHOD = "alibaba.pos.order.pay"
ACTION_QUERY_METHOD = "alibaba.pos.pay.action.query"
STATUS_QUERY_METHOD = "alibaba.pos.paystatus.query"
SIGN_METHODS = ("hmac-sha256", "hmac", "md5")

GMT8_S = 8 * 3600
MAX_TEXT = 1024  # characters kept of any one text of an answer


# ── out ──────────────────────────────────────────────────────────────────────────────────────


def timestamp(epoch_s: float) -> str:
    """`epoch_s` as TOP wants it: GMT+8, whatever the machine's zone (section 2)."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(epoch_s + GMT8_S))


def string_to_sign(params: Mapping[str, str]) -> str:
    """Name and value run together, sorted by name, without `sign` (section 3).

    Python orders strings by code point, which is the byte order of their UTF-8.
    """
    return "".join(name + params[name] for name in sorted(params) if name != "sign")


def sign(params: Mapping[str, str], secret: str, sign_method: str) -> str:
    """The upper-case hex signature of `params` (section 3).

    Raises ValueError for a sign_method that is not one of SIGN_METHODS.
    """
    import hashlib
    import hmac

    text = string_to_sign(params).encode()
    key = secret.encode()
    if sign_method == "hmac-sha256":
        return hmac.new(key, text, hashlib.sha256).hexdigest().upper()
    if sign_method == "hmac":
        return hmac.new(key, text, hashlib.md5).hexdigest().upper()
    if sign_method == "md5":
        return hashlib.md5(key + text + key).hexdigest().upper()  # noqa: S324  the protocol's own
    raise ValueError(sign_method)


def signed_form(
    method: str,
    business: Mapping[str, str],
    *,
    app_key: str,
    secret: str,
    sign_method: str,
    session: str | None,
    now_s: float,
) -> bytes:
    """The urlencoded body of one HTTP try, with a fresh timestamp and sign (sections 1–3).

    Everything travels in the body: URLs show up in exception texts and in proxies' logs.
    """
    params = {
        "method": method,
        "app_key": app_key,
        "timestamp": timestamp(now_s),
        "v": "2.0",
        "format": "json",
        "sign_method": sign_method,
        **business,
    }
    if session:
        params["session"] = session
    params["sign"] = sign(params, secret, sign_method)
    return urlencode(params).encode("ascii")


# ── in ───────────────────────────────────────────────────────────────────────────────────────


class Answer(NamedTuple):
    """What a method answered; for the sibling queries `model` alone matters.

    `outer_success` and `model_success` are the flags `is_success` (or `success`), None when
    they are missing or unreadable. `result` and `model` are None when the answer has none.
    """

    model: Mapping[str, Any] | None
    outer_success: bool | None = None
    model_success: bool | None = None
    msg_code: str | None = None
    msg_info: str | None = None
    trace_id: str | None = None

    def number(self, name: str) -> int | None:
        """A whole number of the model, also when it came as text; None when there is none."""
        return _number(self.model.get(name)) if self.model else None

    def text(self, name: str) -> str | None:
        """A text of the model without the quotes of the page's samples; None when empty."""
        return _text(self.model.get(name)) if self.model else None


class ErrorAnswer(NamedTuple):
    """An `error_response`: TOP, or the business behind it, refused or broke (section 6)."""

    code: int | None
    msg: str | None
    sub_code: str | None
    sub_msg: str | None
    trace_id: str | None


class Unreadable(NamedTuple):
    """A body that is no TOP answer; `reason` is a word for the record."""

    reason: str


Reply = Answer | ErrorAnswer | Unreadable


class _NotTop(Exception):
    """The body is no TOP answer; the text says why."""


def read_reply(body: bytes, method: str) -> Reply:
    """Read `body` by what it is, never by its header: JSON, simplified JSON or XML (section 5).

    The verdict is ASCII, so it is not lost with a text that is damaged or in another encoding.
    """
    whys = []
    for text in _texts(body):
        try:
            tree = _from_xml(text) if text.startswith("<") else _from_json(text)
            return _read_tree(tree, method.replace(".", "_") + "_response")
        except _NotTop as why:
            whys.append(str(why))
    return Unreadable(whys[0])


_FEW = 2  # characters that a cut through a text damages


def _texts(body: bytes) -> list[str]:
    """`body` as text, the likeliest first: UTF-8, whole or damaged, or GBK."""
    try:
        return [body.decode("utf-8-sig").strip()]
    except UnicodeDecodeError:
        damaged = body.decode("utf-8-sig", "replace").strip()
    try:
        gbk = body.decode("gb18030").strip()
    except UnicodeDecodeError:
        return [damaged]
    return [damaged, gbk] if damaged.count("\ufffd") <= _FEW else [gbk, damaged]


def _read_tree(tree: object, wrapper: str) -> Reply:
    if not isinstance(tree, dict):
        raise _NotTop("not_an_object")
    known = [key for key in ("error_response", wrapper, "result") if key in tree]
    if len(known) != 1:
        raise _NotTop("two_answers_in_one" if known else "no_top_answer")
    content = tree[known[0]]
    if known[0] == "error_response":
        return _read_error(content)
    outer = tree if known[0] == "result" else content
    if not isinstance(outer, dict):
        raise _NotTop("empty_answer")
    result = outer.get("result")
    if not isinstance(result, dict):
        return Answer(model=None, trace_id=_text(outer.get("request_id")))
    model = result.get("model")
    if not isinstance(model, dict):
        model = None
    return Answer(
        model=model,
        outer_success=_flag(result),
        model_success=_flag(model) if model is not None else None,
        msg_code=_text(result.get("msg_code")),
        msg_info=_text(result.get("msg_info")),
        trace_id=_text(outer.get("request_id")),
    )


def _read_error(content: object) -> ErrorAnswer:
    if not isinstance(content, dict):
        raise _NotTop("empty_error")
    return ErrorAnswer(
        code=_number(content.get("code")),
        msg=_text(content.get("msg")),
        sub_code=_text(content.get("sub_code")),
        sub_msg=_text(content.get("sub_msg")),
        trace_id=_text(content.get("request_id")),
    )


def _from_json(text: str) -> object:
    try:
        # strict=False: a raw tab or line end inside a text says nothing about the money.
        return json.loads(
            text, strict=False, object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError):
        raise _NotTop("not_json") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A member that stands twice could say two things about the money: read neither."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _NotTop("repeated_member")
    return members


def _refuse_constant(name: str) -> None:
    raise _NotTop(f"constant_{name.lstrip('-').lower()}")


def _from_xml(text: str) -> object:
    from xml.parsers import expat

    stack: list[tuple[str, dict[str, Any], list[str]]] = []
    root: dict[str, Any] = {}

    def start(name: str, _attributes: dict[str, str]) -> None:
        if len(stack) > 16:
            raise _NotTop("deep_xml")
        stack.append((name, {}, []))

    def end(_name: str) -> None:
        name, members, words = stack.pop()
        parent = stack[-1][1] if stack else root
        if name in parent:
            raise _NotTop("repeated_member")
        parent[name] = members or "".join(words).strip()

    def doctype(*_: object) -> None:
        raise _NotTop("doctype")  # entities could expand without end

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = lambda words: stack[-1][2].append(words)  # noqa: PLW0108  late
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(re.sub(r"\A<\?xml[^>]*\?>", "", text), True)  # noqa: FBT003  expat's signature
    except expat.ExpatError:
        raise _NotTop("not_xml") from None
    return root


def _number(value: object) -> int | None:
    """A whole number, bare or as text, also written 1.0; ids can pass 2^53, never as a float."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1 << 53 else None
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 1 << 63 else None
    if isinstance(value, str):
        found = re.fullmatch(r'"?(-?[0-9]{1,18})(?:\.0{1,2})?"?', value.strip())
        return int(found[1]) if found else None
    return None


_FLAGS = {
    **dict.fromkeys(("true", "1", "y", "yes", "t"), True),
    **dict.fromkeys(("false", "0", "n", "no", "f"), False),
}


def _flag(holder: Mapping[str, Any]) -> bool | None:
    """`is_success`, or `success` as the sibling pages name it, bare or as text.

    Explicitly false wins when both stand there: a contradiction must not be read as paid.
    """
    flags = [_truth(holder.get(name)) for name in ("is_success", "success")]
    told = [flag for flag in flags if flag is not None]
    return all(told) if told else None


def _truth(value: object) -> bool | None:
    """None for what is missing; what is neither true nor false, such as "FAILED", is no "yes"."""
    if value is None:
        return None
    if isinstance(value, float):
        return value == 1
    word = (
        value.strip().strip('"').strip().lower() if isinstance(value, str) else str(value).lower()
    )
    return None if word in ("", "null") else _FLAGS.get(word, False)


def _text(value: object) -> str | None:
    """Text without one pair of literal quotes; None when there is nothing to say."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return _digits(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    # A lone surrogate (`"\ud800"`) can be neither stored nor printed; NUL is in no database's text.
    text = text[:MAX_TEXT].replace("\0", "\ufffd")
    return text.encode("utf-8", "replace").decode() or None


def _digits(value: int) -> str | None:
    return str(value) if abs(value) < 1 << 63 else None
