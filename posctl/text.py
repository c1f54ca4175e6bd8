"""Text from elsewhere: made harmless, compared, read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

# C0 but tab and newline, DEL, C1, bidi and other invisible controls, lone surrogates.
UNSAFE = (
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\ud800-\udfff]"
)


def reason(error: Exception) -> str:
    """Why the system refused, in its own words, without the full stop that Windows sets. Never from
    the error's number: Python does not know those of Windows' sockets.
    """
    said = getattr(error, "strerror", None) or type(error).__name__
    return str(said).rstrip(".。 \n")


MAX_SHOWN = 1024  # characters of one text from elsewhere; no id and no evidence is longer


def visible(text: str) -> str:
    """`text` that cannot move the cursor, colour, link, reverse or hide: such characters as �."""
    return text if is_safe(text) else re.sub(UNSAFE, "�", text)


def is_safe(text: str) -> bool:
    """Nearly all text is, and then the pattern, 1 ms to compile, is not needed."""
    return text.isprintable() and (text.isascii() or max(text, default="") < "\U000e0000")


def one_line(text: str) -> str:
    """`text` as `visible`, on one line, so that it cannot pose as a line of posctl's own."""
    return visible(text).replace("\n", " ").replace("\t", " ")


# Signs that never begin a line, and signs that never end one (the rules of Chinese typesetting).
_NO_BEGIN = frozenset("。，、；：？！）】》」』”’…—·,.;:?!)]}%")
_NO_END = frozenset("（【《「『“‘￥([{")


def sentences(*parts: str) -> str:
    """One after another: with a blank between, but behind a Chinese full stop."""
    text = ""
    for part in filter(None, parts):
        text += part if not text or text.endswith(("。", "？", "！", "：")) else f" {part}"
    return text


def breaks(text: str, width: int, cells: Callable[[str], int]) -> list[int]:
    """Where `text` is to be cut into lines of at most `width` cells; a character has `cells` of
    them. After a space, or between Chinese characters; a word that is longer is cut anywhere.
    """
    cuts: list[int] = []
    start = used = last = 0
    for n, character in enumerate(text):
        if n > start and _may_break(text[n - 1], character, cells):
            last = n
        if character != " " and used + cells(character) > width and n > start:
            before, start = start, last if last > start else n
            while last <= before and start - 1 > before and text[start] in _NO_BEGIN:
                start -= 1  # a word that is cut anywhere: not before such a sign
            cuts.append(start)
            used = sum(cells(one) for one in text[start:n])
        used += cells(character)
    return cuts


def _may_break(before: str, after: str, cells: Callable[[str], int]) -> bool:
    if after == " " or after in _NO_BEGIN or before in _NO_END:
        return False
    return before == " " or cells(before) > 1 or cells(after) > 1


def nearest(word: str, words: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The one of `words` that `word` may be a slip for; None when none is near enough."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(words), n=1, cutoff=cutoff)), None)


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, is this machine and no other."""
    name = host.rstrip(".").lower()
    if name in ("localhost", "127.0.0.1") or name.endswith(".localhost"):
        return True
    from ipaddress import ip_address

    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def uuid_text(raw: bytes | bytearray) -> str:
    """16 bytes as the text of a UUID, without importing what makes them in general."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
