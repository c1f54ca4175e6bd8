"""Telling a person or a script what became of a payment, and remembering that it was told."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from posctl.errors import JournalError
from posctl.messages import _
from posctl.money.result import result_json
from posctl.screen.payments import draw_result
from posctl.screen.screen import View

if TYPE_CHECKING:
    from posctl.cli.run import Run
    from posctl.money.outcome import Exit
    from posctl.money.result import Result


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
