"""`posctl doctor`: everything that a payment needs, looked at without touching money."""

import time

import typer

from posctl.cli.framework import Command, new_app
from posctl.cli.run import Run
from posctl.messages import _
from posctl.money.outcome import Exit
from posctl.money.result import Problem
from posctl.paying.unreached import unreached_json
from posctl.screen.contract import envelope
from posctl.screen.screen import View
from posctl.shell import as_text

app = new_app()


@app.command(
    cls=Command,
    help=_(
        "Check everything that a payment needs, without touching money: configuration, secret, "
        "file modes, journal, disk, the way to the gateway, clock, terminal. Exits 0 when nothing "
        "is bad, else 3 (configuration), 31 (journal) or 11 (gateway)."
    ),
    epilog="posctl doctor\nposctl --profile store-1 doctor --json",
)
def doctor(ctx: typer.Context) -> int:
    return doctor_run(ctx.obj)


def doctor_run(run: Run) -> Exit:
    """The whole behaviour of `doctor`, without the framework."""
    from posctl.help.doctor import Doctor, worst
    from posctl.help.screen import draw_checks

    who = Doctor(run.environ, run.now_s, time.monotonic, run.screen.stdout)
    checks = list(who.examine(run.load))
    bad = worst(checks)
    code = bad.exit_code if bad else Exit.OK
    problem = Problem("doctor", bad.name, bad.message, bad.hint) if bad else None
    data = envelope(
        "doctor",
        code,
        problem,
        profile=run.profile_name,
        checks=[
            {name: getattr(check, name) for name in ("name", "status", "message")}
            | {"hint": as_text(check.hint)}
            for check in checks
        ],
        journal=next((check.place for check in checks if check.place), None),
        unreached=unreached_json(
            [one for check in checks if check.name == "unreached" for one in check.merchants]
        ),
    )
    run.screen.show(View(data, lambda canvas: draw_checks(canvas, checks)))
    if problem and not run.screen.interactive:
        run.screen.problem(problem)
    return code
