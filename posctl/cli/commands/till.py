"""`posctl till`: one screen for a shift at the counter."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from posctl.cli.framework import Command, new_app
from posctl.cli.run import Run
from posctl.errors import UsageError
from posctl.messages import _
from posctl.money.order import FIELDS, Limits, PayRequest, check, check_value
from posctl.money.outcome import Exit

if TYPE_CHECKING:
    from posctl.money.record import Payment

app = new_app()


class TillOptions(NamedTuple):
    """Who works at it, where it is another one than the profile says."""

    operator: str | None


@app.command(
    cls=Command,
    help=_(
        "Take payments at the counter, one customer after another: type the amount and the "
        "checkout, scan the payment code, read the verdict. A pending payment is asked about "
        "until it is decided, also while the next customer pays. Everything typed is explained "
        "by ? there; q leaves. What is open then is found by posctl pending."
    ),
    epilog="posctl till\nposctl till --operator 7\nposctl --profile training till",
)
def till(
    ctx: typer.Context,
    operator: Annotated[
        str | None, typer.Option(help=_("Who works at the till (operator_id)."), metavar="ID")
    ] = None,
) -> int:
    if operator is not None:
        check_value("operator_id", operator, FIELDS["operator_id"].flag)
    return till_run(TillOptions(operator=operator), ctx.obj)


def till_run(options: TillOptions, run: Run) -> Exit:
    """The whole behaviour of `till`, without the framework."""
    given = {} if options.operator is None else {"operator_id": options.operator}
    if run.stdin is None or not run.can_ask():
        raise UsageError(
            "no_terminal",
            _("posctl till needs a terminal, with a person and a scanner at it."),
            _("Scripts take payments with posctl pay and posctl batch."),
        )
    import time

    from posctl.till.keyboard import Keyboard
    from posctl.till.loop import Till, Tools

    profile = run.load().profile
    limits = Limits(profile.max_fee, profile.allow_card_numbers)

    def order(members: Mapping[str, str]) -> PayRequest:
        return check({**given, **members}, {}, profile.defaults, limits)

    order({"pay_fee": "1", "checkout_id": "1"})  # is anything missing in the defaults?
    tools = Tools(
        order=order,
        operator_given=options.operator is not None,
        receipt=lambda payment: _receipt(payment, run),
        report=lambda: _report(run),
        to_close=lambda by: _to_close(run, by),
        monotonic=time.monotonic,
    )
    desk = run.desk()
    with Keyboard(run.stdin) as keyboard:
        return Till(desk, run.screen, keyboard, tools).run()


def _receipt(payment: "Payment", run: Run) -> str:
    from posctl.money.record import Filter
    from posctl.office.receipt import receipt_text

    prints = run.journal().transact(lambda tx: tx.count_print(payment, "customer"))
    look = run.load().profile.receipt
    corrections = run.journal().corrections(Filter(request_id=payment.request_id))
    text = receipt_text(payment, look, "customer", prints, corrections)
    if look.printer is not None:
        from posctl.office.printer import to_printer

        to_printer(text, look)
    return text


def _report(run: Run) -> None:
    from posctl.cli.shift import mention_merged, shift_so_far, show_report
    from posctl.office.report import DIMENSIONS

    run.banner()
    mention_merged(run)
    show_report(shift_so_far(run), DIMENSIONS, run)


def _to_close(run: Run, by: str) -> tuple[str, Callable[[], None]]:
    from posctl.cli.shift import (
        close_running,
        closing_by,
        running_now,
        show_report,
        to_close_in_short,
    )
    from posctl.office.report import DIMENSIONS

    closing, running = closing_by(run, by), running_now(run, run.own_journal())
    about = to_close_in_short(running, closing, run)
    meant = closing._replace(meant=running.shift)
    return about, lambda: show_report(close_running(run, meant), DIMENSIONS, run)
