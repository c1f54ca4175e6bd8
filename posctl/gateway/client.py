"""The only file that talks HTTP: one POST, one try, and whether any byte of it may have left.

`connection.py` holds the connection under it, `exchange.py` the plain data; requests takes 100 ms
to load, so only those who send import this file. What an answer means is decided elsewhere:
`top.py` reads it, `judge.py` judges it.
"""

from __future__ import annotations

import os
import re
import ssl
import sys
import threading
import zlib
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from traceback import clear_frames
from urllib.parse import SplitResult, urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH, should_bypass_proxies
from urllib3 import BaseHTTPResponse, HTTPConnectionPool
from urllib3.exceptions import HTTPError

from posctl import __version__
from posctl.errors import ConfigError
from posctl.gateway.connection import Adapter, Failed, Flight, here, tls_context
from posctl.gateway.exchange import Exchange, Sent, Timeout
from posctl.hint import Say, Type
from posctl.messages import _
from posctl.money.outcome import Event
from posctl.text import is_loopback

MAX_BODY = 1024 * 1024  # bytes of an answer's body, as received and as decoded
_PIECE = 64 * 1024
_MAX_DATE = 64  # characters; an honest Date has 29
# A platform's folder of certificates counts when it looks complete (Mozilla's list has 140), and
# not when it holds just the two that an administrator added.
_MANY_CERTIFICATES = 50

_HEADERS = {
    "Content-Type": "application/x-www-form-urlencoded;charset=UTF-8",
    "Accept-Encoding": "identity",
    "User-Agent": f"posctl/{__version__}",
}


class Gateway:
    """Posts to one URL over connections that stay open between posts, one for each thread.

    `proxy` and `environ` are as in `proxy_for`, `ca` as in `trusting`. `monotonic` gives seconds.
    Raises ConfigError for a URL, a proxy or certificates that cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: Timeout,
        proxy: str | None,
        ca: Path | None,
        environ: Mapping[str, str],
        monotonic: Callable[[], float],
    ) -> None:
        parts = _parts(url)
        self._timeout = timeout
        self._monotonic = monotonic
        self._generation = 0
        self._mistrusted: set[int] = set()
        self._proxy = proxy_for(url, proxy, environ)
        tls = trusting(ca, environ) if parts.scheme == "https" else None
        self._tls = tls
        self._trusted = _trusted(ca, environ)
        self._parts = parts
        self._kept = threading.local()
        self._open: list[tuple[Adapter, HTTPConnectionPool]] = []
        # A proxy is asked for the whole URL, but for the tunnel that TLS goes through.
        self._target = url if self._proxy and tls is None else parts.path or "/"

    @property
    def proxy(self) -> str | None:
        """The proxy on the way, without its password; None when there is none."""
        return self._proxy and "http://" + urlsplit(self._proxy).netloc.rpartition("@")[2]

    def post(self, form: bytes, sent: Sent) -> Exchange:
        """Post `form`, urlencoded, in exactly one HTTP try: nothing is retried or followed.

        Whatever happens is told by the Exchange. Only what is no Exception, such as
        KeyboardInterrupt, comes through, and `sent` says then whether bytes may have left.
        Raises ValueError for a `sent` that was used before.
        """
        if sent.may_have_left:
            raise ValueError("a Sent is for one post")
        flight = here.flight = Flight(self._timeout, self._monotonic, sent, self._generation)
        status = date = None
        try:
            with closing(self._send(form)) as raw:
                status, date = raw.status, raw.headers.get("Date", "")[:_MAX_DATE] or None
                body = _decoded(_read(raw), raw.headers.get("Content-Encoding", ""))
        except Exception as error:  # noqa: BLE001  after sending, nothing is a bug worth dying of
            told = _told(flight, error, status, date)
            if told.event is Event.TLS_REFUSED and self._trusted:
                detail = "; ".join((told.detail, *self._trusted)).removeprefix("; ")
                return told._replace(detail=detail)
            return told
        return Exchange(None, sent.may_have_left, status, body, date)

    def mistrust(self, connection: int) -> None:
        """Use no connection again that is open now, and believe nothing more that comes over this
        one: it gave another payment's answer.
        """
        self._generation += 1
        self._mistrusted.add(connection)

    def trusts(self, connection: int) -> bool:
        """Whether what came over it is believed."""
        return connection not in self._mistrusted

    def close(self) -> None:
        """Close the connections that are kept."""
        for adapter, pool in list(self._open):
            adapter.close()  # forgets its pools, and leaves them open
            pool.close()

    def _pool(self) -> HTTPConnectionPool:
        """The connection of this thread alone. A shared one would be used again, by another thread,
        before this one has handed on what it heard: nobody knew which answer went wrong first.
        """
        if not hasattr(self._kept, "pool"):
            adapter = Adapter(self._tls)
            self._kept.pool = adapter.pool(self._parts, self._proxy)
            self._open.append((adapter, self._kept.pool))
        pool: HTTPConnectionPool = self._kept.pool
        return pool

    def _send(self, form: bytes) -> BaseHTTPResponse:
        """The answer as far as its headers.

        Straight to the pool: a Session would add cookies, .netrc and the environment, and with its
        adapter a post takes twice the time.
        """
        return self._pool().urlopen(
            "POST",
            self._target,
            body=form,
            headers={**_HEADERS, "Content-Length": str(len(form))},
            retries=False,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            decode_content=False,
        )


def _told(flight: Flight, error: Exception, status: int | None, date: str | None) -> Exchange:
    """How it failed, with nothing left of the way that `error` came.

    Frames that hold the exception which holds them would keep the form, payment code and all,
    until a collector comes by. urllib3 has such frames too.
    """
    failed = flight.failure(error)
    met: BaseException | None = error
    while met is not None:
        clear_frames(met.__traceback__)
        met = met.__context__
    return Exchange(failed.event, flight.sent.may_have_left, status, None, date, failed.detail)


def _names_a_place(parts: SplitResult) -> bool:
    """Whether there is a host, and a path that nobody on the way would write otherwise."""
    host, steps = parts.hostname or ".", parts.path.split("/")
    usable = ":" in host if "[" in parts.netloc else host[0] not in ".*"
    return usable and not parts.query and not parts.fragment and not {".", ".."} & set(steps)


def _parts(url: str) -> SplitResult:
    """The parts of a gateway's URL. Raises ConfigError for one that cannot be used."""
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.port != 0 and _names_a_place(parts):
            return parts
    except ValueError:
        pass
    raise ConfigError(
        "gateway",
        _("The gateway's URL cannot be used."),
        _("It looks like this: https://eco.taobao.com/router/rest"),
    )


