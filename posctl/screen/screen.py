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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from posctl.hint import Hint, Say, Type
from posctl.messages import _, language
from posctl.money import advice
from posctl.money.codes import without_codes
from posctl.money.outcome import Outcome
from posctl.screen.brush import LOOKS, Canvas
from posctl.screen.contract import bare, discreetly, json_pieces, pick, plain, rows_of
from posctl.screen.streams import (
    Discreet,
    in_ascii,
    is_pipe,
    is_tty,
    speaks_unicode,
    take_any_text,
    width_of,
    write,
    write_pieces,
)
from posctl.shell import line_of
from posctl.text import breaks, one_line, visible

if TYPE_CHECKING:
    from rich.console import Console

    from posctl.money.result import Problem, Result


class View(NamedTuple):
    """What a command has to show: the JSON object, and how a person sees it.

    `data` also makes the plain lines and `--field`; a long list in it may be made as it is gone
    through. `draw` gets a canvas on a terminal.
    """

    data: Mapping[str, Any]
    draw: Callable[[Canvas], None]


class Manner(NamedTuple):
    """How results are told: one of FORMATS, None for what stdout is; one `field` of them; colour,
    None for what the terminal and NO_COLOR say; `quiet` without notes; `codes` are payment codes
    that were typed as arguments, to be masked in whatever is said.
    """

    format: str | None = None
    field: str | None = None
    color: bool | None = None
    quiet: bool = False
    codes: tuple[str, ...] = ()


FORMATS = ("text", "keys", "json", "csv")


