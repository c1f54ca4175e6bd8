"""The brush: lines, bars, facts, tables and hints on a canvas."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from posctl.hint import Hint, Say
from posctl.messages import N_, _
from posctl.money.outcome import Outcome, State
from posctl.shell import line_of
from posctl.text import MAX_SHOWN, breaks, one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.segment import Segment
    from rich.text import Text

    from posctl.money.record import Payment


T = TypeVar("T")


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
        from rich.text import Text

        line = Text() if line is None else line
        line.stylize_before(style)
        self._segments.extend(line.render(self.console, end="\n"))
        if len(self._segments) >= self.PIECE:
            self.show()

    def show(self) -> None:
        """Write what was drawn. Raises OSError, and what Rich does about a closed pipe."""
        from rich.segment import Segments

        self.console.print(Segments(self._segments), soft_wrap=True)
        self._segments.clear()


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


def draw_pairs(canvas: Canvas, pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values, each value whole."""
    draw_facts(canvas, list(pairs))


def named(outcome: Outcome, state: str | None = None) -> str:
    """Glyph and word of an outcome; one that a person decided says so."""
    look = LOOKS[outcome]
    if state == State.RESOLVED:
        return f"{look.glyph} " + _("{outcome} (by hand)").format(outcome=_(look.word))
    return f"{look.glyph} {_(look.word)}"


def in_seconds(ms: int) -> str:
    return f"{max(0, ms) / 1000:.1f}"


def rich_text(text: str) -> Text:
    """Text from anywhere as Rich may have it: no markup, no controls, one line, not endless."""
    from rich.text import Text

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
        for line in wrapped(rich_text(part), width - 2):
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
    for i, line in enumerate(wrapped(text, canvas.width - other - 1)):
        line.pad_left(other if i else first)
        canvas.print(line, style)


def wrapped(text: Text, width: int) -> Iterable[Text]:
    """`text`, which has no line ends, in lines of `width`, where Chinese may be broken, too."""
    from rich.cells import get_character_cell_size

    fits = text.cell_len <= width
    lines = [text] if fits else text.divide(breaks(text.plain, width, get_character_cell_size))
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
            fits = value.cell_len + 3 <= canvas.width
            if fits and value.plain.isascii() and " " not in value.plain:  # an id
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