# ── the body ─────────────────────────────────────────────────────────────────────────────────


def _read(raw: BaseHTTPResponse) -> bytes:
    """The body as it came. Raises Failed: OVERSIZED, TRUNCATED, or what the connection met."""
    pieces, size = [], 0
    try:
        while piece := raw.read(_PIECE, decode_content=False):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_BODY:
                raise Failed(Event.OVERSIZED)
    except HTTPError as error:  # fewer bytes than announced, or broken chunks
        raise Failed(Event.TRUNCATED, type(error).__name__) from None
    return b"".join(pieces)


def _decoded(body: bytes, encoding: str) -> bytes:
    """`body` without gzip or deflate, which nobody asked for. Raises Failed."""
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            window_bits = 16 + zlib.MAX_WBITS
        case "deflate":  # with zlib's header as the RFC says, or without as others do
            window_bits = zlib.MAX_WBITS if body[:1] == b"\x78" else -zlib.MAX_WBITS
        case _:
            raise Failed(Event.UNDECODABLE, "Content-Encoding")
    decoder = zlib.decompressobj(window_bits)
    try:
        decoded = decoder.decompress(body, MAX_BODY + 1)
    except zlib.error:
        raise Failed(Event.UNDECODABLE, "zlib") from None
    if len(decoded) > MAX_BODY:  # 48 KB of gzip can hold 50 MB
        raise Failed(Event.OVERSIZED)
    if not decoder.eof or decoder.unused_data:
        raise Failed(Event.UNDECODABLE, "zlib")
    return decoded


# ── proxy and trust ──────────────────────────────────────────────────────────────────────────


