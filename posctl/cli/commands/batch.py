"""`posctl batch`: many payments from JSON Lines or CSV, resumable."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from posctl.cli.framework import Command, new_app
from posctl.cli.named_files import read_in
from posctl.cli.run import Run
from posctl.errors import AfterSending, JournalError, PosctlError, UsageError
from posctl.messages import _
from posctl.money.admit import ANOTHER
from posctl.money.order import yuan
from posctl.money.outcome import Exit, Outcome
from posctl.money.result import Problem
from posctl.screen.contract import envelope
from posctl.screen.screen import View

if TYPE_CHECKING:
    from posctl.batch.file import Batch
    from posctl.batch.plan import Plan
    from posctl.batch.results import Known, Results
    from posctl.batch.send import Tally
    from posctl.money.result import Result

app = new_app()


class BatchOptions(NamedTuple):
    """What the command line said."""

    file: str
    out: str | None
    another: bool


@app.command(
    cls=Command,
    help=_(
        "Take many payments from a file: JSON Lines, or CSV as a spreadsheet saves it. Members go "
        "by their API names, as in pay --file: pay_fee, checkout_id, channel_account (the payment "
        "code); in CSV also by a shop's: 单号, 金额（元）, 付款码. "
        "What is missing comes from the profile's defaults. "
        "Every line is checked before the first is sent. The same file may be run again after "
        "any interruption: what is decided is told again, what is open is asked about, what was "
        "not sent is sent, and nobody is charged twice."
    ),
    epilog="posctl batch orders.jsonl\nposctl batch orders.csv --out done.jsonl --json\n"
    "posctl batch - --out done.jsonl <orders.jsonl",
)
def batch(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", hidden=True, show_default=False)],
    out: Annotated[
        str | None,
        typer.Option(
            help=_("The results, line for line; else FILE.results.jsonl."), metavar="PATH"
        ),
    ] = None,
    another: Annotated[
        bool, typer.Option("--another", help=_("Pay again, or more than is due, on purpose."))
    ] = False,
) -> int:
    if file == "-" and out is None:
        raise UsageError("no_out", _("With - for stdin, say where the results go: --out PATH."))
    return batch_run(BatchOptions(file=file, out=out, another=another), ctx.obj)


def batch_run(options: BatchOptions, run: Run) -> Exit:
    """The whole behaviour of `batch`, without the framework."""
    from posctl.batch.file import MAX_BYTES, read_batch
    from posctl.batch.plan import make_plan
    from posctl.batch.results import Results
    from posctl.batch.send import Tally

    raw = read_in(options.file, MAX_BYTES, run)
    profile = run.load().profile
    checked = read_batch(raw, options.file, profile, another=options.another)
    path = Path(options.out or f"{options.file}.results.jsonl")
    journal = run.own_journal()
    tally = Tally(len(checked.lines))
    with Results(path, checked.id, _known(checked)) as results:
        plan = make_plan(checked, options.file, profile, journal, results.said)
        run.banner()
        _announce(checked, plan, run)
        problem = _send_all(checked, plan, results, options, tally, run)
        with suppress(OSError):  # every record is there, if not in order
            results.tidy()
    return _tell(options.file, path, tally, problem, run)


def _known(checked: "Batch") -> "list[Known]":
    from posctl.batch.results import Known

    return [
        Known(one.number, one.id, (one.order.shop_id, one.order.checkout_id, one.order.pay_fee))
        for one in checked.lines
    ]


def _send_all(
    checked: "Batch",
    plan: "Plan",
    results: "Results",
    options: BatchOptions,
    tally: "Tally",
    run: Run,
) -> Problem | None:
    """Send what is to be sent; what stopped it, if anything did. Raises PosctlError."""
    try:
        sent = _sent(checked, plan, results, options, tally, run)
        for _result in run.screen.progress(sent, tally.left):
            pass  # its record is in the results file
    except JournalError as error:
        return Problem.of(error)
    except PosctlError:
        raise
    except Exception as bug:
        raise AfterSending(
            checked.id,
            _("Internal error while the batch ran."),
            _("Run the same command again: nobody is charged twice."),
        ) from bug
    return None


def _sent(
    checked: "Batch",
    plan: "Plan",
    results: "Results",
    options: BatchOptions,
    tally: "Tally",
    run: Run,
) -> "Iterator[Result]":
    import time

    from posctl.batch.send import send_batch
    from posctl.paying.many import Watch

    waived = ANOTHER if options.another else frozenset()
    desk = run.desk()
    watch = Watch(time.monotonic, run.screen.stopping)
    yield from send_batch(checked, plan, results, desk, waived, watch, tally)


def _announce(checked: "Batch", plan: "Plan", run: Run) -> None:
    total = yuan(sum(line.order.pay_fee for line in checked.lines))
    run.screen.aside(
        _("Payments: {count}, ￥{yuan} in all; decided already: {decided}.").format(
            count=len(checked.lines), yuan=total, decided=len(plan.decided)
        )
    )


def _tell(file: str, path: Path, tally: "Tally", problem: Problem | None, run: Run) -> Exit:
    from posctl.batch.screen import draw_batch

    profile = run.load().profile
    code = run.decided = tally.stopped(Exit.JOURNAL) if problem else tally.exit_code()
    outcomes = {
        outcome: {"count": tally.lines[outcome], "pay_fee": tally.fees[outcome]}
        for outcome in Outcome
    }
    data = envelope(
        "batch",
        code,
        problem,
        profile=profile.name,
        live=profile.live,
        file=file,
        results=str(path),
        lines=tally.left + tally.lines.total(),
        not_tried=tally.left,
        outcomes=outcomes,
    )
    run.screen.show(
        View(data, lambda canvas: draw_batch(canvas, tally, str(path), profile, problem))
    )
    if problem is not None and not run.screen.interactive:
        run.screen.problem(problem)
    if tally.left and problem is None:
        run.screen.note(
            _("Stopped. Lines not tried yet: {count}. Run the same command again.").format(
                count=tally.left
            )
        )
    run.mention_open()
    return code
