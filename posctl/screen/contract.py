"""What scripts read: JSON, plain lines, one bare value."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeGuard

from posctl.money.codes import without_codes
from posctl.money.outcome import Exit
from posctl.money.result import Problem, problem_json
from posctl.text import UNSAFE, is_safe, one_line


def envelope(
    command: str | None, code: Exit, problem: Problem | None = None, /, **facts: Any
) -> dict[str, Any]:
    """A command's JSON object: what all have, around its own `facts`."""
    head = {"posctl": 1, "command": command, "exit_code": int(code)}
    return head | facts | {"error": problem_json(problem)}


def plain(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The JSON object as `key: value` lines: nested keys with dots, list items numbered from 1."""
    for name, value in data.items():
        yield from _plain_value(f"{prefix}{name}", value)


def _plain_value(name: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        yield from plain(value, f"{name}.")
    elif _is_list(value):
        for i, item in enumerate(value, 1):
            yield from _plain_value(f"{name}.{i}", item)
    else:
        yield one_line(name), bare(value)


_IDS = ("request_id", "payment_order_id", "channel_order_id")  # whole, though typed as an argument


def discreetly(data: object, codes: tuple[str, ...], name: str = "") -> Any:
    """`data` with `codes` masked in every text but the ids that the platform gave."""
    if isinstance(data, str):
        return data if name in _IDS else without_codes(data, codes)
    if isinstance(data, Mapping):
        return {key: discreetly(value, codes, key) for key, value in data.items()}
    if _is_list(data):
        return [discreetly(value, codes, name) for value in data]
    return data


def rows_of(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What a command lists: the first list of objects in its data."""
    for value in data.values():
        rows = [row for row in value if isinstance(row, Mapping)] if _is_list(value) else []
        if rows:
            return [dict(plain(row)) for row in rows]
    return []


def bare(value: object) -> str:
    """A value for a shell: no quotes, nothing for null, one line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping) or _is_list(value):
        return one_line(json.dumps(value, ensure_ascii=False, default=list))
    return one_line(str(value))


def pick(data: Mapping[str, Any], field: str) -> object:
    """The value that the plain lines call `field`, or all that stands below that name; None also
    where a list is too short or a null has nothing below it. Raises KeyError for no such name.
    """
    value: object = data
    for name in field.split("."):
        if isinstance(value, Mapping):
            value = value[name]
        elif _is_list(value):
            at = int(name) if name.isdecimal() and len(name) < 10 else 0
            value = next(islice(value, at - 1, None), None) if at else None
        elif value is not None:
            raise KeyError(name)
    return value


def fields_of(command: str) -> Mapping[str, Any]:
    """What the objects of a command may hold, as JSON Schema."""
    from importlib.resources import files

    schema = files("posctl.screen").joinpath("schema.json").read_text(encoding="utf-8")
    found: Mapping[str, Any] = json.loads(schema)["$defs"].get(command, {})
    return found


def is_field(schema: Mapping[str, Any], field: str) -> bool:
    """Whether `pick` may find `field` in what `schema` describes."""
    for name in field.split("."):
        inner = schema.get("properties"), schema.get("items")
        if inner == (None, None):
            return not schema.get("type") or "object" in schema["type"]
        if inner[0] is not None and name in inner[0]:
            schema = inner[0][name]
        elif inner[1] is not None and name.isdecimal() and name != "0":
            schema = inner[1]
        else:
            return False
    return True


def json_line(data: object, *, ascii_only: bool) -> str:
    """JSON on one line, harmless on a screen too."""
    text = json.dumps(data, ensure_ascii=ascii_only, separators=(",", ":"))
    # What a terminal would obey travels escaped: it is the same JSON.
    if not is_safe(text):
        text = re.sub(UNSAFE, lambda found: _escaped(found.group()), text)
    return text + "\n"


def json_pieces(data: Mapping[str, Any], *, ascii_only: bool) -> Iterator[str]:
    """`json_line` in pieces, where a list in it is made as it is gone through."""
    before = "{"
    for name, value in data.items():
        yield f'{before}"{name}":'
        before = ","
        if _is_list(value):
            between = "["
            for item in value:
                yield between + json_line(item, ascii_only=ascii_only)[:-1]
                between = ","
            yield "]" if between == "," else "[]"
        else:
            yield json_line(value, ascii_only=ascii_only)[:-1]
    yield "}\n"


def _is_list(value: object) -> TypeGuard[Iterable[object]]:
    """A list that is there, or one that is made as it is gone through."""
    return isinstance(value, Iterable) and not isinstance(value, (str, Mapping))


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)  # no codec: one might have to be loaded first
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
