"""A call's parameters, out of all four shapes that shipping SDKs send (protocol, section 1)."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

PATH = b"/router/rest"
_PART_HEADER = re.compile(rb'content-disposition: *form-data; *name="([^"\r\n]*)"', re.IGNORECASE)
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))$', re.IGNORECASE)


class Unreadable(Exception):
    """A request that holds no parameters anybody could have signed; the text says why."""


def read_params(target: bytes, content_type: str, body: bytes) -> dict[str, str]:
    """Query and body together, decoded. Raises Unreadable.

    A name given twice is refused: two readers could believe two different things were signed.
    """
    path, _mark, query = target.partition(b"?")
    if path != PATH:
        raise Unreadable(f"this gateway answers at {PATH.decode()} only")
    pairs = _urlencoded(query)
    if body:
        pairs += _of_body(content_type, body)
    try:
        params = {name.decode(): value.decode() for name, value in pairs}
    except UnicodeDecodeError:
        raise Unreadable("the parameters are not UTF-8") from None
    if len(params) != len(pairs):
        raise Unreadable("a parameter stands twice")
    return params


def _of_body(content_type: str, body: bytes) -> list[tuple[bytes, bytes]]:
    kind, _semicolon, rest = content_type.partition(";")
    match kind.strip().lower():
        case "application/x-www-form-urlencoded":
            return _urlencoded(body)
        case "multipart/form-data":
            boundary = _BOUNDARY.match(rest.strip())
            if boundary:
                return _multipart(body, (boundary[1] or boundary[2]).encode("latin-1"))
    raise Unreadable("Content-Type is neither urlencoded nor multipart/form-data")


def _urlencoded(text: bytes) -> list[tuple[bytes, bytes]]:
    pairs = []
    for piece in text.split(b"&"):
        if piece:
            name, _equals, value = piece.partition(b"=")
            pairs.append((_plain(name), _plain(value)))
    return pairs


def _plain(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def _multipart(body: bytes, boundary: bytes) -> list[tuple[bytes, bytes]]:
    """Fields only: this API takes no files, and files would not be signed."""
    _before, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if not parts or parts.pop() not in (b"--", b"--\r\n"):
        raise Unreadable("the multipart body does not end with its boundary")
    return [_field(part) for part in parts]


def _field(part: bytes) -> tuple[bytes, bytes]:
    head, _blank, value = part.partition(b"\r\n\r\n")
    first_line, *lines = head.split(b"\r\n")
    names = [match[1] for line in lines if (match := _PART_HEADER.fullmatch(line))]
    if first_line or len(names) != 1:
        raise Unreadable("a part of the multipart body is no form field")
    return names[0], value
