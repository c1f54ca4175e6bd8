"""Whose certificate the gateway shows: `posctl doctor` looks at it over connections of its own.

Nothing but a handshake travels over them.
"""

from __future__ import annotations

import socket
import ssl
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from posctl.config.profile import Profile
from posctl.gateway.client import proxy_for, trusting
from posctl.gateway.connection import connected

MAX_NAMES = 160  # characters of an issuer's names


class Certificate(NamedTuple):
    """An accepted certificate. `expires_s` is since the epoch; `is_public`: the authorities that
    the world's browsers trust stand for it, too, and not just one that was put into this machine.
    """

    issuer: str
    expires_s: float
    is_public: bool


def look(profile: Profile, environ: Mapping[str, str]) -> Certificate | None:
    """The certificate that a payment of `profile` meets; None when it cannot be seen."""
    try:
        decoded, _der = _handshake(profile, environ, trusting(profile.ca, environ))
        expires_s = float(ssl.cert_time_to_seconds(str(decoded["notAfter"])))
        issuer = _names(pair for group in decoded["issuer"] for pair in group)
        return Certificate(issuer, expires_s, _is_public(profile, environ))
    except (OSError, KeyError, ValueError):
        return None


def refused_issuer(profile: Profile, environ: Mapping[str, str]) -> str:
    """Who issued a certificate that is not accepted; "" when that cannot be seen."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        _decoded, der = _handshake(profile, environ, context)
        return _names(issuer_pairs(der))
    except (OSError, ValueError, IndexError):
        return ""


def _is_public(profile: Profile, environ: Mapping[str, str]) -> bool:
    context = ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)
    try:
        _handshake(profile, environ, context)
    except ssl.SSLCertVerificationError:
        return False
    return True


def _handshake(
    profile: Profile, environ: Mapping[str, str], context: ssl.SSLContext
) -> tuple[dict[str, Any], bytes]:
    """The gateway's certificate, decoded if it was verified, and its bytes. Raises OSError."""
    context.sslsocket_class = (
        ssl.SSLSocket
    )  # those of `connection.py` look for a payment's deadline
    parts = urlsplit(profile.gateway)
    host, port = str(parts.hostname), parts.port or 443
    proxy = proxy_for(profile.gateway, profile.proxy, environ)
    first = (host, port) if proxy is None else _address_of(proxy)
    with connected(first, profile.timeout) as sock:
        if proxy is not None:
            _tunnel(sock, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", proxy)
        with context.wrap_socket(sock, server_hostname=host) as tls:
            return dict(tls.getpeercert() or {}), tls.getpeercert(binary_form=True) or b""


def _address_of(proxy: str) -> tuple[str, int]:
    parts = urlsplit(proxy)
    return str(parts.hostname), parts.port or 80


def _tunnel(sock: socket.socket, target: str, proxy: str) -> None:
    """Ask a proxy for a way to `target`. Raises OSError."""
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    parts = urlsplit(proxy)
    if parts.username is not None:
        known = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        lines.append(f"Proxy-Authorization: Basic {b64encode(known.encode()).decode()}")
    sock.sendall("\r\n".join([*lines, "", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < 16_384:
        piece = sock.recv(1)  # not a byte of the TLS that follows
        if not piece:
            break
        answer += piece
    if answer.split(b" ")[1:2] != [b"200"]:
        raise ConnectionError("proxy")


def _names(pairs: Iterable[tuple[str, str]]) -> str:
    """Organisation and common name of an issuer, as far as it has them."""
    known = dict(pairs)
    names = [known[key] for key in ("organizationName", "commonName") if key in known]
    return ", ".join(names)[:MAX_NAMES]


_OIDS = {b"\x55\x04\x03": "commonName", b"\x55\x04\x0a": "organizationName"}


def issuer_pairs(der: bytes) -> Iterator[tuple[str, str]]:
    """The issuer's names in a certificate (RFC 5280, 4.1). Raises ValueError, IndexError.

    Python decodes a certificate only once it was verified.
    """
    (_tag, certificate), *_signature = _parts(der)
    (_tag, to_be_signed), *_signature = _parts(certificate)
    fields = [(tag, content) for tag, content in _parts(to_be_signed) if tag != 0xA0]
    _tag, issuer = fields[2]  # behind the serial number and the algorithm
    for _tag, group in _parts(issuer):
        for _tag, pair in _parts(group):
            (_tag, oid), (kind, name) = _parts(pair)
            if oid in _OIDS:
                yield _OIDS[oid], name.decode("utf-16-be" if kind == 0x1E else "utf-8", "replace")


def _parts(der: bytes) -> list[tuple[int, bytes]]:
    """The elements that stand one after the other in `der`: tag and content of each."""
    found = []
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(der[at : at + size], "big")
            at += size
        if at + length > len(der):
            raise ValueError("cut off")
        found.append((tag, der[at : at + length]))
        at += length
    return found
