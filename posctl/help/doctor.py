"""What `posctl doctor` looks at: everything a payment needs, without a payment.

The pieces are those that pay (profile, secret, gateway, journal), so what is good here is good
there. The gateway is asked with a call that has no method, no key and no signature: TOP refuses
it (code 21 or the like), and that refusal is the proof that TOP is there.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TextIO
from urllib.parse import urlsplit

from posctl import times
from posctl.config.place import place_json, place_words
from posctl.config.profile import TRAINING, Loaded, Profile
from posctl.errors import ConfigError, JournalError, PosctlError
from posctl.gateway.exchange import Exchange, Sent
from posctl.gateway.judge import read_event
from posctl.gateway.top import PAY_METHOD, ErrorAnswer, read_reply
from posctl.hint import Hint, Say, said
from posctl.journal import not_begun
from posctl.journal.place import is_database, masked_url
from posctl.messages import _
from posctl.money import advice
from posctl.money.order import FIELDS, not_in
from posctl.money.outcome import Event, Exit, Outcome
from posctl.money.record import OpenOf
from posctl.paying.notices import swept
from posctl.paying.unreached import unreached, unreached_words, way_to
from posctl.sddl import Others
from posctl.shell import keep_others_out
from posctl.text import nearest, reason
from posctl.times import age, zone_fault, zone_words

if TYPE_CHECKING:
    from posctl.journal.health import Health

MIN_FREE_BYTES = 100_000_000
SLOW_CLOCK_S, WRONG_CLOCK_S = 60, 600  # TOP takes 10 minutes (protocol, section 2)
SHORT_VALIDITY_DAYS = 14
SWEEP_LATE_MS = 600_000  # it is meant to run each minute
QUESTION = b"v=2.0&format=json"
GLYPHS = "√×▲…●→·￥"

Status = Literal["good", "warn", "bad"]


class Check(NamedTuple):
    """One line: what was looked at, how it is, what to type. `exit_code` counts when it is bad."""

    name: str
    status: Status
    message: str
    hint: Hint = ()
    exit_code: Exit = Exit.OK
    merchants: tuple[OpenOf, ...] = ()  # with open payments, of a journal
    marks: Mapping[str, int] = MappingProxyType({})  # of a journal
    place: Mapping[str, Any] | None = None  # of the journal


def worst(checks: list[Check]) -> Check | None:
    """The check that the exit code is of: configuration before journal before network."""
    bad = [check for check in checks if check.status == "bad"]
    return min(bad, key=lambda check: _ORDER.index(check.exit_code), default=None)


_ORDER = (Exit.CONFIG, Exit.JOURNAL, Exit.NOT_SENT)


class Doctor(NamedTuple):
    """What the checks need from outside. `now_s` is since the epoch, `monotonic` in seconds."""

    environ: Mapping[str, str]
    now_s: Callable[[], float]
    monotonic: Callable[[], float]
    stdout: TextIO | None

    def examine(self, load: Callable[[], Loaded]) -> Iterator[Check]:
        """Every check, in order; those that an earlier one makes senseless are left out."""
        try:
            loaded = load()
        except ConfigError as error:
            yield _failed("config", error)
        else:
            profile = loaded.profile
            yield _config(loaded)
            yield _secret(profile, self.environ)
            where = f"{masked_url(loaded.journal)} · {place_words(loaded)}"
            yield Check("place", "good", where, place=place_json(loaded))
            if is_database(loaded.journal):
                from posctl.journal.open import note_of

                note = note_of(loaded.path, loaded.journal, self.environ)
                journal_found = shared_journal(loaded.journal, live=profile.live, note=note)
                yield journal_found
            else:
                journal = Path(loaded.journal).absolute()
                yield files(journal)
                journal_found = journal_check(journal, live=profile.live)
                yield journal_found
                yield disk(journal)
            yield from _unreached(journal_found.merchants, loaded)
            yield from sweep(journal_found.marks.get(swept(profile.merchant)), self.now_s())
            yield from self._network(profile)
        yield terminal(self.stdout)
        yield zone(self.environ, os.name)

    def _network(self, profile: Profile) -> Iterator[Check]:
        if profile.gateway == TRAINING:
            yield Check("gateway", "good", _("It is inside posctl: nothing leaves this machine."))
            return
        from posctl.gateway.client import Gateway

        try:
            gateway = Gateway(
                profile.gateway,
                timeout=profile.timeout,
                proxy=profile.proxy,
                ca=profile.ca,
                environ=self.environ,
                monotonic=self.monotonic,
            )
        except ConfigError as error:
            yield _failed({"ca": "tls"}.get(error.code, error.code), error)
            return
        with closing(gateway):
            exchange = gateway.post(QUESTION, Sent())
            answered_s = self.now_s()
            yield from _way(profile, gateway.proxy, exchange, self)
        if exchange.event is None:
            yield from _answer(exchange, answered_s)


def _failed(name: str, error: PosctlError) -> Check:
    exit_code = Exit.JOURNAL if isinstance(error, JournalError) else Exit.CONFIG
    return Check(name, "bad", error.message, error.hint, exit_code)


# ── on this machine ──────────────────────────────────────────────────────────────────────────


def _config(loaded: Loaded) -> Check:
    kind = _("live, real money") if loaded.profile.live else _("training, no real money")
    where = str(loaded.path) if loaded.path.exists() else _("no file")
    words = _("{path}: profile {profile} ({kind})")
    message = words.format(path=where, profile=loaded.profile.name, kind=kind)
    missing = not_in(loaded.profile.defaults)
    if not missing:
        return Check("config", "good", message)
    flags = " ".join(FIELDS[name].flag for name in missing)
    return Check(
        "config",
        "warn",
        message + " " + _("Not in its defaults: {names}.").format(names=", ".join(missing)),
        (
            Say(_("Put them there, or give each payment {flags}.").format(flags=flags)),
            Say(_("posctl till needs all of them there.")),
        ),
    )


def _secret(profile: Profile, environ: Mapping[str, str]) -> Check:
    try:
        profile.secret.reveal(environ)
    except ConfigError as error:
        return _failed("secret", error)
    kept = f"{profile.secret.kept_in}: {profile.secret.describe()}"
    return Check("secret", "good", _("It can be read ({where}).").format(where=kept))


def _unreached(held: tuple[OpenOf, ...], loaded: Loaded) -> Iterator[Check]:
    """What is open in the journal, and in no list of this configuration's."""
    known = {one.merchant for one in loaded.profiles}
    for one in unreached(held, known, live=loaded.profile.live):
        yield Check("unreached", "warn", unreached_words(one), way_to(one), merchants=(one,))


