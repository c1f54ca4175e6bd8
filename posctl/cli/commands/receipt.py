"""`posctl receipt`: the customer's or the store's copy of a paid payment."""

from typing import Annotated, NamedTuple

import typer

from posctl.cli.find import find, latest, of_checkout
from posctl.cli.framework import Command, new_app
from posctl.cli.run import Run
from posctl.errors import UsageError
from posctl.messages import _
from posctl.money.advice import next_step, of_another
from posctl.money.codes import discreet
from posctl.money.outcome import Exit
from posctl.money.record import Filter, Payment
from posctl.money.result import payment_json
from posctl.office.receipt import COPIES, checkout_text, payer_code, receipt_text
from posctl.screen.contract import envelope
from posctl.screen.screen import View

app = new_app()


class ReceiptOptions(NamedTuple):
    """Which payment, by an id or as the latest, or all of a checkout; whose copy, and how wide in
    columns.
    """

    payment_id: str | None
    last: bool
    checkout: str | None
    shop: str | None
    copy: str
    width: str | None


@app.command(
    cls=Command,
    help=_(
        "Print the receipt of a paid payment, or of all of a checkout, as plain text, for lp or a "
        "device. Every print is counted in the journal, and each one after the first is marked as "
        "a reprint."
    ),
    epilog="posctl receipt --last | lp\nposctl receipt REQUEST_ID --copy store --width 48\n"
    "posctl receipt --checkout 111",
)
def receipt(
    ctx: typer.Context,
    request_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", hidden=True, show_default=False)
    ] = None,
    last: Annotated[
        bool, typer.Option("--last", help=_("The latest payment of this till."))
    ] = False,
    checkout: Annotated[
        str | None,
        typer.Option(help=_("All that was paid of a checkout, on one receipt."), metavar="ID"),
    ] = None,
    shop: Annotated[str | None, typer.Option(help=_("Whose checkout it is."), metavar="ID")] = None,
    copy: Annotated[
        str, typer.Option(help=_("Whose copy."), metavar="customer|store")
    ] = "customer",
    width: Annotated[
        str | None, typer.Option(help=_("Columns; else the profile's."), metavar="32|48")
    ] = None,
) -> int:
    options = ReceiptOptions(
        payment_id=request_id, last=last, checkout=checkout, shop=shop, copy=copy, width=width
    )
    return receipt_run(options, ctx.obj)


def receipt_run(options: ReceiptOptions, run: Run) -> Exit:
    """The whole behaviour of `receipt`, without the framework."""
    copy = options.copy
    ways = (options.payment_id is not None, options.last, options.checkout is not None)
    if ways.count(True) != 1:
        raise UsageError("which", _("Say which payment: an ID, --last or --checkout ID."))
    if options.shop is not None and options.checkout is None:
        raise UsageError("which", _("--shop goes with --checkout."))
    if copy not in COPIES:
        raise UsageError("bad_copy", _("--copy is one of: {list}.").format(list=", ".join(COPIES)))
    if options.width not in (None, "32", "48"):
        raise UsageError("bad_width", _("--width is one of: {list}.").format(list="32, 48"))
    if options.checkout is not None:
        payments = _of_checkout(options.checkout, options.shop, run)
    else:
        named = _last(run) if options.payment_id is None else find(options.payment_id, run)
        payments = [_paid(named, run)]
    payment = payments[-1]
    look = run.load().profile.receipt
    look = look._replace(width=int(options.width or look.width))
    # Counted before it is printed: a second paper without its mark would be worse than none.
    prints = run.journal().transact(lambda tx: max(tx.count_print(one, copy) for one in payments))
    corrections = [run.journal().corrections(Filter(request_id=one.request_id)) for one in payments]
    if options.checkout is None:
        text = receipt_text(payment, look, copy, prints, corrections[0])
    else:
        text = checkout_text(payments, look, copy, prints, corrections)
    data = envelope(
        "receipt",
        Exit.OK,
        copy=copy,
        print=prints,
        reprint=prints > 1,
        charged_fee=sum(one.fee for one in payments),
        payment_code=payer_code(payment),
        payment=payment_json(payment),
        payments=[payment_json(one) for one in payments],
        text=text,
    )
    run.banner()
    if run.screen.json or run.screen.field is not None:
        run.screen.show(View(data, lambda _canvas: None))
    else:
        run.screen.line(text)
    return Exit.OK


def _last(run: Run) -> Payment:
    payment = latest(run)
    if payment is None:
        raise UsageError("no_payments", _("No payments."))
    return payment


def _of_checkout(checkout_id: str, shop_id: str | None, run: Run) -> list[Payment]:
    """What was paid of a checkout, oldest first. Raises UsageError while any of it is open."""
    found = of_checkout(checkout_id, shop_id, run)
    payments = [_paid(one, run) for one in found if one.open or one.standing.paid]
    if not payments:
        raise UsageError(
            "not_paid",
            _("Nothing was paid of checkout {checkout}, so there is no receipt.").format(
                checkout=discreet(checkout_id[:64])
            ),
        )
    return payments


def _paid(payment: Payment, run: Run) -> Payment:
    """`payment`, if it is this profile's and paid. Raises UsageError."""
    loaded = run.load()
    if payment.checkout.merchant != loaded.profile.merchant:
        raise UsageError("other_profile", *of_another(payment, loaded.profiles, "receipt"))
    if payment.open:
        raise UsageError(
            "open",
            _("This payment is open, so there is no receipt. The customer may have been charged."),
            next_step(payment),
        )
    if not payment.standing.paid:
        raise UsageError("not_paid", _("The customer was not charged, so there is no receipt."), "")
    return payment
