"""One run of posctl: the global options, and every collaborator a command needs, made when asked.

Clock, ids, streams, environment and signals enter the program here and nowhere else.
"""

from __future__ import annotations

import os
import sys
import time
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from posctl.errors import ConfigError, JournalError, UsageError
from posctl.hint import Say, Type
from posctl.messages import LANGUAGES, _
from posctl.screen.screen import FORMATS, Manner, Screen
from posctl.shell import use_globals
from posctl.startup import light_imports
from posctl.text import uuid_text
from posctl.times import age, now_ms, zone, zone_fault, zone_words

if TYPE_CHECKING:
    from posctl.config.profile import Loaded
    from posctl.gateway.exchange import Post
    from posctl.journal import Journal
    from posctl.money.outcome import Exit
    from posctl.money.record import OpenOf, PaidOf, Payment, Who
    from posctl.money.result import Result
    from posctl.paying.desk import Desk, Patience
    from posctl.paying.unreached import Held


MAX_CODE_INPUT = 4096  # characters; the longest code has 128


class Globals(NamedTuple):
    """The options that stand before or after a command's name."""

    profile: str | None = None
    config: str | None = None
    as_json: bool = False
    format: str | None = None
    field: str | None = None
    quiet: bool = False
    lang: str | None = None
    no_color: bool = False
    debug: bool = False