class Screen:
    """Where and how to show things. `stdout` and `stderr` are None when they were closed."""

    def __init__(
        self,
        stdout: TextIO | None,
        stderr: TextIO | None,
        manner: Manner | None = None,
    ) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.manner = manner or Manner()
        self.json = self.manner.format == "json"
        self.field = self.manner.field
        self._consoles: dict[tuple[TextIO, int | None], Console] = {}  # by columns: windows grow
        self.begun = False  # whether a result has begun to go out: there must not be two
        for stream in (stdout, stderr):
            take_any_text(stream)

    @property
    def interactive(self) -> bool:
        """Whether a person reads stdout as it comes."""
        return self.manner.format in (None, "text") and self.field is None and is_tty(self.stdout)

    @property
    def drawn(self) -> bool:
        """Whether results are drawn for a person, who may read them later."""
        asked = self.manner.format
        return self.field is None and (asked == "text" or (asked is None and is_tty(self.stdout)))

    def show(self, view: View) -> bool:
        """Write the result to stdout. False when it could not be written out whole; that is said
        on stderr, but for a reader who has seen enough and closed the pipe.
        """
        if self.stdout is None:
            return False
        return self._printed(self._show(view, self.stdout))

    def _show(self, view: View, stdout: TextIO) -> bool:
        self.begun = True
        if self.manner.codes:
            view = view._replace(data=discreetly(view.data, self.manner.codes))
        if self.json:
            ascii_only = not speaks_unicode(stdout)
            return write_pieces(stdout, json_pieces(view.data, ascii_only=ascii_only))
        if self.field is not None:
            return write(stdout, bare(self._field(self.field, view.data)) + "\n")
        if self.manner.format == "csv" and not view.data.get("error"):
            return write(stdout, _as_csv(view.data))
        if self.drawn:
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
        """The value of `field`; nothing where this run's object lacks it, as on an error's path."""
        try:
            return pick(data, field)
        except KeyError:
            return None

    def _lines(self, data: Mapping[str, Any], stream: TextIO) -> bool:
        return write_pieces(stream, (f"{name}: {value}\n" for name, value in plain(data)))

    def aside(self, text: str, command: Type | None = None) -> None:
        """As `note`, what a script can do without: nothing with --quiet."""
        if not self.manner.quiet:
            self.note(text, command)

    def empty(self, text: str) -> None:
        """That a list has nothing in it, where stdout is for programs and cannot say it."""
        if not self.drawn and not self.json:
            self.aside(text)

    def note(self, text: str, command: Type | None = None) -> None:
        """One line of banner, progress or warning on stderr, and a `command` whole behind it; below
        it, where a terminal has no room beside it.
        """
        line = self._discreet(one_line(text))
        if command is None:
            write(self.stderr, self._in_lines(line) + "\n")
            return
        typed = self._discreet(one_line(line_of(command)))
        width = width_of(self.stderr) if self.stderr and is_tty(self.stderr) else None
        if width is None or len(line) + 1 + len(typed) < width:
            write(self.stderr, f"{line} {typed}\n")
        else:
            write(self.stderr, f"{self._in_lines(line)}\n   {typed}\n")

    def _in_lines(self, text: str) -> str:
        """English broken between words on a terminal, a path left whole; Chinese where a line may
        end.
        """
        width = width_of(self.stderr) if self.stderr and is_tty(self.stderr) else None
        if width is None or len(text) * 2 < width:
            return text
        if language() != "en":
            return "\n   ".join(self._broken(text, width - 4))
        if len(text) < width:
            return text
        from textwrap import fill

        return fill(
            text,
            width - 1,
            subsequent_indent="   ",
            break_long_words=False,
            break_on_hyphens=False,
        )

    @staticmethod
    def _broken(text: str, width: int) -> list[str]:
        from rich.cells import get_character_cell_size

        cuts = breaks(text, width, get_character_cell_size)
        return [text[a:b].rstrip() for a, b in zip([0, *cuts], [*cuts, None], strict=True)]

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
        line = self._discreet(one_line(question))
        said = line.rstrip()
        write(self.stderr, self._in_lines(said) + line[len(said) :])

    def _discreet(self, text: str) -> str:
        return without_codes(text, self.manner.codes)

    def problem(self, problem: Problem) -> None:
        """What went wrong and what to type next, on stderr."""
        self.note(_("Error: {text}").format(text=problem.message))
        self._type_next(problem.hint)

    def warn(self, text: str, hint: Hint) -> None:
        """What somebody must know besides, and what to type, on stderr."""
        self.note(f"▲ {text}")
        self._type_next(hint)

    def _type_next(self, hint: Hint) -> None:
        for part in hint:
            if isinstance(part, Say):
                said = self._discreet(one_line(f"  → {part.text}"))
                write(self.stderr, self._in_lines(said) + "\n")
            else:  # a command must be whole to be copied
                write(self.stderr, f"  → {self._discreet(one_line(line_of(part)))}\n")

    def input_line(self, text: str, *, keep: bool = False, shorter: Sequence[str] = ()) -> bool:
        """Write over the terminal's last line and leave the cursor behind `text`, or behind the
        end of it where it is too wide, unless one of `shorter` has room. With `keep` all of it
        stays, and a new line is the last.
        """
        from rich.cells import cell_len

        if self.stdout is None:
            return False
        width = (width_of(self.stdout) or 80) - 2  # a glyph may be wider than Rich thinks
        line = one_line(text)
        for narrower in shorter:
            if cell_len(line) > width:
                line = one_line(narrower)
        if keep:
            kept = "\n   ".join(self._broken(line, width - 3)) if cell_len(line) > width else line
            return write(self.stdout, f"\r{' ' * width}\r{kept}\n")
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
                say(_("Sending {money} …").format(money=advice.with_fen(fee)))
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
        from rich.cells import set_cell_size

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
        from os import environ

        from rich.console import Console

        file: Any = Discreet(stream, self.manner.codes) if self.manner.codes else stream
        return Console(
            file=file,
            width=width or (None if is_tty(stream) else _columns(environ)),
            height=24,  # nothing here asks for it, but without it Rich takes 80 columns when dumb
            # A terminal that calls itself dumb gets colour when FORCE_COLOR says so. A pipe never
            # does: its lines are read by scripts.
            color_system="standard" if environ.get("FORCE_COLOR") else "auto",
            no_color=True if self.manner.color is False else None,
            highlight=False,
            markup=False,
            emoji=False,
        )


def _columns(environ: Mapping[str, str]) -> int:
    """How wide text is drawn where there is no terminal."""
    asked = environ.get("COLUMNS", "")
    return max(20, int(asked)) if asked.isdecimal() and len(asked) < 5 else 80


def _as_csv(data: Mapping[str, Any]) -> str:
    """What a command lists, one line a row, each key of the plain lines a column."""
    from posctl.screen.sheet import sheet

    rows = rows_of(data)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return sheet(names, ([row.get(name) for name in names] for row in rows))


codecs.register_error("posctl_ascii", in_ascii)
