"""A strict reading of YAML: every scalar is text, keys are unique and know their line.

`yaml.safe_load` turns `001` into 1 and `no` into False, lets the last of two keys win, follows
aliases, and its error texts print the line they choke on, which may hold a secret. So YAML is read
here from its events: no alias, no tag, no list but of texts, no second document, no deep nesting.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from posctl.hint import Hint
from posctl.messages import N_, _
from posctl.startup import light_imports

if TYPE_CHECKING:
    from yaml.events import Event, ScalarEvent

DOUBLE_QUOTED = N_(r"In double quotes \ begins an escape: put a path in single quotes, or in none.")
MAX_DEPTH = 5  # the deepest key, `profiles: store-1: defaults: shop_id`, is at 4


# What an input method or an editor puts into a line, what it is called, what to type instead.
_NAME = r"[\"'“”]?[A-Za-z_][A-Za-z0-9_.-]*[\"'“”]?"
_BLANKS = "\u3000\xa0\u2000-\u200b"
_SLIPS = (
    (r"^ *\t", N_("a tab stands before the key"), N_("Type spaces instead of the tab.")),
    (
        rf"^[ \t]*[{_BLANKS}]",
        N_("a space of another kind stands before the key"),
        N_("Type plain spaces, with the input method off."),
    ),
    (
        rf"(?:^\s*|[{{｛,，]\s*){_NAME}\s*：",
        N_("the colon is full-width (：)"),
        N_("Type : and a space, with the input method off, as in app_key: 1"),
    ),
    (
        r":\s*(?:[“”‘’「『＂＇]|[\"'][^\"']*[“”‘’」』＂＇]\s*(?:[,}#]|$))",
        N_("the quotes are Chinese ones"),
        N_('Type " around the value, or nothing.'),
    ),
    (
        rf"(?:^\s*|[{{,]\s*){_NAME}:[{_BLANKS}]",
        N_("a space of another kind follows the colon"),
        N_("Type plain spaces, with the input method off."),
    ),
    (
        rf"(?:^\s*|[{{,]\s*){_NAME}:[^\s,}}:/]",
        N_("no space follows the colon"),
        N_("Type a space behind the colon, as in app_key: 1"),
    ),
    (
        r":\s*[{\[].*[，；｝］]|[｛［]",
        N_("a comma or bracket is full-width"),
        N_("Type , { } [ ] with the input method off."),
    ),
    (
        rf"^\s*{_NAME}:\s+(?:\"[^\"]*|'[^']*)$",
        N_("a quote is not closed"),
        N_(
            "Type the same quote behind the value; a value that holds one stands in the other kind."
        ),
    ),
    (
        rf"^\s*{_NAME}:\s+(?:[@`%]|[^\s\"'{{\[#][^\"'#]*:(?:\s|$))",
        N_("the value needs quotes"),
        N_("Put it in single quotes, as in secret: '@a: b'"),
    ),
)
CHINESE_QUOTES = "“”‘’「『＂＇"


def slip_in(row: str) -> tuple[str, str] | None:
    """What is wrong with a line that is no YAML, or means something else, and what to type."""
    found = (one for one in _SLIPS if not row.lstrip().startswith("#") and re.search(one[0], row))
    return next(((_(what), _(mend)) for _pattern, what, mend in found), None)


class Bad(Exception):
    """Something wrong at a line of the file; the texts are already in the user's language."""

    def __init__(self, code: str, line: int, message: str, hint: Hint | str = ()) -> None:
        super().__init__(message)
        self.code, self.line, self.message, self.hint = code, line, message, hint


LIST_KEYS = frozenset({"decline_codes", "notify_command"})  # where a list of texts may stand


class Map(NamedTuple):
    """A mapping. `lines` are those of its keys, `line` its own; a value is text, a list of texts, a
    mapping, or None for an unquoted `null`, `~` or nothing.
    """

    items: Mapping[str, Value]
    lines: Mapping[str, int]
    line: int


Value: TypeAlias = str | list[str] | Map | None