class Interrupts:
    """Ctrl-C, Ctrl-Break, SIGTERM, a closed terminal: let through only where they can do no harm.

    Between an answer and its record they wait; around the network and at pauses they raise
    KeyboardInterrupt at once.
    """

    def __init__(self) -> None:
        self._allowed = False
        self._waiting = False

    def install(self) -> None:
        """Take the signals over for a command that moves money."""
        import signal

        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._on_signal)

    def _on_signal(self, _signum: int, _frame: object) -> None:
        self._waiting = not self._allowed
        if self._allowed:
            # At once: it may come while `allowed` is entered or left, before what shuts it there.
            self._allowed = False
            raise KeyboardInterrupt

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Here a signal may raise KeyboardInterrupt, one that has waited included."""
        self._allowed = True
        try:
            if self._waiting:
                raise KeyboardInterrupt
            yield
        finally:
            self._allowed = False
            self._waiting = False


class Run:
    """What a command gets: see the module. Made once per run by `app.run`, closed by it."""

    def __init__(
        self,
        given: Globals,
        environ: Mapping[str, str],
        stdin: TextIO | None,
        screen: Screen,
    ) -> None:
        self.globals = given
        self.environ = environ
        self.stdin = stdin
        self.screen = screen
        self.interrupts = Interrupts()
        # What the payment came to. From then on nothing may change the exit code, least of all
        # a failure to tell it.
        self.decided: Exit | None = None
        self._loaded: Loaded | None = None
        self._journal: Journal | None = None
        self._closing: list[Callable[[], None]] = []

    def add_globals(self, more: Globals) -> None:
        """Merge options from the other side of the command's name; a clash is refused."""
        for name in Globals._fields:
            new, old = getattr(more, name), getattr(self.globals, name)
            if new in (None, False) or new == old:
                continue
            if old not in (None, False):
                raise UsageError(
                    "given_twice",
                    _("--{name} was given twice, with two values.").format(name=name),
                )
            self.globals = self.globals._replace(**{name: new})
        if self.globals.lang is not None and self.globals.lang not in LANGUAGES:
            raise UsageError("bad_lang", _("--lang is one of: {choice}.").format(choice="en, zh"))
        self.screen = Screen(self.screen.stdout, self.screen.stderr, self._manner())
        use_globals(self.globals.profile, self.globals.config)

    def _manner(self) -> Manner:
        given, seen = self.globals, self.screen.manner  # seen before anything was parsed
        asked = given.format or seen.format
        if asked not in (None, *FORMATS):
            words = _("--format is one of: {choice}.").format(choice=", ".join(FORMATS))
            raise UsageError("bad_format", words)
        if given.as_json and asked not in (None, "json"):
            raise UsageError(
                "given_twice",
                _("Only one of --json and --format {name} can be given.").format(name=asked),
            )
        field = given.field or seen.field
        if field is not None and asked in ("text", "csv"):
            words = _("--field prints one bare value, not {name}.").format(name=asked)
            raise UsageError("given_twice", words)
        return Manner(
            format="json" if given.as_json else asked,
            field=field,
            color=False if given.no_color else None,
            quiet=given.quiet or seen.quiet,
            codes=seen.codes,
        )

    @property
    def profile_name(self) -> str | None:
        """The profile in use, as far as it is known."""
        return self._loaded.profile.name if self._loaded else None

    @property
    def live(self) -> bool | None:
        """Whether this run is about real money, as far as that is known."""
        return self._loaded.profile.live if self._loaded else None

    def load(self) -> Loaded:
        """The configuration and the profile in use; clashes are said once. Raises ConfigError."""
        if self._loaded is None:
            from posctl.config.profiles import load

            self._loaded = load(self.globals.config, self.globals.profile, self.environ)
            for warning in self._loaded.warnings:
                self.screen.note(warning)
        return self._loaded

    def journal(self) -> Journal:
        """The journal, opened once; one for real money is not begun. Raises JournalError,
        ConfigError.
        """
        if self._journal is None:
            from posctl.journal.open import note_of, open_journal

            loaded = self.load()
            self._journal = open_journal(
                loaded.journal,
                loaded.profile.timeout.total_s,
                begin=not loaded.profile.live,
                # A training payment that a journal put back has forgotten charges nobody.
                note=note_of(loaded.path, loaded.journal, self.environ)
                if loaded.profile.live
                else None,
            )
            self._closing.append(self._journal.close)
        return self._journal

    def own_journal(self) -> Journal:
        """The journal, for what sends or seals: refused while the profile's name last paid for
        another merchant, as after an app_key was issued anew. Raises ConfigError, JournalError.
        """
        journal, profile = self.journal(), self.load().profile
        last = journal.last_merchant(profile.name) if profile.live else None
        if last not in (None, profile.merchant.name):
            raise ConfigError(
                "other_merchant",
                _(
                    "Profile {profile} has paid for merchant {last} until now, and means {name} "
                    "today. Its open payments would be out of sight, and their checkouts charged "
                    "again."
                ).format(profile=profile.name, last=last, name=profile.merchant.name),
                (
                    Say(_("The same seller? Write into the profile:")),
                    Say(f"merchant: {last}"),
                    Say(_("Another seller? Give the profile another name.")),
                ),
            )
        return journal

    def desk(self) -> Desk:
        """Everything that a payment needs, signals included. Raises ConfigError, JournalError."""
        with light_imports():
            from posctl.gateway.client import Gateway
        from posctl.paying.desk import Desk

        profile = self.load().profile
        with self.interrupts.allowed():  # a command may ask, or take its time
            secret = profile.secret.reveal(self.environ)
        journal = self.own_journal()
        url = self._training_url() if profile.gateway == "training" else profile.gateway
        gateway = Gateway(
            url,
            timeout=profile.timeout,
            proxy=profile.proxy,
            ca=profile.ca,
            environ=self.environ,
            monotonic=time.monotonic,
        )
        self._closing.append(gateway.close)
        if gateway.proxy is not None and (self.globals.debug or url.startswith("http:")):
            self.screen.aside(_("By way of the proxy {proxy}.").format(proxy=gateway.proxy))
        self.interrupts.install()
        return Desk(
            profile=profile,
            secret=secret,
            journal=journal,
            gateway=self._discreet(gateway, profile.session),
            who=_who,
            now_s=time.time,
            uptime_s=uptime_s,
            new_id=new_request_id,
            interruptible=self.interrupts.allowed,
            profiles=self.load().profiles,
        )

    def _discreet(self, gateway: Post, session: str | None) -> Post:
        """The gateway, with its session kept out of what comes back, and told with --debug."""
        if session is not None:
            from posctl.gateway.debug import Discreet

            gateway = Discreet(gateway, session)
        if self.globals.debug:
            from posctl.gateway.debug import Narrator

            gateway = Narrator(gateway, self.screen.note)
        return gateway

    def _training_url(self) -> str:
        from posctl.training import start_in_process

        url, stop = start_in_process(self.training_ledger())
        self._closing.append(stop)
        return url

    def training_ledger(self) -> Path:
        """Where the training gateway remembers: on this machine. Raises ConfigError."""
        from posctl.config.profiles import state_folder

        return state_folder(self.globals.config, self.environ) / "training.db"

    def now_s(self) -> float:
        """The clock, in seconds since the epoch."""
        return time.time()

    def now_ms(self) -> int:
        """The same, in milliseconds."""
        return now_ms()

    def patience(self, wait_s: float | None) -> Patience | None:
        """What `--wait` needs; None without it."""
        if wait_s is None:
            return None
        from posctl.paying.desk import Patience

        return Patience(wait_s, time.monotonic, self._pause)

    def _pause(self, seconds: float, result: Result) -> None:
        with self.interrupts.allowed():
            self.screen.countdown(seconds, result, time.sleep)

    def banner(self) -> None:
        """Say loudly that this is training; on a terminal the verdict itself says it."""
        if not self.load().profile.live and not self.screen.interactive:
            self.screen.aside(_("▲ TRAINING: no real money moves."))

    def mention_open(self, besides: Payment | None = None) -> None:
        """One line on stderr about payments that have been open for over a minute."""
        profile = self.load().profile
        try:
            found = self.journal().open_since(profile.merchant)
        except JournalError:
            return
        if found is None or (found[0] == 1 and besides is not None and besides.open):
            return
        count, since_ms = found
        age_ms = self.now_ms() - since_ms
        if age_ms >= 60_000:
            words = _("▲ Open payments: {count}, the oldest for {age}. See:")
            before = () if profile.live else ("--profile", profile.name)
            see = Type((*before, "pending"))
            self.screen.aside(words.format(count=count, age=age(age_ms)), see)

    def mention_zone(self) -> None:
        """Say on stderr that days are of another zone than TZ was meant to name."""
        fault = zone_fault(self.environ, os.name)
        if fault is not None:
            words = zone_words(self.environ["TZ"], fault, zone())
            self.screen.warn(words, (Say(_("What to do:")), Type(("doctor",))))

    def unreached(self) -> tuple[OpenOf, ...]:
        """The open payments that no profile of the configuration reaches. Raises JournalError,
        ConfigError.
        """
        return self._out_of_reach(self.journal().open_merchants())

    def unreached_paid(
        self, since_ms: int | None = None, until_ms: int | None = None
    ) -> tuple[PaidOf, ...]:
        """The paid ones, begun in this span, that no shift holds either. Raises as above."""
        return self._out_of_reach(self.journal().paid_merchants(since_ms, until_ms))

    def _out_of_reach(self, held: list[Held]) -> tuple[Held, ...]:
        loaded = self.load()
        if all(one.merchant == loaded.profile.merchant for one in held):
            return ()
        from posctl.paying.unreached import unreached

        known = {one.merchant for one in loaded.profiles}
        return unreached(held, known, live=loaded.profile.live)

    def mention_unreached(self, found: Sequence[OpenOf | PaidOf]) -> None:
        """Say on stderr what no profile reaches, and what to type."""
        if not found:
            return
        from posctl.paying.unreached import unreached_words, way_to

        for one in found:
            self.screen.warn(unreached_words(one), way_to(one))

    def can_ask(self) -> bool:
        """Whether a person sits at a terminal and can answer."""
        return self.screen.interactive and self.stdin is not None and self.stdin.isatty()

    def confirm(self, question: str) -> bool:
        """Ask a yes-or-no question on stderr; anything but yes is no."""
        if self.stdin is None:
            return False
        self.screen.ask(_("{question} [y/N] ").format(question=question))
        with self.interrupts.allowed():
            answer = self.stdin.readline()
        return answer.strip().lower() in ("y", "yes", "是", "好")

    def scan_code(self) -> str:
        """A payment code from the scanner at the terminal, without echo. Raises UsageError."""
        if self.stdin is None or not self.stdin.isatty():
            raise UsageError(
                "no_terminal",
                _("--scan needs a terminal to ask on."),
                _("Send the code through a pipe with --code-stdin."),
            )
        from getpass import getpass

        with self.interrupts.allowed():
            return one_code(getpass(_("Scan the payment code: ")))

    def code_from_stdin(self) -> str:
        """A payment code from a pipe. Raises UsageError."""
        try:
            with self.interrupts.allowed():
                raw = self.stdin.buffer.read(MAX_CODE_INPUT + 1) if self.stdin is not None else b""
            encoding = self.stdin.encoding if self.stdin is not None else "utf-8"
            text = typed_text(raw, encoding)
        except UnicodeDecodeError:
            raise UsageError("bad_code", _("The input for --code-stdin is not text.")) from None
        return one_code(text)

    def close(self) -> None:
        """Close whatever was opened, the last first."""
        while self._closing:
            self._closing.pop()()


