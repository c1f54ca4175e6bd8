"""The only file that draws: for people on a terminal, as plain lines, as JSON, as one bare value.

Results go to stdout, everything else to stderr. Text from elsewhere passes `visible` before it
reaches a screen. A failure to print is reported to the caller, never raised: it must not change
what a payment's exit code says.

Drawings keep to glyphs that a Chinese Windows console (cp936) has, and to no right-hand border:
`√ × … ● ▲` take one column on one terminal and two on another.
"""

from __future__ import annotations

import codecs
import errno
import json
import os
import re
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO, TypeGuard, TypeVar

from posctl import advice
from posctl.hint import Hint, Say, Type
from posctl.messages import N_, _, language
from posctl.order import CODE_FIELDS, masked, yuan
from posctl.outcome import Event, Exit, Outcome, State, outcome_of
from posctl.shell import line_of, lines_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.segment import Segment
    from rich.text import Text

    from posctl.admit import Due
    from posctl.journal import Alarm, Payment, Try
    from posctl.records import Records
    from posctl.result import Problem, Result
    from posctl.status import StatusAnswer

# C0 but tab and newline, DEL, C1, bidi and other invisible controls, lone surrogates.
UNSAFE = (
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\ud800-\udfff]"
)
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


T = TypeVar("T")


class View(NamedTuple):
    """What a command has to show: the JSON object, and how a person sees it.

    `data` also makes the plain lines and `--field`; a long list in it may be made as it is gone
    through. `draw` gets a canvas on a terminal.
    """

    data: Mapping[str, Any]
    draw: Callable[[Canvas], None]


class Canvas:
    """What a person sees, drawn line by line and shown in few pieces: Rich would take three times
    as long to print each line by itself.
    """

    PIECE = 2000  # parts of lines; a verdict has some dozens

    def __init__(self, console: Console) -> None:
        self.console = console
        self.width = console.width
        self.color_system = console.color_system  # None where nothing can stand out
        self._segments: list[Segment] = []

    def print(self, line: Text | None = None, style: str = "") -> None:
        """One line, broken by nobody but the terminal; without `line` an empty one."""
        from rich.text import Text  # noqa: PLC0415  only for a terminal

        line = Text() if line is None else line
        line.stylize_before(style)
        self._segments.extend(line.render(self.console, end="\n"))
        if len(self._segments) >= self.PIECE:
            self.show()

    def show(self) -> None:
        """Write what was drawn. Raises OSError, and what Rich does about a closed pipe."""
        from rich.segment import Segments  # noqa: PLC0415  as above

        self.console.print(Segments(self._segments), soft_wrap=True)
        self._segments.clear()


