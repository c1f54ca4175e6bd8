"""`posctl training serve|reset`: the local training gateway."""

import re
from typing import Annotated, Any, NamedTuple

import typer

from posctl.cli.framework import Command, Group, new_app
from posctl.cli.run import Run
from posctl.errors import UsageError
from posctl.messages import _
from posctl.money.outcome import Exit
from posctl.screen.brush import draw_pairs
from posctl.screen.contract import envelope, plain
from posctl.screen.screen import View
from posctl.training import SCENARIOS
from posctl.training import reset as reset_ledger
from posctl.training import serve as serve_forever


class ServeOptions(NamedTuple):
    """The port to listen at, 0 for a free one."""

    port: str


class _Training(Group):
    def format_commands(self, ctx: Any, formatter: Any) -> None:
        super().format_commands(ctx, formatter)
        with formatter.section(_("Payment codes")):
            formatter.write_dl([(s.code, _(s.what)) for s in SCENARIOS])


app = new_app(
    cls=_Training,
    no_args_is_help=True,
    help=_(
        "Run or empty the local training gateway. It answers the profile training and every "
        "client with its key; the payment code chooses what happens, as test cards do."
    ),
    epilog="printf %s 280000000000000009 | posctl --profile training pay --fee 100 --checkout 7 "
    "--code-stdin\nposctl training serve --port 8800",
)


@app.command(
    cls=Command,
    help=_("Serve until Ctrl-C; prints address, app key and secret when it is ready."),
    epilog="posctl training serve --port 8800",
)
def serve(
    ctx: typer.Context,
    port: Annotated[str, typer.Option(help=_("Else a free one."), metavar="PORT")] = "0",
) -> int:
    return serve_run(ServeOptions(port=port), ctx.obj)


def serve_run(options: ServeOptions, run: Run) -> Exit:
    """The whole behaviour of `training serve`, without the framework."""
    port = options.port
    if not (re.fullmatch(r"[0-9]{1,5}", port) and int(port) <= 65535):
        raise UsageError("bad_port", _("--port is a number from 0 to 65535."))

    def ready(url: str, app_key: str, secret: str) -> None:
        data = {"url": url, "app_key": app_key, "secret": secret}
        run.screen.show(View(data, lambda canvas: draw_pairs(canvas, plain(data))))
        run.screen.note(_("▲ TRAINING: no real money moves. Stop with Ctrl-C."))

    serve_forever(run.training_ledger(), int(port), ready)
    return Exit.OK


@app.command(
    cls=Command,
    help=_(
        "Let the training gateway forget its payments. The journal forgets none: go on with new "
        "checkouts, and settle what is open first."
    ),
    epilog="posctl training reset",
)
def reset(ctx: typer.Context) -> int:
    return reset_run(ctx.obj)


def reset_run(run: Run) -> Exit:
    """The whole behaviour of `training reset`, without the framework."""
    reset_ledger(run.training_ledger())
    run.screen.show(View(envelope("training", Exit.OK), lambda canvas: draw_pairs(canvas, [])))
    run.screen.note(_("The training gateway starts afresh."))
    return Exit.OK
