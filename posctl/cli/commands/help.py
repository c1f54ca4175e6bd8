"""`posctl help [COMMAND]`: the same as `posctl COMMAND -h`, for whoever asks that way."""

from typing import Annotated, NamedTuple

import typer

from posctl.cli.framework import Command, help_of, new_app
from posctl.cli.run import Run
from posctl.messages import _
from posctl.money.outcome import Exit
from posctl.screen.contract import envelope
from posctl.screen.screen import View

app = new_app()


class HelpOptions(NamedTuple):
    """A command's name, with that of its own command where it has some; none: all commands."""

    words: tuple[str, ...]


@app.command(
    cls=Command,
    help=_("Explain a command and its options; without COMMAND, list all commands."),
    epilog="posctl help pay\nposctl help journal backup",
)
def help(  # noqa: A001  the command's name
    ctx: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[COMMAND]", hidden=True, show_default=False)
    ] = None,
) -> int:
    return help_run(HelpOptions(words=tuple(words or ())), ctx, ctx.obj)


def help_run(options: HelpOptions, ctx: typer.Context, run: Run) -> Exit:
    """The whole behaviour of `help`. The framework alone knows all commands: see `completion`."""
    text = help_of(ctx, options.words)
    if run.screen.json or run.screen.field is not None:
        run.screen.show(View(envelope("help", Exit.OK, text=text), lambda _canvas: None))
    else:
        run.screen.line(text)
    return Exit.OK