class Screen:
    """Where and how to show things. `stdout` and `stderr` are None when they were closed.

    `color` False is no colour; None is what the terminal and NO_COLOR say.
    """

    def __init__(
        self,
        stdout: TextIO | None,
        stderr: TextIO | None,
        *,
        json: bool = False,
        field: str | None = None,
        color: bool | None = None,
    ) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.json = json
        self.field = field
        self.color = color
        self._consoles: dict[tuple[TextIO, int | None], Console] = {}  # by columns: windows grow
        self.begun = False  # whether a result has begun to go out: there must not be two
        for stream in (stdout, stderr):
            take_any_text(stream)

    @property
    def interactive(self) -> bool:
        """Whether a person reads stdout as it comes."""
        return not self.json and self.field is None and is_tty(self.stdout)

    def show(self, view: View) -> bool:
        """Write the result to stdout. False when it could not be written out whole; that is said
        on stderr, but for a reader who has seen enough and closed the pipe.
        """
        if self.stdout is None:
            return False
        return self._printed(self._show(view, self.stdout))

    def _show(self, view: View, stdout: TextIO) -> bool:
        self.begun = True
        if self.json:
            ascii_only = not speaks_unicode(stdout)
            return write_pieces(stdout, json_pieces(view.data, ascii_only=ascii_only))
        if self.field is not None:
            return write(stdout, bare(self._field(self.field, view.data)) + "\n")
        if is_tty(stdout):
            try:
                canvas = Canvas(self._console(stdout))
                view.draw(canvas)
                canvas.show()
                stdout.flush()
            except SystemExit:  # Rich leaves the program when a pipe is closed
                self._consoles.clear()
                return False
            except OSError as error:
                self._consoles.clear()  # this one would show its drawing once more with the next
                # No file descriptor left to load a module with: plain lines need none.
                full = error.errno in (errno.EMFILE, errno.ENFILE)
                return full and self._lines(view.data, stdout)
            except Exception:  # noqa: BLE001  a bug in a drawing must not hide what happened
                self._consoles.clear()
                return self._lines(view.data, stdout)
            return True
        return self._lines(view.data, stdout)

    def _field(self, field: str, data: Mapping[str, Any]) -> object:
        """The value of `field`. That there is none is said when all is done, and so it is no error
        of usage: that would say that nothing was done.
        """
        try:
            return pick(data, field)
        except KeyError:
            # Pay and retry looked at the name before they sent; an error says enough itself.
            if data.get("command") not in ("pay", "retry") and not data.get("error"):
                self.note("▲ " + _("There is no field {name}.").format(name=field[:64]))
                self.note(_("There are: {names}").format(names=", ".join(data)))
            return None

    def _lines(self, data: Mapping[str, Any], stream: TextIO) -> bool:
        return write_pieces(stream, (f"{name}: {value}\n" for name, value in plain(data)))

    def note(self, text: str, command: Type | None = None) -> None:
        """One line of banner, progress or warning on stderr, and a `command` whole behind it; below
        it, where a terminal has no room beside it.
        """
        line = one_line(text)
        if command is None:
            write(self.stderr, self._in_lines(line) + "\n")
            return
        typed = one_line(line_of(command))
        width = width_of(self.stderr) if self.stderr and is_tty(self.stderr) else None
        if width is None or len(line) + 1 + len(typed) < width:
            write(self.stderr, f"{line} {typed}\n")
        else:
            write(self.stderr, f"{self._in_lines(line)}\n   {typed}\n")

    def _in_lines(self, text: str) -> str:
        """English broken between words on a terminal; a path or a command is left whole.

        Chinese has no spaces, and may be broken anywhere: the terminal does that itself.
        """
        width = width_of(self.stderr) if self.stderr and is_tty(self.stderr) else None
        if width is None or len(text) < width or language() != "en":
            return text
        from textwrap import fill  # noqa: PLC0415  only for a long line on a terminal

        return fill(
            text,
            width - 1,
            subsequent_indent="   ",
            break_long_words=False,
            break_on_hyphens=False,
        )

    def lines(self, text: str) -> None:
        """Lines of posctl's own on stderr, such as the help."""
        write(self.stderr, visible(text) + "\n")

    def line(self, text: str) -> bool:
        """Plain lines on stdout, such as the version or a receipt, as `show`."""
        return self.stdout is not None and self._printed(write(self.stdout, text + "\n"))

    def _printed(self, printed: bool) -> bool:  # noqa: FBT001  said of what was just written
        if not printed and self.stdout is not None and not is_pipe(self.stdout):
            self.note(_("▲ The result could not be written to stdout."))
        return printed

    def ask(self, question: str) -> None:
        """A question on stderr, the cursor left behind it."""
        write(self.stderr, one_line(question))

    def problem(self, problem: Problem) -> None:
        """What went wrong and what to type next, on stderr."""
        self.note(_("Error: {text}").format(text=problem.message))
        self._type_next(problem.hint)

    def warn(self, text: str, hint: Hint) -> None:
        """What somebody must know besides, and what to type, on stderr."""
        self.note(f"▲ {text}")
        self._type_next(hint)

    def _type_next(self, hint: Hint) -> None:
        for line in lines_of(hint):
            write(self.stderr, f"  → {one_line(line)}\n")  # a command must be whole to be copied

    def input_line(self, text: str, *, keep: bool = False) -> bool:
        """Write over the terminal's last line and leave the cursor behind `text`, or behind the
        end of it where it is too wide. With `keep` all of it stays, and a new line is the last.
        """
        from rich.cells import cell_len  # noqa: PLC0415  only for a terminal

        if self.stdout is None:
            return False
        width = (width_of(self.stdout) or 80) - 2  # a glyph may be wider than Rich thinks
        line = one_line(text)
        if keep:
            return write(self.stdout, f"\r{' ' * width}\r{line}\n")
        while cell_len(line) > width:
            line = f"…{line[2:]}"
        return write(self.stdout, f"\r{line}{' ' * (width - cell_len(line))}\r{line}")

    def countdown(self, seconds: float, result: Result, sleep: Callable[[float], None]) -> None:
        """Wait `seconds` before asking again; on a terminal one line counts them down.

        Lets a KeyboardInterrupt of `sleep` through, with the line wiped.
        """
        word = _(LOOKS[result.outcome or Outcome.UNKNOWN].word)
        sentence = _("{word} · asking again in {seconds} s · Ctrl-C stops, the payment stays open")
        with self._passing_line() as say:
            if say is None:
                self.note(sentence.format(word=word, seconds=-int(-seconds // 1)))
                sleep(seconds)
                return
            left = seconds
            while left > 0:
                whole = -int(-left // 1)  # rounded up
                say(sentence.format(word=word, seconds=whole))
                step = left - (whole - 1)
                sleep(step)
                left -= step

    @contextmanager
    def sending(self, fee: int) -> Iterator[None]:
        """While a payment is on the wire, a terminal says so: an answer can take a while."""
        if not self.interactive:
            yield
            return
        with self._passing_line() as say:
            if say is not None:
                say(_("Sending {money} …").format(money=advice.amount(fee)))
            yield

    def progress(self, results: Iterable[Result], total: int) -> Iterator[Result]:
        """Pass `results` on; on a terminal one line says how far it is."""
        every = max(1, total // 100)
        with self._passing_line() as say:
            for done, result in enumerate(results, 1):
                yield result
                if say is not None and done % every == 0:
                    share = min(1.0, done / max(1, total))
                    bar = "#" * round(share * 20)
                    say(f"[{bar:.<20}] {done}/{total}")

    def stopping(self) -> None:
        """Say what a Ctrl-C does while payments are on their way, below the line of `progress`."""
        if is_tty(self.stderr):
            write(self.stderr, "\n")
        self.note(_("Stopping: what is on its way is still recorded. Ctrl-C again leaves it open."))

    @contextmanager
    def _passing_line(self) -> Iterator[Callable[[str], None] | None]:
        """A line on stderr that is written over and wiped in the end; None where it cannot be."""
        if self.stderr is None or not is_tty(self.stderr):
            yield None
            return
        console = self._console(self.stderr)
        if console.is_dumb_terminal:
            yield None
            return
        from rich.cells import set_cell_size  # noqa: PLC0415  with Rich

        width = console.width - 2  # a glyph may be wider than Rich thinks
        stderr = self.stderr

        def say(text: str) -> None:
            write(stderr, "\r" + set_cell_size(one_line(text), width))

        try:
            yield say
        finally:
            write(stderr, "\r" + " " * width + "\r")

    def _console(self, stream: TextIO) -> Console:
        key = stream, width_of(stream)
        if key not in self._consoles:
            self._consoles[key] = self._new_console(*key)
        return self._consoles[key]

    def _new_console(self, stream: TextIO, width: int | None) -> Console:
        from os import environ  # noqa: PLC0415  only for a terminal

        from rich.console import Console  # noqa: PLC0415  40 ms, only for a terminal

        return Console(
            file=stream,
            width=width,
            height=24,  # nothing here asks for it, but without it Rich takes 80 columns when dumb
            # A terminal that calls itself dumb gets colour when FORCE_COLOR says so. A pipe never
            # does: its lines are read by scripts.
            color_system="standard" if environ.get("FORCE_COLOR") else "auto",
            no_color=True if self.color is False else None,
            highlight=False,
            markup=False,
            emoji=False,
        )


# ── streams that take everything ─────────────────────────────────────────────────────────────

_IN_ASCII = {
    "√": "+", "×": "x", "…": "...", "●": "*", "▲": "!", "→": "->", "·": "-", "￥": "CNY ",
    "�": "?",
}  # fmt: skip


def in_ascii(error: UnicodeError) -> tuple[str, int]:
    """What a stream's encoding lacks: something like it, or else an escape."""
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101  registered for writing only
    found = error.object[error.start : error.end]
    escaped = (
        _IN_ASCII.get(c) or c.encode("ascii", "backslashreplace").decode("ascii") for c in found
    )
    return "".join(escaped), error.end


codecs.register_error("posctl_ascii", in_ascii)


def take_any_text(stream: TextIO | None) -> None:
    """Let `stream` write what its encoding lacks in ASCII, instead of failing."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None and getattr(stream, "errors", None) != "posctl_ascii":
        try:
            reconfigure(errors="posctl_ascii")
        except (OSError, ValueError):  # it flushes first; a closed or full stream stays as it is
            return


_PIECE = 65_536  # characters


def write(stream: TextIO | None, text: str) -> bool:
    """Write and flush; False when that fails."""
    if stream is None:
        return False
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):  # a full disk, a closed pipe, a closed file
        return False
    return True


def write_pieces(stream: TextIO | None, texts: Iterable[str]) -> bool:
    """Write what may be long, piece by piece; what is short goes out in one."""
    waiting, size = [], 0
    for text in texts:
        waiting.append(text)
        size += len(text)
        if size >= _PIECE:
            if not write(stream, "".join(waiting)):
                return False
            waiting, size = [], 0
    return not waiting or write(stream, "".join(waiting))


def is_pipe(stream: TextIO) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):  # closed, or no file
        return False


def is_tty(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def width_of(stream: TextIO) -> int | None:
    """The terminal's columns, at least 20; None lets Rich find out."""
    from os import get_terminal_size  # noqa: PLC0415

    try:
        columns = get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return None
    return max(20, columns) if columns else None


# ── for scripts ──────────────────────────────────────────────────────────────────────────────


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


def speaks_unicode(stream: TextIO) -> bool:
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "") == "utf8"


# ── the verdict ──────────────────────────────────────────────────────────────────────────────


class Look(NamedTuple):
    """How an outcome looks: never by colour alone."""

    glyph: str
    word: str
    color: str


LOOKS = {
    Outcome.SUCCESS: Look("√", N_("PAID"), "green"),
    Outcome.FAIL: Look("×", N_("FAILED"), "red"),
    Outcome.NOT_SENT: Look("×", N_("NOT SENT"), "red"),
    Outcome.REJECTED: Look("×", N_("REFUSED"), "red"),
    Outcome.PENDING: Look("…", N_("PENDING"), "yellow"),
    Outcome.UNKNOWN: Look("▲", N_("UNKNOWN"), "yellow"),
    Outcome.CONFLICT: Look("▲", N_("CONFLICT"), "magenta"),
    Outcome.BLOCKED: Look("●", N_("BLOCKED"), "yellow"),
}
STILL_OPEN = frozenset({Outcome.PENDING, Outcome.UNKNOWN, Outcome.CONFLICT})


def draw_result(canvas: Canvas, result: Result, profile: str, *, live: bool) -> None:
    """The verdict of one payment: what happened, what is still due, which one, what to do."""
    draw_head(canvas, profile, live=live)
    outcome, payment, asked = result.outcome, result.payment, result.asked
    message = result.problem.message if result.problem else ""
    if outcome is not None:
        fee = payment.pay_fee if payment else asked.pay_fee
        word = _("INTERRUPTED") if result.exit_code is Exit.INTERRUPTED else None
        draw_verdict(canvas, outcome, payment, fee, word)
        message = message.replace(advice.money(outcome), "").strip()  # the verdict says it
    holding = payment or result.blocked_by
    if holding is not None and holding.open:
        draw_bar(canvas, _("DO NOT CHARGE AGAIN"), "red", gap=True)
    elif states_due(result):
        draw_due(canvas, result.remaining_fee)

    canvas.print()
    facts = [("checkout_id", payment.checkout.checkout_id if payment else asked.checkout_id)]
    facts += ids_of(payment) if payment else [("request_id", asked.request_id)]
    by = result.blocked_by
    if by is not None:
        if by.request_id != asked.request_id:
            facts.append((_("blocked by"), by.request_id))
        if by.open and result.remaining_fee is not None:
            facts.append((_("still due"), advice.amount(result.remaining_fee)))
    draw_facts(canvas, facts)

    if result.resumed and payment is not None:
        again = _("Not a new payment: it was begun at {when}.")
        draw_prose(canvas, again.format(when=date_time(payment.created_ms)), gap=True)
    if outcome is Outcome.PENDING:
        message = _(advice.EVENT_WORDS[Event.STILL_PENDING])
    if message:
        draw_prose(canvas, message, gap=True)
    draw_hint(canvas, next_steps(result, profile), gap=True)


def next_steps(result: Result, profile: str) -> Hint:
    """What to type after a verdict; nothing when there is nothing left to do."""
    payment = result.payment
    if result.problem is not None:
        return result.problem.hint
    if payment is None:
        return ()
    if payment.open:
        return advice.next_step(payment)
    if payment.standing.paid and (result.remaining_fee or 0) > 0:
        return advice.rest(payment, result.remaining_fee or 0, profile)
    return ()


def draw_results(
    canvas: Canvas, results: Records | Sequence[Mapping[str, Any]], profile: str, *, live: bool
) -> None:
    """The verdicts of several payments, as JSON has them, and how many there are of each."""
    if not results:
        draw_prose(canvas, _("Nothing is open."))
        return
    draw_head(canvas, profile, live=live)
    draw_rows(
        canvas,
        (_("Outcome"), _("Amount"), "checkout_id", "request_id"),
        results,
        lambda one: (
            named(Outcome(one["outcome"]), one["state"]),
            f"￥{yuan(one['pay_fee'])}",
            one["checkout_id"],
            one["request_id"],
        ),
    )
    canvas.print()
    counts = Counter(one["outcome"] for one in results)
    parts = [f"{look.glyph} {_(look.word)} {counts[o]}" for o, look in LOOKS.items() if counts[o]]
    draw_parts(canvas, parts, "bold")
    if not STILL_OPEN.isdisjoint(counts):
        draw_bar(canvas, _("DO NOT CHARGE AGAIN"), "red")
        draw_hint(canvas, (Say(_("See what to do:")), Type(("pending",))))


def draw_status(
    canvas: Canvas,
    asked: StatusAnswer,
    checkout_id: str,
    payment: Payment | None,
    profile: str,
    *,
    live: bool,
    now_ms: int,
) -> None:
    """What the platform said, in its own word, and how the journal's payment stands after it."""
    draw_head(canvas, profile, live=live)
    if asked.word is None:
        draw_bar(canvas, _("NO ANSWER"), "yellow", gap=True)
    else:  # its own word, and so in no bar
        said = _("The platform says: {word}").format(word=asked.word)
        draw_prose(canvas, said, "bold", gap=True)
    canvas.print()
    facts = [
        ("channel_name", asked.channel_name),
        (_("which means"), asked.meaning),
        ("checkout_id", checkout_id),
    ]
    if payment is not None:
        stands = (
            f"{named(outcome_of(payment.standing), payment.standing.state)}  "
            f"{advice.amount(payment.pay_fee)}"
        )
        facts += [("request_id", payment.request_id), (_("in the journal"), stands)]
    draw_facts(canvas, facts)
    if payment is not None and payment.open:
        draw_bar(canvas, _("DO NOT CHARGE AGAIN"), "red", gap=True)
        draw_hint(canvas, advice.still_to_do(payment, now_ms), gap=True)


def draw_dry_run(canvas: Canvas, call: Mapping[str, Any]) -> None:
    """The call as it would travel."""
    draw_bar(canvas, _("DRY RUN: nothing was sent or recorded"), "cyan")
    canvas.print()
    draw_pairs(canvas, plain(call))


# ── lists and records ────────────────────────────────────────────────────────────────────────


def draw_payments(canvas: Canvas, payments: Sequence[Payment], *, now_ms: int) -> None:
    """A list of payments: a table where it fits, else some lines for each."""
    if not payments:
        draw_prose(canvas, _("No payments."))
        return
    draw_whose(canvas, payments)
    _draw_list(canvas, payments, now_ms)


def _draw_list(canvas: Canvas, payments: Sequence[Payment], now_ms: int) -> None:
    names = (_("When"), _("Outcome"), _("Amount"), "checkout_id", "request_id")
    draw_rows(
        canvas,
        names,
        payments,
        lambda payment: (
            when(payment.created_ms, now_ms),
            named(outcome_of(payment.standing), payment.standing.state),
            f"￥{yuan(payment.pay_fee)}",
            payment.checkout.checkout_id,
            payment.request_id,
        ),
    )


def draw_open(
    canvas: Canvas,
    payments: Sequence[Payment],
    tries: Mapping[str, Try | None],
    alarms: Sequence[Alarm],
    profile: str,
    *,
    live: bool,
    now_ms: int,
) -> None:
    """The open payments, oldest first: since when, how much, why, and what to type."""
    draw_head(canvas, profile, live=live)
    if not payments and not alarms:
        draw_prose(canvas, "√ " + _("Nothing is open."))
        return
    if payments:
        total = _("OPEN PAYMENTS: {count}, {money} in all")
        fee = sum(payment.pay_fee for payment in payments)
        draw_bar(canvas, total.format(count=len(payments), money=advice.amount(fee)), "yellow")
        draw_bar(canvas, _("DO NOT CHARGE AGAIN"), "red")
    for payment in payments:
        canvas.print()
        outcome = outcome_of(payment.standing)
        parts = (
            named(outcome, payment.standing.state),
            advice.amount(payment.pay_fee),
            age(now_ms - payment.created_ms),
            f"checkout_id {payment.checkout.checkout_id}",
        )
        draw_parts(canvas, parts, f"bold {LOOKS[outcome].color}")
        draw_prose(canvas, advice.what_happened_last(tries.get(payment.request_id)))
        draw_hint(canvas, advice.still_to_do(payment, now_ms))
    draw_alarms(canvas, alarms)


def draw_payment(
    canvas: Canvas, payment: Payment, tries: Sequence[Try], alarms: Sequence[Alarm], *, now_ms: int
) -> None:
    """One payment with every try."""
    verdict = payment.verdict
    draw_head(canvas, payment.profile, live=payment.live)
    draw_verdict(canvas, outcome_of(payment.standing), payment, payment.pay_fee)
    if payment.open:
        draw_bar(canvas, _("DO NOT CHARGE AGAIN"), "red", gap=True)
    elif payment.standing.paid:
        draw_due(canvas, payment.remaining_fee)
    canvas.print()
    charged = payment.charged_fee if payment.standing.paid else None
    draw_facts(
        canvas,
        [
            ("checkout_id", payment.checkout.checkout_id),
            *ids_of(payment),
            ("shop_id", payment.checkout.shop_id),
            ("machine_id", payment.machine_id),
            ("operator_id", payment.operator_id),
            ("pay_channel", payment.pay_channel),
            (_("payment code"), masked_codes(payment)),
            (_("begun"), date_time(payment.created_ms)),
            (_("closed"), None if payment.closed_ms is None else date_time(payment.closed_ms)),
            (_("charged"), None if charged is None else advice.amount(charged)),
            ("result_code", verdict.result_code),
            ("result_message", verdict.result_message),
            *((_("warning"), _(advice.WARNINGS[code])) for code in payment.warnings),
            (_("closed by"), payment.resolved_by),
            (_("evidence"), payment.resolved_note),
        ],
    )
    for one in tries:
        canvas.print()
        _draw_try(canvas, one)
    if payment.open:
        draw_hint(canvas, advice.still_to_do(payment, now_ms), gap=True)
    draw_alarms(canvas, alarms)


def _draw_try(canvas: Canvas, one: Try) -> None:
    title = _("Try {n}") if one.kind == "pay" else _("Question {n}")
    parts = [title.format(n=one.n), date_time(one.started_ms)]
    if one.end is None:
        sentence = _(advice.NO_END)
    else:
        parts.append(
            _("{seconds} s").format(seconds=in_seconds(one.end.finished_ms - one.started_ms))
        )
        sentence = advice.what_happened(one.end)
    draw_parts(canvas, parts, "bold")
    draw_prose(canvas, sentence)
    who = _("operator {operator} · till {till} · {host}, process {pid}").format(
        operator=one.who.operator_id, till=one.who.machine_id, host=one.who.host, pid=one.who.pid
    )
    draw_prose(canvas, who, "dim")


def draw_checkout(
    canvas: Canvas, checkout_id: str, due: Due, payments: Sequence[Payment], *, now_ms: int
) -> None:
    """All payments of one checkout, oldest first, and what it still needs."""
    if not payments:
        draw_prose(canvas, _("No payments."))
        return
    draw_whose(canvas, payments)
    paid = _("{money} paid").format(money=advice.amount(due.paid_fee))
    draw_parts(canvas, (f"checkout_id {checkout_id}", paid), "bold")
    if due.last_paid is not None:
        draw_due(canvas, due.remaining_fee)
    still_open = [payment for payment in payments if payment.open]
    if still_open:
        draw_bar(canvas, _("DO NOT CHARGE AGAIN"), "red", gap=True)
    canvas.print()
    _draw_list(canvas, payments, now_ms)
    for payment in still_open:
        draw_hint(canvas, advice.still_to_do(payment, now_ms), gap=True)


def draw_pairs(canvas: Canvas, pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values, each value whole."""
    draw_facts(canvas, list(pairs))


# ── words ────────────────────────────────────────────────────────────────────────────────────


def named(outcome: Outcome, state: str | None = None) -> str:
    """Glyph and word of an outcome; one that a person decided says so."""
    look = LOOKS[outcome]
    if state == State.RESOLVED:
        return f"{look.glyph} {_(look.word)} " + _("(by hand)")
    return f"{look.glyph} {_(look.word)}"


def ids_of(payment: Payment) -> list[tuple[str, str | None]]:
    order_id = payment.order_id if payment.order_id != payment.checkout.checkout_id else None
    return [
        ("order_id", order_id),
        ("request_id", payment.request_id),
        ("payment_order_id", payment.verdict.payment_order_id),
        ("channel_order_id", payment.verdict.channel_order_id),
        ("trace_id", payment.verdict.trace_id),
    ]


def masked_codes(payment: Payment) -> str | None:
    """The payment codes, masked."""
    members = json.loads(masked(payment.pay_request))
    return " ".join(members[name] for name in CODE_FIELDS if name in members) or None


def date_time(epoch_ms: int) -> str:
    """Local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch_ms / 1000))


def when(epoch_ms: int, now_ms: int) -> str:
    """Local time, as short as can be: today's without the day, this year's without the year."""
    today, moment = (date_time(ms) for ms in (now_ms, epoch_ms))
    if moment[:10] == today[:10]:
        return moment[11:16]
    return moment[5:16] if moment[:4] == today[:4] else moment[:10]


def age(ms: int) -> str:
    """How long ago, in two units at most; a clock that went backwards makes it 0."""
    minutes, seconds = divmod(max(0, ms) // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return _("{days} d {hours} h").format(days=days, hours=hours)
    if hours:
        return _("{hours} h {minutes} min").format(hours=hours, minutes=minutes)
    if minutes:
        return _("{minutes} min").format(minutes=minutes)
    return _("{seconds} s").format(seconds=seconds)


def in_seconds(ms: int) -> str:
    return f"{max(0, ms) / 1000:.1f}"


# ── the brush ────────────────────────────────────────────────────────────────────────────────


def rich_text(text: str) -> Text:
    """Text from anywhere as Rich may have it: no markup, no controls, one line, not endless."""
    from rich.text import Text  # noqa: PLC0415  only for a terminal

    safe = one_line(text[: MAX_SHOWN + 1])
    return Text(safe if len(safe) <= MAX_SHOWN else f"{safe[:MAX_SHOWN]}…")


def draw_head(canvas: Canvas, profile: str | None, *, live: bool) -> None:
    """LIVE and the profile in plain words; TRAINING loudly."""
    if live:
        draw_prose(canvas, _("LIVE · real money · {profile}").format(profile=profile), "bold")
    else:
        title = _("▲ TRAINING · no real money")
        draw_bar(canvas, title if profile in (None, "training") else f"{title} · {profile}", "")


def draw_whose(canvas: Canvas, payments: Sequence[Payment]) -> None:
    """The head of a list; all its payments are of one merchant, and so live or not alike."""
    if payments:
        draw_head(canvas, payments[0].profile, live=payments[0].live)


def draw_verdict(
    canvas: Canvas,
    outcome: Outcome,
    payment: Payment | None,
    fee: int | None,
    word: str | None = None,
) -> None:
    """Glyph, word and amount in a coloured bar, and what that means for the money."""
    look = LOOKS[outcome]
    title = f"{look.glyph} {word}" if word else named(outcome, payment and payment.standing.state)
    title = title if fee is None else f"{title}  {advice.amount(fee)}"
    draw_bar(canvas, title, look.color, gap=True)
    charged = payment.charged_fee if payment else None
    if outcome is Outcome.SUCCESS and charged not in (None, fee):
        differs = _("THE PLATFORM CHARGED {money}").format(money=advice.amount(charged or 0))
        draw_bar(canvas, differs, "red", gap=True)
    if outcome is Outcome.BLOCKED:
        draw_prose(canvas, _("Nothing was sent."), "bold")
    elif outcome is not Outcome.SUCCESS:
        draw_prose(canvas, advice.money(outcome), "bold")


def states_due(result: Result) -> bool:
    """Whether to say what is due; never "fully paid" about a payment that failed."""
    if result.outcome is Outcome.SUCCESS:
        return True
    due = result.remaining_fee
    return due is not None and (due > 0 or result.outcome is Outcome.BLOCKED)


def draw_due(canvas: Canvas, remaining_fee: int | None) -> None:
    """What the checkout still needs."""
    if remaining_fee is None:
        draw_bar(canvas, _("STILL DUE  not told by the platform"), "yellow", gap=True)
    elif remaining_fee == 0:
        draw_bar(canvas, _("CHECKOUT FULLY PAID"), "green", gap=True)
    else:
        words = _("STILL DUE  {money}").format(money=advice.amount(remaining_fee))
        draw_bar(canvas, words, "yellow", gap=True)


def draw_bar(canvas: Canvas, text: str, color: str, *, gap: bool = False) -> None:
    """Words in a bar: reversed, so that they stand out without colour too; on a terminal that
    cannot even do that, behind stars.

    Where they have no room beside each other, parts with two spaces between stand below each other.
    """
    if gap:
        canvas.print()
    if canvas.color_system is None:
        draw_prose(canvas, f"*** {text}")
        return
    width = min(canvas.width, 80) - 2  # a glyph may be wider than Rich thinks
    for part in [text] if rich_text(text).cell_len <= width - 2 else text.split("  "):
        for line in wrapped(canvas, rich_text(part), width - 2):
            line.pad_right(width - 1 - line.cell_len)
            line.pad_left(1)
            canvas.print(line, f"bold reverse {color}".rstrip())


def draw_prose(canvas: Canvas, text: str, style: str = "", *, gap: bool = False) -> None:
    """Sentences, wrapped. Only the first line begins where posctl's own lines begin."""
    if gap:
        canvas.print()
    draw_wrapped(canvas, rich_text(text), (1, 3), style)


def draw_wrapped(canvas: Canvas, text: Text, indent: tuple[int, int], style: str = "") -> None:
    first, other = indent
    for i, line in enumerate(wrapped(canvas, text, canvas.width - other - 1)):
        line.pad_left(other if i else first)
        canvas.print(line, style)


def wrapped(canvas: Canvas, text: Text, width: int) -> Iterable[Text]:
    """`text`, which has no line ends, in lines of `width`; most fits into one, and Rich looks long
    for where to break it.
    """
    fits = text.cell_len <= width
    lines = [text] if fits else text.wrap(canvas.console, width, overflow="fold")
    for line in lines:
        line.rstrip()
    return lines


def draw_parts(canvas: Canvas, parts: Sequence[str], style: str) -> None:
    """Short parts on one line, or on as many as they need, none of them broken."""
    line = ""
    for part in parts:
        both = f"{line}   {part}" if line else part
        if line and rich_text(both).cell_len > canvas.width - 4:  # as `draw_prose` has room for
            draw_prose(canvas, line, style)
            line = part
        else:
            line = both
    draw_prose(canvas, line, style)


def draw_whole(canvas: Canvas, text: str, style: str = "") -> None:
    """An id or a command, broken by nobody but the terminal, so that it is copied in one piece."""
    canvas.print(rich_text(text), style)


def draw_facts(canvas: Canvas, facts: Sequence[tuple[str, str | None]]) -> None:
    """Names and values side by side; a value that has no room beside its name stands below it."""
    known = [(rich_text(name), rich_text(value)) for name, value in facts if value]
    column = max((name.cell_len for name, _value in known), default=0) + 3
    for name, value in known:
        name.pad_left(1)
        name.stylize("dim")
        if column + value.cell_len < canvas.width:
            name.pad_right(column - name.cell_len)
            canvas.print(name.append_text(value))
        elif name.cell_len + 2 + value.cell_len < canvas.width:
            canvas.print(name.append("  ").append_text(value))
        else:
            canvas.print(name)
            if value.plain.isascii() and " " not in value.plain:  # an id
                draw_whole(canvas, f"   {value.plain}")
            else:
                draw_wrapped(canvas, value, (3, 3))


def draw_hint(
    canvas: Canvas, hint: Hint, *, gap: bool = False, barred: bool = True, style: str = "bold"
) -> None:
    """What to do next; each command on a line of its own, ready to be copied. `barred` is whether a
    bar says what a bar says louder; `style` is of the sentences.
    """
    for part in hint:
        if isinstance(part, Say) and part.barred and barred:
            continue
        if gap:
            canvas.print()
            gap = False
        if isinstance(part, Say):
            draw_prose(canvas, part.text, style)
        else:
            draw_whole(canvas, f" {line_of(part)}", "bold cyan")


def draw_rows(
    canvas: Canvas,
    names: Sequence[str],
    items: Iterable[T],
    row_of: Callable[[T], Sequence[str]],
) -> None:
    """A table; where it has no room, the last column, an id, stands below the rest of its row.

    The rows are made twice, and not kept: there may be thousands. `items` is no iterator, then.
    """
    widths = [rich_text(name).cell_len for name in names]
    for item in items:
        widths = list(map(max, widths, (rich_text(cell).cell_len for cell in row_of(item))))
    for last in (len(names), len(names) - 1):
        if sum(widths[:last]) + 2 * last <= canvas.width:
            break
    else:
        for item in items:
            *parts, name, below = row_of(item)
            draw_parts(canvas, (*parts, f"{names[-2]} {name}"), "")
            draw_whole(canvas, f"   {below}", "dim")
        return
    widths = widths[:last]
    draw_row(canvas, names[:last], widths, "dim")
    for item in items:
        row = row_of(item)
        draw_row(canvas, row[:last], widths)
        if last < len(row):
            draw_whole(canvas, f"   {row[-1]}", "dim")


def draw_row(canvas: Canvas, cells: Sequence[str], widths: Sequence[int], style: str = "") -> None:
    line = rich_text("")
    for text, width in zip(cells, widths, strict=True):
        cell = rich_text(text)
        pad = cell.pad_left if cell.plain.startswith("￥") else cell.pad_right
        pad(width - cell.cell_len)
        line.append_text(rich_text(" " if line.cell_len == 0 else "  ")).append_text(cell)
    line.rstrip()
    canvas.print(line, style)


def draw_alarms(canvas: Canvas, alarms: Sequence[Alarm]) -> None:
    """What came in against closed payments."""
    for alarm in alarms:
        canvas.print()
        draw_bar(canvas, _("▲ ALARM  {when}").format(when=date_time(alarm.at_ms)), "red")
        draw_prose(canvas, alarm.text)
        draw_prose(canvas, _("The record says otherwise. Find out what the customer paid."))
        draw_hint(canvas, advice.about_alarm(alarm.request_id))