def sweep(swept_ms: int | None, now_s: float) -> Iterator[Check]:
    """When `retry --due` last ended, where it ever ran: it may have stopped, and nobody noticed."""
    if swept_ms is None:
        return
    ago_ms = int(now_s * 1000) - swept_ms
    words = _("The last retry --due was {age} ago.").format(age=age(ago_ms))
    if ago_ms <= SWEEP_LATE_MS:
        yield Check("sweep", "good", words)
        return
    hint = _("It is run by cron, a timer or the Task Scheduler: look whether that has stopped.")
    yield Check("sweep", "warn", words, said(hint))


def files(journal: Path) -> Check:
    """Who else can read or change the journal. The configuration and the secret are refused when
    they are read, if others can.
    """
    if sys.platform == "win32":
        from posctl.windows import name_of, others

        return by_lists(journal, others, name_of)
    folder = journal.parent
    found = _mode(folder)
    if found is not None and found & stat.S_IWOTH and not found & stat.S_ISVTX:
        return _exposed("bad", _("{path} can be changed by others."), "o-w", folder)
    said = [] if found is None else [f"{folder.name}/ {found:04o}"]
    loose: Check | None = None
    for name in (journal.name, *(f"{journal.name}{end}" for end in ("-wal", "-shm", ".held"))):
        path = folder / name
        mode = _mode(path)
        if mode is None:
            continue
        said.append(f"{name} {mode:04o}")
        if mode & stat.S_IWOTH:
            return _exposed("bad", _("{path} can be changed by others."), "600", path)
        if mode & 0o077 and loose is None:
            words = _("{path} can be read by others; it may hold payment codes.")
            loose = _exposed("warn", words, "600", path)
    return loose or Check("files", "good", " · ".join(said) or _("There are none yet."))


