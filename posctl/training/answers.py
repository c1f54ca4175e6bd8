"""Answers as TOP words them, in JSON, simplified JSON or XML (protocol, sections 1 and 5)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

JSON_TYPE = "text/javascript;charset=UTF-8"
XML_TYPE = "text/xml;charset=UTF-8"
HTML_TYPE = "text/html"

Tree = Mapping[str, Any]


class Delivery(Enum):
    """How an answer reaches the client, if at all."""

    WHOLE = auto()
    HALF = auto()  # announced whole, then the connection is cut
    CUT = auto()  # the connection is cut instead
    NEVER = auto()  # held back until the client goes


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    body: bytes = b""
    content_type: str = JSON_TYPE
    status: int = 200
    delivery: Delivery = Delivery.WHOLE


class Refusal(Exception):
    """An `error_response`: code, TOP's own message, sub code, and what helps."""

    def __init__(self, code: int, msg: str, sub_code: str, sub_msg: str = "") -> None:
        super().__init__(code, msg, sub_code, sub_msg)
        self.tree = {
            "code": code,
            "msg": msg,
            "sub_code": sub_code,
            "sub_msg": f"{_mark(sub_msg)}{sub_msg}" if sub_msg else "training",
        }


def _mark(words: str) -> str:
    """What tells the platform's own words, in its language, from a real platform's."""
    return "training: " if words.isascii() else "演练："


def trace_id() -> str:
    """The platform's own id of one call, told beside the result."""
    return f"training-{os.urandom(8).hex()}"


def refused(refusal: Refusal, params: Mapping[str, str] | None) -> Answer:
    """`refusal` in the format that was asked for; `params` is None when they are unknown."""
    tree = {"error_response": refusal.tree | {"request_id": trace_id()}}
    return _encoded(tree, is_xml=params is not None and _wants_xml(params))


def answered(method: str, result: Tree, params: Mapping[str, str]) -> Answer:
    """`result` in the format and the wrapper that were asked for."""
    inner = {"result": result, "request_id": trace_id()}
    is_xml = _wants_xml(params)
    if params.get("simplify") == "true" and not is_xml:
        return _encoded(inner, is_xml=False)
    return _encoded({method.replace(".", "_") + "_response": inner}, is_xml=is_xml)


def _wants_xml(params: Mapping[str, str]) -> bool:
    return params.get("format", "xml") == "xml"


def _encoded(tree: Tree, *, is_xml: bool) -> Answer:
    if is_xml:
        text = '<?xml version="1.0" encoding="utf-8" ?>' + _xml(tree)
        return Answer(text.encode(), XML_TYPE)
    text = json.dumps(tree, ensure_ascii=False, separators=(",", ":"))
    return Answer(text.encode(), JSON_TYPE)


def _xml(value: object) -> str:
    if isinstance(value, Mapping):
        return "".join(f"<{name}>{_xml(inner)}</{name}>" for name, inner in value.items())
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