def proxy_for(url: str, proxy: str | None, environ: Mapping[str, str]) -> str | None:
    """The proxy on the way to `url`, or None.

    `proxy` is the profile's: a URL, "none" for no proxy at all, or None for what `environ` says in
    https_proxy, all_proxy and no_proxy, in either case. The environment's is never used for
    loopback, nor for plain http, which goes nowhere else. Raises ConfigError.
    """
    if proxy == "none":
        return None
    chosen = proxy or _environment_proxy(url, environ)
    if not chosen:
        return None
    if "://" not in chosen:
        chosen = "http://" + chosen
    if not re.fullmatch(r"[!-~]+", chosen):  # urllib3 would stumble over it, at the first payment
        raise ConfigError(
            "proxy",
            _("The proxy cannot be used: it has a blank or another character that no URL has."),
            _("Write such a character as %XX, in the profile's proxy or in https_proxy."),
        )
    try:
        parts = urlsplit(chosen)
        usable = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(
            "proxy",
            _("The proxy cannot be used: posctl speaks to http:// proxies only."),
            _("Set proxy in the profile to http://HOST:PORT, or to none."),
        )
    return chosen


def _environment_proxy(url: str, environ: Mapping[str, str]) -> str | None:
    if not url.startswith("https:") or is_loopback(urlsplit(url).hostname or ""):
        return None
    names = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    # Files of variables come with line ends of Windows and blanks that nobody sees.
    chosen = next(filter(None, (environ.get(name, "").strip() for name in names)), None)
    no_proxy = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    return None if not chosen or should_bypass_proxies(url, no_proxy) else chosen


def trusting(ca: Path | None, environ: Mapping[str, str]) -> ssl.SSLContext:
    """A context that verifies always, against the first of these that there is:

    1. `ca`, a file of certificates or a hashed folder of them, and nothing else;
    2. SSL_CERT_FILE and SSL_CERT_DIR of `environ`, as OpenSSL itself reads them;
    3. the platform's hashed folder, 0.2 ms: only what is used is read;
    4. certifi's bundle, 25 ms.

    REQUESTS_CA_BUNDLE and the like are not read. Raises ConfigError.
    """
    file, folder = _certificates(ca, environ)
    if ca and folder and not _hashed_certificates(folder):
        raise ConfigError(
            "ca",
            _("The folder {path} holds no certificates by hash.").format(path=folder),
            (Say(_("Type:")), Type(("rehash", str(folder)), program="openssl")),
        )
    context = tls_context()
    try:
        context.load_verify_locations(file, folder)
    except OSError:  # ssl.SSLError is one, too
        raise ConfigError(
            "ca",
            _("The certificates in {path} cannot be used.").format(path=file or folder),
            _("Name a file of PEM certificates, or a folder of them, that you can read."),
        ) from None
    return context


def _trusted(ca: Path | None, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Which variables for certificates somebody has set, and which of them are read."""
    read = () if ca else ("SSL_CERT_FILE", "SSL_CERT_DIR")
    words = [_("{name} is trusted").format(name=name) for name in read if environ.get(name)]
    others = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    words += [_("{name} is not read").format(name=name) for name in others if environ.get(name)]
    return tuple(words)


def _certificates(ca: Path | None, environ: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The file and the folder to trust."""
    if ca:
        return (None, str(ca)) if ca.is_dir() else (str(ca), None)
    paths = ssl.get_default_verify_paths()
    file = environ.get(paths.openssl_cafile_env)
    folder = environ.get(paths.openssl_capath_env)
    if file or folder:
        return file or None, folder or None
    if _is_trustworthy(paths.openssl_capath):
        return None, paths.openssl_capath
    return DEFAULT_CA_BUNDLE_PATH, None


def _is_trustworthy(folder: str) -> bool:
    """Whether `folder` is a full store of certificates that only its owner can change.

    Windows has no modes to tell that from.
    """
    try:
        status = Path(folder).stat()
    except OSError:
        return False
    return (
        sys.platform != "win32"
        and status.st_uid in (0, os.geteuid())
        and not status.st_mode & 0o022
        and _hashed_certificates(folder) >= _MANY_CERTIFICATES
    )


def _hashed_certificates(folder: str) -> int:
    """How many certificates OpenSSL can find in `folder`: they are named by hash, `5ed36f99.0`."""
    try:
        names = os.listdir(folder)  # noqa: PTH208  300 names; a Path for each takes 10 times as long
    except OSError:
        return 0
    return sum(bool(re.fullmatch(r"[0-9a-f]{8}\.\d", name)) for name in names)