def by_lists(
    journal: Path, others: Callable[[Path], Others | None], name_of: Callable[[str], str]
) -> Check:
    """The same on Windows, by the access lists of the files that are there."""
    ends = ("", "-wal", "-shm", ".held")
    paths = [journal.parent, *(journal.with_name(f"{journal.name}{end}") for end in ends)]
    private, unknown = [], []
    loose: Check | None = None
    for path in paths:
        if not path.exists():
            continue
        found = others(path)
        if found is None:
            unknown.append(path.name)
        elif found.writers:
            words = _("{path} can be changed by: {names}.")
            return _let_in("bad", words, path, map(name_of, found.writers))
        elif found.readers and path != journal.parent:
            words = _("{path} can be read by: {names}. It may hold payment codes.")
            loose = loose or _let_in("warn", words, path, map(name_of, found.readers))
        else:
            private.append(path.name)
    if unknown:
        words = _("This disk keeps no access lists: others may read {names}.")
        hint = _("Keep the journal on the machine's own NTFS disk.")
        return Check("files", "warn", words.format(names=" · ".join(unknown)), said(hint))
    words = _("Open to this user and administrators alone: {names}")
    return loose or Check("files", "good", words.format(names=" · ".join(private)))


def _let_in(status: Status, words: str, path: Path, names: Iterable[str]) -> Check:
    mend = (Say(_("Type:")), keep_others_out(path))
    message = words.format(path=path, names=", ".join(names))
    return Check("files", status, message, mend, Exit.JOURNAL)


def _exposed(status: Status, words: str, mode: str, path: Path) -> Check:
    mend = (Say(_("Type:")), keep_others_out(path, mode))
    return Check("files", status, words.format(path=path), mend, Exit.JOURNAL)


