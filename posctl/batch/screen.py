"""How a batch looks on a terminal when it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posctl.hint import Say
from posctl.messages import _
from posctl.money.order import grouped
from posctl.money.outcome import Exit
from posctl.screen.brush import (
    LOOKS,
    STILL_OPEN,
    Canvas,
    draw_bar,
    draw_facts,
    draw_head,
    draw_hint,
    draw_prose,
    draw_rows,
)
from posctl.shell import same_command

if TYPE_CHECKING:
    from posctl.batch.send import Tally
    from posctl.config.profile import Profile
    from posctl.money.result import Problem


def draw_batch(
    canvas: Canvas,
    tally: Tally,
    results: str,
    profile: Profile,
    problem: Problem | None,
) -> None:
    """How many lines came to what, where each of them is told, and what to type next."""
    draw_head(canvas, profile.name, live=profile.live)
    canvas.print()
    rows = [
        (
            f"{look.glyph} {_(look.word)}",
            str(tally.lines[outcome]),
            f"￥{grouped(tally.fees[outcome])}",
        )
        for outcome, look in LOOKS.items()
        if tally.lines[outcome]
    ]
    if tally.left:
        rows.append((_("not tried"), str(tally.left), ""))
    draw_rows(canvas, (_("Outcome"), _("Lines"), _("Amount")), rows, lambda row: row)
    if not STILL_OPEN.isdisjoint(tally.lines):
        draw_bar(canvas, _("DO NOT CHARGE AGAIN"), "red", gap=True)
    if problem is not None:
        draw_prose(canvas, problem.message, "bold", gap=True)
        draw_hint(canvas, problem.hint)
    canvas.print()
    draw_facts(canvas, [(_("results"), results)])
    if tally.exit_code() is not Exit.OK:
        again = _("To go on with what is open, not sent or not tried, run the same command again:")
        draw_hint(canvas, (Say(again), same_command()), gap=True)
