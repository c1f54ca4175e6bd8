"""What the commands that move money share: telling the result, and remembering that it was told."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from posctl.errors import JournalError, UsageError
from posctl.hint import Say, Type
from posctl.journal.place import is_database
from posctl.messages import _
from posctl.money.order import request_id
from posctl.money.record import Filter
from posctl.money.result import result_json
from posctl.screen.payments import draw_result
from posctl.screen.screen import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from posctl.cli.run import Run
    from posctl.money.outcome import Exit
    from posctl.money.record import Payment
    from posctl.money.result import Result

MAX_WAIT_S = 3600.0


def seconds(text: str, where: str) -> float:
    """A span in seconds from plain digits, above 0 and at most an hour. Raises UsageError."""
    if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text) and 0 < float(text) <= MAX_WAIT_S:
        return float(text)
    raise UsageError(
        "bad_seconds",
        _("{where} takes seconds, above 0 and at most {most:.0f}.").format(
            where=where, most=MAX_WAIT_S
        ),
    )


def tell(result: Result, command: str, run: Run) -> Exit:
    """Show one payment's result; once it was written out, the journal knows that it was told.

    Whether it could be printed never changes the exit code.
    """
    run.decided = result.exit_code
    profile = run.load().profile
    data = result_json(result, command, profile.name, live=profile.live)
    printed = run.screen.show(
        View(data, lambda canvas: draw_result(canvas, result, profile.name, live=profile.live))
    )
    payment = result.payment
    # Whoever closed stdout reads the exit code alone, which says enough of a payment that failed.
    code_alone = run.screen.stdout is None and payment is not None and not payment.standing.paid
    if (printed or code_alone) and payment is not None and not payment.open and not payment.told:
        with suppress(JournalError):  # told once more next time: no harm
            run.journal().mark_told([payment.request_id], run.now_ms())
    for warning in result.warnings:
        words = warning.partition(": ")[2]  # before it stands the code, for scripts
        run.screen.note(_("Warning: {text}").format(text=words))
    if result.problem and not run.screen.interactive:
        run.screen.problem(result.problem)
    run.mention_open(besides=payment)
    return result.exit_code


def named(text: str) -> str:
    """A request_id in its one spelling, without looking for it. Raises UsageError."""
    try:
        return request_id(text, "REQUEST_ID")
    except UsageError as error:
        raise UsageError(
            error.code,
            _("{name} is not a valid request_id.").format(name="REQUEST_ID"),
            (
                *(Say(_("List payments with:")), Type(("history",))),
                *(Say(_("For a checkout:")), Type(("checkout", "CHECKOUT_ID"))),
            ),
        ) from None


def find(text: str, run: Run) -> Payment:
    """The payment with this request_id, in any spelling of it. Raises UsageError."""
    wanted = named(text)  # before the journal is opened
    payment = run.journal().payment(wanted)
    if payment is None:
        raise UsageError(
            "unknown_payment",
            _("The journal holds no payment {request_id}.").format(request_id=text[:64]),
            (Say(_("List payments with:")), Type(("history",))),
        )
    return payment


def latest(run: Run) -> Payment | None:
    """The latest payment of the profile in use; in a journal that many tills share, of this till:
    another's would be told, printed or taken for this one's.
    """
    loaded = run.load()
    profile = loaded.profile
    which = Filter(merchant=profile.merchant)
    if is_database(loaded.journal):
        here = profile.defaults
        which = which._replace(shop_id=here.get("shop_id"), machine_id=here.get("machine_id"))
    return next(run.journal().history(which), None)


def narrowed(payments: Iterable[Payment], only: Mapping[str, str]) -> list[Payment]:
    """Those of `payments` that have these values, by the API's names (shop_id, machine_id, …)."""
    return [
        payment
        for payment in payments
        if all((payment._asdict() | payment.checkout._asdict())[n] == v for n, v in only.items())
    ]
