"""`posctl checkout`: all payments of one checkout, and what it still needs."""

from typing import Annotated, NamedTuple

import typer

from posctl.cli.find import of_checkout
from posctl.cli.framework import Command, new_app
from posctl.cli.run import Run
from posctl.messages import _
from posctl.money.admit import due
from posctl.money.outcome import Exit
from posctl.money.result import payment_json
from posctl.screen.contract import envelope
from posctl.screen.payments import draw_checkout
from posctl.screen.screen import View

app = new_app()


class CheckoutOptions(NamedTuple):
    """Which checkout; of which shop, where several have one of this number."""

    checkout_id: str
    shop: str | None


@app.command(
    cls=Command,
    help=_("All payments of one checkout, what was paid and what is still due."),
    epilog="posctl checkout 111",
)
def checkout(
    ctx: typer.Context,
    checkout_id: Annotated[str, typer.Argument(metavar="CHECKOUT_ID", hidden=True)],
    shop: Annotated[str | None, typer.Option(help=_("Only this shop_id."), metavar="ID")] = None,
) -> int:
    return checkout_run(CheckoutOptions(checkout_id=checkout_id, shop=shop), ctx.obj)


def checkout_run(options: CheckoutOptions, run: Run) -> Exit:
    """The whole behaviour of `checkout`, without the framework."""
    checkout_id = options.checkout_id
    payments = of_checkout(checkout_id, options.shop, run)
    standing = due(payments)
    data = envelope(
        "checkout",
        Exit.OK,
        checkout_id=checkout_id,
        paid_fee=standing.paid_fee,
        remaining_fee=standing.remaining_fee,
        payments=[payment_json(payment) for payment in payments],
    )
    now_ms = run.now_ms()
    run.screen.show(
        View(
            data,
            lambda canvas: draw_checkout(canvas, checkout_id, standing, payments, now_ms=now_ms),
        )
    )
    if not payments:
        run.screen.empty(_("No payments."))
    run.mention_open()
    return Exit.OK
