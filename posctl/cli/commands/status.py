"""`posctl status`: ask the platform without paying."""

from typing import Annotated, NamedTuple

import typer

from posctl.cli.find import find, latest
from posctl.cli.framework import Command, new_app
from posctl.cli.run import Run
from posctl.errors import UsageError
from posctl.hint import said
from posctl.messages import _
from posctl.money.advice import about_alarm, of_another, what_happened
from posctl.money.order import check_value
from posctl.money.outcome import EXIT_OF, Event, Exit, outcome_of
from posctl.money.record import Filter, Payment, StatusAnswer
from posctl.money.result import Problem, payment_json
from posctl.paying.row import is_being_sent
from posctl.paying.status import ask_checkout, ask_payment, record_status
from posctl.screen.contract import envelope
from posctl.screen.payments import draw_status
from posctl.screen.screen import View

app = new_app()


class StatusOptions(NamedTuple):
    """What to ask about: one payment, by an id or as the latest, or a checkout."""

    payment_id: str | None
    last: bool
    checkout: str | None
    shop: str | None


@app.command(
    cls=Command,
    help=_(
        "Ask the platform about a payment or a checkout without paying. Its words are documented "
        "nowhere: they are shown and recorded, and close a payment only as the profile's "
        "status_words says."
    ),
    epilog="posctl status ID\nposctl status --last\nposctl status --checkout 111",
)
def status(
    ctx: typer.Context,
    request_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", hidden=True, show_default=False)
    ] = None,
    last: Annotated[
        bool, typer.Option("--last", help=_("The latest payment of this till."))
    ] = False,
    checkout: Annotated[
        str | None, typer.Option(help=_("Ask about this checkout_id."), metavar="ID")
    ] = None,
    shop: Annotated[
        str | None, typer.Option(help=_("Its shop_id; else the profile's."), metavar="ID")
    ] = None,
) -> int:
    run: Run = ctx.obj
    options = StatusOptions(payment_id=request_id, last=last, checkout=checkout, shop=shop)
    return status_run(options, run)


def status_run(options: StatusOptions, run: Run) -> Exit:
    """The whole behaviour of `status`, without the framework."""
    ways = [options.payment_id is not None, options.last, options.checkout is not None]
    if ways.count(True) != 1:
        raise UsageError(
            "which", _("Say which payment: an ID or --last; or a checkout: --checkout.")
        )
    if options.checkout is not None:
        return _of_checkout(options.checkout, options.shop, run)
    payment = latest(run) if options.payment_id is None else find(options.payment_id, run)
    if payment is None:
        raise UsageError("no_payments", _("No payments."))
    return _of_payment(payment, run)


def _of_payment(payment: Payment, run: Run) -> Exit:
    desk = run.desk()
    if payment.checkout.merchant != desk.profile.merchant:
        raise UsageError("other_profile", *of_another(payment, desk.profiles, "status"))
    was_being_sent = is_being_sent(payment, desk.journal)
    started_ms = desk.now_ms()
    asked = ask_payment(payment, desk)
    payment = record_status(payment, asked, started_ms, desk, was_being_sent=was_being_sent)
    code = EXIT_OF[outcome_of(payment.standing)]
    _show(asked, code, payment.checkout.checkout_id, payment, run)
    return code


def _of_checkout(checkout_id: str, shop: str | None, run: Run) -> Exit:
    checkout_id = str(check_value("checkout_id", checkout_id, "--checkout"))
    if shop:
        check_value("shop_id", shop, "--shop")
    profile = run.load().profile
    shop_id = shop or profile.defaults.get("shop_id")
    if shop_id is None:
        raise UsageError("missing_shop_id", _("Name the shop with --shop."))
    shop_id = str(check_value("shop_id", shop_id, "--shop"))
    buyer_id = int(check_value("buyer_id", profile.defaults.get("buyer_id", ""), "buyer_id"))
    desk = run.desk()
    started_ms = desk.now_ms()
    asked = ask_checkout(shop_id, checkout_id, buyer_id, desk)
    which = Filter(
        merchant=profile.merchant,
        shop_id=shop_id,
        checkout_id=checkout_id,
    )
    latest = next(iter(desk.journal.history(which)), None)
    if latest is not None:  # the answer is kept with the checkout's latest payment; it closes none
        who = desk.who(latest.machine_id, latest.operator_id)
        desk.journal.transact(lambda tx: tx.add_status(latest, who, started_ms, asked.end))
    code = Exit.OK if asked.end.event is Event.NO_VERDICT else Exit.UNKNOWN
    _show(asked, code, checkout_id, latest, run)
    return code


def _show(
    asked: StatusAnswer, code: Exit, checkout_id: str, payment: Payment | None, run: Run
) -> None:
    data = envelope(
        "status",
        code,
        _problem(asked, code, payment),
        checkout_id=checkout_id,
        status_word=asked.word,
        meaning=asked.meaning,
        channel_name=asked.channel_name,
        payment=payment_json(payment) if payment else None,
    )
    profile, now_ms = run.load().profile, run.now_ms()
    run.screen.show(
        View(
            data,
            lambda canvas: draw_status(
                *(canvas, asked, checkout_id, payment, profile.name),
                live=profile.live,
                now_ms=now_ms,
            ),
        )
    )
    if not _answered(asked):
        run.screen.note(what_happened(asked.end))
    elif asked.meaning is None:
        run.screen.note(
            _(
                "status_words in the profile does not say what {word} means: nothing was closed."
            ).format(word=asked.word)
        )


def _answered(asked: StatusAnswer) -> bool:
    return asked.end.event is Event.NO_VERDICT


def _problem(asked: StatusAnswer, code: Exit, payment: Payment | None) -> Problem | None:
    """What the answer contradicts, or why there is none."""
    if code is Exit.CONFLICT and payment is not None and not payment.open:
        words = _("The platform's word contradicts the record of this payment.")
        return Problem("conflict", "alarm", words, about_alarm(payment.request_id))
    if _answered(asked):
        return None
    return Problem(
        kind="gateway" if asked.end.code else "network",
        code=asked.end.code or asked.end.event,
        message=what_happened(asked.end),
        hint=said(_("Asking moves no money: ask again.")),
        sub_code=asked.end.sub_code,
    )