def parse(text: str) -> Map:
    """The mapping that `text` is; an empty file is an empty one. Raises Bad."""
    with light_imports():
        import yaml

    tree = _Tree()
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            tree.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        if re.search("hex|escape", str(error.problem)):
            raise Bad("yaml", line, _("this is not YAML"), _(DOUBLE_QUOTED)) from None
        began = error.context_mark.line + 1 if error.context_mark else line
        raise _not_yaml(text, line, began) from None
    except yaml.YAMLError:  # a character that YAML does not know
        raise Bad("yaml", 1, _("this is not YAML")) from None
    return tree.root


def _not_yaml(text: str, line: int, began: int) -> Bad:
    """YAML is often found wrong a line or two after the slip, or where what `began` never ends."""
    rows = text.splitlines()
    for n in (*range(line, max(0, line - 3), -1), began):
        slip = slip_in(rows[n - 1]) if n <= len(rows) else None
        if slip:
            return Bad("yaml", n, *slip)
    return Bad("yaml", line, _("this is not YAML"))


class _Tree:
    """Grows the mapping from events, without recursion: depth is an attacker's to choose."""

    def __init__(self) -> None:
        self.root = Map({}, {}, 1)
        self._documents = 0
        self._open: list[tuple[dict[str, Value], dict[str, int], int]] = []
        self._keys: list[str | None] = []  # for each open mapping, the key that waits for a value
        self._list: list[str] | None = None  # the list that is being read

    def take(self, event: Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 1
        kind = type(event).__name__
        if kind == "AliasEvent" or getattr(event, "anchor", None):
            raise Bad("yaml", line, _("anchors and aliases (& and *) are not used here"))
        if getattr(event, "tag", None):
            raise Bad("yaml", line, _("tags (!) are not used here"))
        if self._list is not None and kind != "SequenceEndEvent":
            self._add(event, kind, line)
        elif kind == "DocumentStartEvent":
            self._documents += 1
            if self._documents > 1:
                raise Bad("yaml", line, _("a second document begins"))
        elif kind in ("SequenceStartEvent", "SequenceEndEvent"):
            self._take_list(line)
        elif kind == "MappingStartEvent":
            self._begin(line)
        elif kind == "MappingEndEvent":
            self._end()
        elif kind == "ScalarEvent":
            self._scalar(event, line)  # type: ignore[arg-type]  # told by its name above

    def _take_list(self, line: int) -> None:
        """A list begins, or ends."""
        if self._list is not None:
            done, self._list = self._list, None
            self._put(done)
        elif not self._keys or self._keys[-1] not in LIST_KEYS:
            raise Bad("yaml", line, _("a list is not allowed here"))
        else:
            self._list = []

    def _add(self, event: Event, kind: str, line: int) -> None:
        if kind != "ScalarEvent" or self._list is None:
            raise Bad("yaml", line, _("this is nested too deep"))
        self._list.append(event.value)  # type: ignore[attr-defined]  # told by its name above

    def _begin(self, line: int) -> None:
        if len(self._open) >= MAX_DEPTH or (self._open and self._keys[-1] is None):
            raise Bad("yaml", line, _("this is nested too deep"))
        self._open.append(({}, {}, line))
        self._keys.append(None)

    def _end(self) -> None:
        done = Map(*self._open.pop())
        self._keys.pop()
        if self._open:
            self._put(done)
        else:
            self.root = done

    def _scalar(self, event: ScalarEvent, line: int) -> None:
        unquoted = event.implicit[0]
        empty = unquoted and event.value in ("", "~", "null", "Null", "NULL")
        if not self._open:
            if not empty:
                slip = slip_in(event.value)
                raise Bad("yaml", line, *(slip or (_("the file holds no keys"),)))
        elif self._keys[-1] is not None:
            self._put(None if empty else event.value)
        else:
            lines = self._open[-1][1]
            if event.value in lines:
                raise Bad(
                    "repeated_key", line, _("{key} is set twice").format(key=shown(event.value))
                )
            lines[event.value] = line
            self._keys[-1] = event.value

    def _put(self, value: Value) -> None:
        key = self._keys[-1]
        self._open[-1][0][str(key)] = value
        self._keys[-1] = None


def shown(key: str) -> str:
    """A key as an error may show it: short, so that a secret out of place is not printed whole.

    An AppSecret has 32 characters, the longest key 18.
    """
    return key if len(key) <= 24 else key[:6] + "…"
