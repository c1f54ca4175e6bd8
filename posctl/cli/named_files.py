"""Files that a command reads, and those it writes for people: a page, a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from posctl.errors import UsageError
from posctl.messages import _
from posctl.text import reason

if TYPE_CHECKING:
    from posctl.cli.run import Run


def read_in(name: str, most: int, run: Run) -> bytes:
    """What the named file holds, or stdin for "-"; one byte more than `most` of what has more.
    Raises UsageError.
    """
    if name == "-":
        if run.stdin is None:
            raise UsageError("no_stdin", _("There is nothing on stdin to read."))
        with run.interrupts.allowed():
            return run.stdin.buffer.read(most + 1)
    path = Path(name)
    try:
        if not path.is_file():  # a folder, a FIFO or a device would never end
            raise UsageError("bad_file", _("{path} is not a file.").format(path=name))
        with path.open("rb") as opened:
            return opened.read(most + 1)
    except (OSError, ValueError) as error:
        why = reason(error)
        raise UsageError(
            "bad_file", _("{path} cannot be read: {why}.").format(path=name, why=why)
        ) from None


def refuse_unwritable(target: str | None) -> None:
    """Before anything is done that cannot be undone: the file must find a place. UsageError."""
    if target in (None, "-"):
        return
    try:
        Path(str(target)).open("a").close()
    except OSError as error:
        raise _cannot_write(str(target), error) from None


def write_out(target: str, text: str, run: Run) -> None:
    """Write `text` into a file, or to stdout for "-". Raises UsageError."""
    if target == "-":
        run.screen.line(text.rstrip("\n"))
        return
    try:
        Path(target).write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise _cannot_write(target, error) from None
    run.screen.aside(_("Written: {path}").format(path=target))


def _cannot_write(target: str, error: OSError) -> UsageError:
    return UsageError(
        "cannot_write",
        _("{path} cannot be written: {why}.").format(path=target, why=reason(error)),
    )
