"""`posctl explain`: what a code, an outcome or an exit code means, and the remedy."""

from collections.abc import Iterator
from typing import Annotated, NamedTuple

import typer

from posctl.cli.framework import Command, new_app
from posctl.cli.run import Run
from posctl.errors import UsageError
from posctl.help.explain import Entry, everything
from posctl.help.explain import explain as meanings
from posctl.hint import Say, Type
from posctl.messages import _
from posctl.money.outcome import Exit
from posctl.screen.contract import envelope
from posctl.screen.screen import View
from posctl.shell import as_text
from posctl.text import nearest

app = new_app()


class ExplainOptions(NamedTuple):
    """The word to explain; None is for all of them."""

    code: str | None


@app.command(
    cls=Command,
    help=_(
        "Say what a word of posctl's or the platform's means, what it says about the money, and "
        "what to do: exit codes, outcomes, error codes, the gateway's codes and sub codes. "
        "Without CODE: all of them."
    ),
    epilog="posctl explain 25\nposctl explain isv.invalid-parameter:pay_fee\n"
    "posctl explain unknown\nposctl explain refund",
)
def explain(
    ctx: typer.Context,
    code: Annotated[
        str | None, typer.Argument(metavar="[CODE]", hidden=True, show_default=False)
    ] = None,
) -> int:
    return explain_run(ExplainOptions(code=code), ctx.obj)


def explain_run(options: ExplainOptions, run: Run) -> Exit:
    """The whole behaviour of `explain`, without the framework."""
    code = options.code
    entries = list(everything()) if code is None else meanings(code)
    if not entries:
        raise _unknown(str(code))
    data = envelope(
        "explain",
        Exit.OK,
        code=code,
        entries=[entry._asdict() | {"remedy": as_text(entry.remedy)} for entry in entries],
    )
    from posctl.help.screen import draw_all, draw_entries

    draw = draw_all if code is None else draw_entries
    run.screen.show(View(data, lambda canvas: draw(canvas, entries)))
    return Exit.OK


def _unknown(word: str) -> UsageError:
    words = {entry.code.lower(): entry.code for entry in _wordy(everything())}
    near = nearest(word.lower(), words, cutoff=0.8)
    return UsageError(
        "unknown_code",
        _("posctl has no explanation of {code}.").format(code=word[:64]),
        (
            *((Say(_("Did you mean:")), Type(("explain", words[near]))) if near else ()),
            *(Say(_("All codes:")), Type(("explain",))),
        ),
    )


def _wordy(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Those whose code is a word: of numbers none is nearer than another."""
    return (entry for entry in entries if not entry.code.isdecimal())
