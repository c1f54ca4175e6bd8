"""How `posctl reconcile` looks on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posctl.hint import Say, Type
from posctl.messages import N_, _
from posctl.money import advice
from posctl.money.outcome import Outcome
from posctl.office.reconcile import MAX_LISTED, Found, Item, Reconciled
from posctl.office.statement import What
from posctl.screen.brush import (
    Canvas,
    draw_bar,
    draw_head,
    draw_hint,
    draw_parts,
    draw_prose,
    draw_whole,
    named,
)
from posctl.times import date_time

if TYPE_CHECKING:
    from posctl.config.profile import Profile

SHOWN = 20  # of each kind; --csv has them all


def draw_reconciled(canvas: Canvas, found: Reconciled, profile: Profile) -> None:
    """What matches, in one line, and what does not, one by one."""
    draw_head(canvas, profile.name, live=profile.live)
    since, until = date_time(found.since_ms)[:16], date_time(found.until_ms)[:16]
    period = _("{since} to {until}").format(since=since, until=until)
    draw_parts(canvas, (period, _("{n} lines").format(n=found.rows)), "bold")
    if found.outside:
        draw_prose(canvas, _("{n} of them are of another time.").format(n=found.outside))
    for words in skipped_words(found):
        draw_prose(canvas, words)
    words = _("{glyph} MATCHED: {n}, {money}").format(
        glyph="√", n=found.matched, money=advice.amount(found.matched_fee)
    )
    draw_bar(canvas, words, "green", gap=True)
    if found.given_back:
        words = _("Statement: {gross} charged, {back} given back, {net} left.")
        gross, back, net = (
            advice.amount(fee)
            for fee in (found.charged, found.given_back, found.charged - found.given_back)
        )
        draw_prose(canvas, words.format(gross=gross, back=back, net=net))
    before = advice.of_profile(profile.name, live=profile.live)
    _draw_found(canvas, _("× ONLY IN THE JOURNAL: {n}, {money}"), found.only_ours)
    if found.later and found.last_ms is not None:
        words = _(
            "▲ The statement's last line is of {when}. {n} of these were begun later: the next "
            "statement may have them."
        )
        draw_prose(canvas, words.format(when=date_time(found.last_ms), n=found.later))
    _draw_found(canvas, _("× ONLY IN THE STATEMENT: {n}, {money}"), found.only_theirs, before)
    _draw_found(canvas, _("× AMOUNTS DIFFER: {n}, {money} in all"), found.differ)
    _draw_found(canvas, _("× GIVEN BACK: {n}, {money}"), found.refunds)
    _draw_found(canvas, _("… OPEN HERE, NOT IN THE STATEMENT: {n}, {money}"), found.open)


_SKIPPED = {
    What.CLOSED: N_("Skipped, never paid: {n} lines, {money}"),
    What.FEE: N_("Skipped, the platform's fees: {n} lines, {money}"),
    What.OTHER: N_("Skipped, from no customer: {n} lines, {money}"),
    What.NO_ID: N_("Skipped, without any id: {n} lines, {money}"),
    What.NO_AMOUNT: N_("Skipped, without an amount: {n} lines"),
    What.SUM: N_("Not compared, sums and words behind the table: {n} lines"),
    What.COMMENT: N_("Skipped, comments: {n} lines"),
}
LINES_SHOWN = 5


def skipped_words(found: Reconciled) -> list[str]:
    """What was skipped, and where."""
    words = []
    for what, template in _SKIPPED.items():
        lines = found.skipped.get(what)
        if lines is None:
            continue
        text = _(template).format(n=lines.n, money=advice.amount(lines.fee))
        shown = ", ".join(map(str, lines.lines[:LINES_SHOWN]))
        more = ", …" if lines.n > LINES_SHOWN else ""
        words.append(_("{text} (line {lines}).").format(text=text, lines=shown + more))
    return words


def _draw_found(
    canvas: Canvas, words: str, found: Found, before: tuple[str, ...] | None = None
) -> None:
    if not found.n:
        return
    title = words.format(n=found.n, money=advice.amount(found.fee))
    draw_bar(canvas, title, "yellow" if words.startswith("…") else "red", gap=True)
    if found.more and found.less:  # the net alone would hide them
        gross = _("{more} more and {less} less")
        more, less = advice.amount(found.more), advice.amount(-found.less)
        draw_prose(canvas, gross.format(more=more, less=less))
    for item in found.items[:SHOWN]:
        _draw_item(canvas, item, before)
    if found.n > SHOWN:
        more = _("and {n} more; --csv FILE lists up to {most}")
        draw_prose(canvas, more.format(n=found.n - SHOWN, most=MAX_LISTED))


def _draw_item(canvas: Canvas, item: Item, before: tuple[str, ...] | None) -> None:
    parts = []
    if item.outcome is not None:
        parts.append(named(item.outcome))
    if item.outcome is not None and (item.fee or not item.theirs):
        parts.append(_("ours {money}").format(money=advice.amount(item.fee)))
    if item.line is not None:
        parts.append(_("theirs {money}").format(money=advice.amount(item.theirs)))
        lines = ", ".join(map(str, item.lines[:LINES_SHOWN])) or item.line
        parts.append(_("line {line}").format(line=lines))
    if item.checkout_id is not None:
        parts.append(f"checkout_id {item.checkout_id}")
    if item.at_ms is not None and item.at_ms != item.back_ms:
        parts.append(date_time(item.at_ms))
    if item.back_ms is not None:
        parts.append(_("given back {when}").format(when=date_time(item.back_ms)))
    draw_parts(canvas, parts, "")
    for one in item.ids if item.request_id is None else (item.request_id,):
        draw_whole(canvas, f"   {one}", "dim")
    open_here = item.outcome in (Outcome.PENDING, Outcome.UNKNOWN, Outcome.CONFLICT)
    if before is not None and item.request_id is not None and open_here:
        hint = _("It is open here, and they charged it. If that is certain:")
        words = (*before, "resolve", item.request_id, "--as", "paid", "--note", "…")
        draw_hint(canvas, (Say(hint), Type(words)))