def typed_text(raw: bytes, encoding: str) -> str:
    """What came in through a pipe. PowerShell and Notepad put a mark before it that says how it is
    written; without one it is in the pipe's own `encoding`. Raises UnicodeDecodeError.
    """
    if raw.startswith(BOM_UTF8):
        return raw.decode("utf-8-sig")
    return raw.decode("utf-16" if raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else encoding)


def one_code(text: str) -> str:
    """The one code in what a scanner typed, whatever it puts around it. Raises UsageError."""
    from posctl.money.scan import pieces

    lines = pieces(text)
    if len(lines) == 1 and len(text) <= MAX_CODE_INPUT:
        return lines[0]
    if not lines:
        raise UsageError("no_code", _("No payment code came in."), _("Scan it once more."))
    raise UsageError(
        "many_codes", _("More than one payment code came in."), _("Scan the code once.")
    )


def new_request_id() -> str:
    """A random UUID (version 4), without importing what makes it in general."""
    raw = bytearray(os.urandom(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    return uuid_text(raw)


def uptime_s() -> float:
    """Seconds by a clock that never goes back and counts the time a machine sleeps.

    Linux has CLOCK_BOOTTIME for that; macOS counts sleep in CLOCK_MONOTONIC, Windows in what
    Python calls monotonic.
    """
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":
        return time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.monotonic()


def _who(machine_id: str, operator_id: str) -> Who:
    import socket

    from posctl.money.record import Who

    return Who(socket.gethostname(), os.getpid(), machine_id, operator_id)