def _mode(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None


def journal_check(path: Path, *, live: bool) -> Check:
    """Whether payments can be recorded, and whether what is recorded is whole. One for real money
    must have been begun.
    """
    from posctl.journal.health import health

    try:
        found = health(path)
        if found is None:
            _refuse_unwritable(_nearest(path))
            if live:
                raise not_begun(path)
            made = _("There is none yet; the first payment makes {path}.").format(path=path)
            return Check("journal", "good", made)
        if not os.access(path, os.W_OK):
            raise _unusable(path, _("it cannot be written"))
        _refuse_unwritable(path.parent)
    except JournalError as error:
        return _failed("journal", error)
    except OSError as error:  # a folder on the way to it that may not be entered
        return _failed("journal", _unusable(path, reason(error)))
    words = _("{path}: whole; payments: {count}, open: {open}")
    return _counted(words.format(path=path, count=found.payments, open=found.open), found)


def shared_journal(url: str, *, live: bool, note: Path | None = None) -> Check:
    """Whether the database that many tills share can be reached, knows this posctl, and is the one
    and the latest by what this till keeps at `note`.
    """
    from posctl.journal.health import shared_health

    shown = masked_url(url)
    try:
        found = shared_health(url, note)
        if found is None and live:
            raise not_begun(shown)
    except PosctlError as error:
        return _failed("journal", error)
    if found is None:
        made = _("There is none yet; the first payment makes its tables in {path}.")
        return Check("journal", "good", made.format(path=shown))
    words = _("{path}: reached; payments: {count}, open: {open}")
    return _counted(words.format(path=shown, count=found.payments, open=found.open), found)


def _counted(message: str, found: Health) -> Check:
    if found.is_old:
        message += " " + _("(of an older posctl; the next payment brings it up to date)")
    return Check("journal", "good", message, merchants=found.merchants, marks=found.marks)


def _refuse_unwritable(folder: Path) -> None:
    if not folder.is_dir():
        raise _unusable(folder, _("it is not a folder"))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unusable(folder, _("it cannot be written"))


def _unusable(path: Path, why: str) -> JournalError:
    return JournalError(
        "journal_unwritable",
        _("The journal cannot be kept at {path}: {why}.").format(path=path, why=why),
        _("Check its permissions, or name another place with journal: in the configuration."),
    )


def _nearest(path: Path) -> Path:
    """What is there already, of the folders on the way to `path`."""
    return next(folder for folder in path.parents if folder.exists())


def disk(journal: Path, need_bytes: int = MIN_FREE_BYTES) -> Check:
    """Whether the journal has room to grow."""
    try:
        folder = _nearest(journal)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return _failed("disk", _unusable(journal, reason(error)))
    message = _("{free} MB are free for the journal in {folder}.").format(
        free=free // 1_000_000, folder=folder
    )
    if free >= need_bytes:
        return Check("disk", "good", message)
    return Check(
        "disk",
        "bad",
        message,
        said(_("Free some space: a payment that cannot be recorded is not sent.")),
        Exit.JOURNAL,
    )


def terminal(stdout: TextIO | None) -> Check:
    """Whether the terminal's encoding has what posctl shows."""
    encoding = getattr(stdout, "encoding", None) or "ascii"
    try:
        (GLYPHS + "付款").encode(encoding)
    except (UnicodeError, LookupError):
        return Check(
            "terminal",
            "warn",
            _(
                "Its encoding {encoding} lacks signs that posctl shows; it gets others instead."
            ).format(encoding=encoding),
            said(_("Use a UTF-8 terminal, or set PYTHONUTF8=1.")),
        )
    return Check("terminal", "good", _("Its encoding is {encoding}.").format(encoding=encoding))


def zone(environ: Mapping[str, str], os_name: str) -> Check:
    """Of which zone shifts, days and receipts are, and whether the TZ that is set means it."""
    fault, name, here = zone_fault(environ, os_name), environ.get("TZ", ""), times.zone()
    if fault is None:
        words = _("Shifts, days and receipts are in {zone}.")
        return Check("zone", "good", words.format(zone=here))
    if os_name == "nt":  # it has no list of zones
        hint = _("Remove TZ: Windows' own time zone then holds. Or, for China, set TZ=CST-8.")
    else:
        hint = _zone_hint("" if fault == "turned" else name)
    return Check("zone", "warn", zone_words(name, fault, here), said(hint))


def _zone_hint(name: str) -> str:
    from zoneinfo import available_timezones

    known = available_timezones()
    if not known:
        return _("This machine has no list of time zones: install tzdata.")
    near = nearest(name.removeprefix(":"), known, cutoff=0.7)
    return _("Set TZ={near}, or remove TZ: the machine's own zone then holds.").format(
        near=near or "Asia/Shanghai"
    )


# ── on the way to the gateway ────────────────────────────────────────────────────────────────

_STEP_OF = {
    Event.DNS_FAILED: "dns",
    Event.REFUSED: "tcp",
    Event.NO_ROUTE: "tcp",
    Event.CONNECT_TIMEOUT: "tcp",
    Event.PROXY_REFUSED: "proxy",
    Event.TLS_REFUSED: "tls",
    Event.HANDSHAKE_CUT: "tls",
}


def _way(
    profile: Profile, proxy: str | None, exchange: Exchange, doctor: Doctor
) -> Iterator[Check]:
    """The steps up to the one that failed; through a proxy, names and ports are its business."""
    parts = urlsplit(profile.gateway)
    steps = ["proxy"] if proxy else ["dns", "tcp"]
    steps += ["tls"] if parts.scheme == "https" else []
    failed_at = exchange.event and _STEP_OF.get(exchange.event, "gateway")
    for step in steps:
        if step == failed_at:
            break
        if step == "tls":
            yield _certificate(profile, doctor)
        elif step == "proxy":
            yield Check(step, "good", _("By way of the proxy {proxy}.").format(proxy=proxy))
        elif step == "dns":
            yield Check(step, "good", _addresses(str(parts.hostname)))
        else:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            yield Check(step, "good", _("Port {port} takes connections.").format(port=port))
    if exchange.event and failed_at:
        yield _broken(failed_at, exchange, profile, doctor)


def _broken(step: str, exchange: Exchange, profile: Profile, doctor: Doctor) -> Check:
    event = exchange.event or Event.UNSENT
    message = _(advice.EVENT_WORDS[event])
    if exchange.detail:
        message += f" ({exchange.detail})"
    if step == "tls":
        from posctl.help.certificate import refused_issuer

        issuer = refused_issuer(profile, doctor.environ)
        if issuer:
            message += " " + _("It was issued by: {issuer}").format(issuer=issuer)
    hint = advice.remedy(Outcome.NOT_SENT, event)
    return Check(step, "bad", message, said(hint), Exit.NOT_SENT)


def _addresses(host: str) -> str:
    try:
        found = socket.getaddrinfo(host, None, 0, socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # it was there a moment ago
        found = []
    addresses = dict.fromkeys(str(address[0]) for *_rest, address in found)
    return f"{host}: {' '.join(addresses)}"


def _certificate(profile: Profile, doctor: Doctor) -> Check:
    """For how long the certificate is valid, and by whom; it was accepted a moment ago."""
    from posctl.help.certificate import look

    found = look(profile, doctor.environ)
    if found is None:  # the network changes its mind at times
        return Check("tls", "good", _("The certificate is accepted."))
    days = int((found.expires_s - doctor.now_s()) // 86400)
    words = _("The certificate is accepted, issued by {issuer}, valid for {days} more days.")
    message = words.format(issuer=found.issuer, days=days)
    if not found.is_public:
        message += " " + _("The issuer is not a public authority.")
        if profile.ca:
            message += " " + _("It is trusted through ca: {path}").format(path=profile.ca)
        hint = _("A proxy or a virus scanner may read along. Do not pay unless it is your own.")
        return Check("tls", "warn", message, said(hint))
    if days < SHORT_VALIDITY_DAYS:
        hint = _("Nothing to do here; when it expires and is not renewed, payments stop.")
        return Check("tls", "warn", message, said(hint))
    return Check("tls", "good", message)


def _answer(exchange: Exchange, answered_s: float) -> Iterator[Check]:
    """Who answered, and what time it is there."""
    status = exchange.http_status or 0
    reply = read_reply(exchange.body or b"", PAY_METHOD)
    if not isinstance(reply, ErrorAnswer) or reply.code is None:
        event = read_event(reply, status, None)
        event = event if event in (Event.REDIRECT, Event.HTTP_ERROR) else Event.NOT_TOP
        message = f"{_(advice.EVENT_WORDS[event])} (HTTP {status})"
        hint = _("Check gateway in the profile, the proxy, and whether the network wants a login.")
        yield Check("gateway", "bad", message, said(hint), Exit.NOT_SENT)
        return
    words = _("It answers as TOP: it refuses an empty call with code {code}.")
    yield Check("gateway", "good", words.format(code=reply.code))
    yield _clock(exchange.server_date, answered_s)


def _clock(server_date: str | None, now_s: float) -> Check:
    try:
        told = parsedate_to_datetime(server_date or "")
        ahead_s = round(now_s - (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        message = _("The gateway does not send its time, so this machine's clock was not checked.")
        return Check("clock", "warn", message)
    if ahead_s > 0:
        message = _("{seconds} s ahead of the gateway.").format(seconds=ahead_s)
    else:
        message = _("{seconds} s behind the gateway.").format(seconds=-ahead_s)
    hint = _("Set this machine's clock: it may be at most 10 minutes off.")
    if abs(ahead_s) > WRONG_CLOCK_S:
        return Check("clock", "bad", message, said(hint), Exit.CONFIG)
    if abs(ahead_s) > SLOW_CLOCK_S:
        return Check("clock", "warn", message, said(hint))
    return Check("clock", "good", message)
