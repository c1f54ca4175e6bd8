"""How `posctl report` looks on a terminal, and its words, which the printed page shares."""

from __future__ import annotations

from collections.abc import Sequence

from posctl.hint import Say, Type
from posctl.messages import N_, _
from posctl.money import advice
from posctl.money.order import grouped
from posctl.money.outcome import Outcome
from posctl.money.record import Payment
from posctl.office.report import Checked, Line, Open, PartPaid, Report
from posctl.paying.unreached import unreached_words, way_to
from posctl.screen.brush import (
    STILL_OPEN,
    Canvas,
    draw_bar,
    draw_facts,
    draw_head,
    draw_hint,
    draw_parts,
    draw_prose,
    draw_whole,
    named,
    rich_text,
)
from posctl.screen.payments import draw_list, signed
from posctl.times import date_time, zone

NAMES = {
    "shop": N_("By shop"),
    "operator": N_("By operator"),
    "till": N_("By till"),
    "channel": N_("By channel"),
    "day": N_("By day"),
    "hour": N_("By hour"),
    "outcome": N_("By outcome"),
}
FAULTS = {
    "missing": N_("THIS SHIFT IS MISSING"),
    "content": N_("THIS SHIFT WAS ALTERED"),
    "chain": N_("THE SHIFT BEFORE IT WAS ALTERED OR EXCHANGED"),
    "payments": N_("ITS PAYMENTS WERE ALTERED, ADDED OR REMOVED"),
    "gone": N_("none of its payments is in the journal any more (pruned?)"),
}
SHOWN_OPEN = 10  # the rest is in `posctl pending`
BAR = 30  # columns of the longest bar


def title(report: Report) -> str:
    """What kind of report it is, and of which shift."""
    if report.shift is None:
        only = (f"{name} {value}" for name, value in report.only)
        return " · ".join((_("REPORT"), *only))
    if report.closed_ms is None:
        return _("X REPORT · shift {number}, still running").format(number=report.shift)
    return _("Z REPORT · shift {number}, closed").format(number=report.shift)


def period(report: Report) -> str:
    """From when to when, in local time, and of which zone that is."""
    known = [ms for ms in (report.until_ms, report.since_ms) if ms is not None]
    since, until = (
        "…" if ms is None else date_time(ms)[:16] for ms in (report.since_ms, report.until_ms)
    )
    span = _("{since} to {until}").format(since=since, until=until)
    return f"{span} · {zone(*known[:1])}"


def label(dimension: str, key: str) -> str:
    """A line's key as a person reads it."""
    if dimension == "hour":
        return f"{key}:00"
    if dimension == "channel":
        return advice.channel(key)
    return named(Outcome(key)) if dimension == "outcome" else key


def shares(lines: Sequence[Line], dimension: str) -> list[float]:
    """Each line's bar, from 0 to 1, by what was taken. There is none where nothing is compared: of
    outcomes, most of which are no money, and of one line alone.
    """
    if dimension == "outcome" or len(lines) == 1:
        return [0.0] * len(lines)
    sizes = [max(0, line.fee) for line in lines]
    most = max(sizes, default=0)
    return [size / most if most else 0.0 for size in sizes]


def line_money(dimension: str, line: Line) -> str:
    """A line's amount; what charged nobody has none, and what is open stands in brackets."""
    money = signed(line.fee) if line.fee < 0 else f"￥{grouped(line.fee)}"
    if dimension != "outcome" or line.key == Outcome.SUCCESS:
        return money
    return f"({money})" if Outcome(line.key) in STILL_OPEN else ""


def tables(report: Report, dimensions: Sequence[str]) -> list[tuple[str, tuple[Line, ...]]]:
    """The tables that say something; of shops and days only of more than one, unless asked for."""
    by = report.total.by
    found = ((name, by[name]) for name in dimensions)
    return [
        (name, lines)
        for name, lines in found
        if lines and (name not in ("shop", "day") or len(lines) > 1 or len(dimensions) == 1)
    ]


def open_words(report: Report) -> str:
    """How much is open and may have been charged."""
    return _("OPEN: {n}, {money}; they may have been charged").format(
        n=report.sums.open, money=advice.amount(report.sums.open_fee)
    )


def checkout_words(checkout_id: str) -> str:
    """A checkout in a line of several parts."""
    return f"{_('checkout_id')} {checkout_id}"


def part_paid_words(report: Report) -> str:
    """How many checkouts still need something, and how much."""
    return _("PART-PAID: {n}, {money} still due").format(
        n=len(report.part_paid), money=advice.amount(report.rest_fee)
    )


def part_paid_line(one: PartPaid) -> str:
    """One of them."""
    return _("checkout {checkout}: {due} due, {paid} paid · {when}").format(
        checkout=one.checkout_id,
        due=f"￥{grouped(one.remaining_fee)}",
        paid=f"￥{grouped(one.paid_fee)}",
        when=date_time(one.created_ms),
    )


def command(report: Report, *words: str) -> Type:
    """A command for the profile of `report`: what is training stays in training."""
    return Type((*advice.of_profile(report.profile, live=report.live), *words))


def draw_report(
    canvas: Canvas,
    report: Report,
    dimensions: Sequence[str],
    payments: Sequence[Payment] | None = None,
    now_ms: int = 0,
) -> None:
    """The totals, what is open, bars for each dimension, and the `payments` that are wanted."""
    sums = report.total
    draw_head(canvas, report.profile, live=report.live)
    draw_parts(canvas, (title(report), period(report)), "bold")
    draw_bar(canvas, _("TAKEN  {money}").format(money=advice.amount(report.fee)), "green", gap=True)
    parts = [_("{n} paid").format(n=sums.paid), _("{n} not charged").format(n=sums.not_charged)]
    if sums.by_hand:
        parts.append(_("{n} closed by hand").format(n=sums.by_hand))
    draw_parts(canvas, parts, "")
    if report.corrections:
        _draw_corrected(canvas, report)
    if sums.open:
        _draw_open(canvas, report)
    if report.part_paid:
        _draw_part_paid(canvas, report)
    if report.alarms:
        _draw_alarmed(canvas, report)
    _draw_unreached(canvas, report)
    for dimension, lines in tables(report, dimensions):
        canvas.print()
        draw_prose(canvas, _(NAMES[dimension]), "bold")
        _draw_lines(canvas, dimension, lines)
    if payments is not None:
        canvas.print()
        draw_prose(canvas, _("Payments"), "bold")
        if payments:
            draw_list(canvas, payments, now_ms)
        else:
            draw_prose(canvas, _("No payments."))
    if report.closed_ms is not None:
        canvas.print()
        facts = [
            (_("shift closed"), date_time(report.closed_ms)),
            (_("by"), report.closed_by),
            (_("note"), report.note),
            (_("check number (SHA-256)"), report.hash),
        ]
        draw_facts(canvas, facts)


def _draw_unreached(canvas: Canvas, report: Report) -> None:
    for one in report.out_of_reach:
        draw_bar(canvas, f"▲ {unreached_words(one)}", "yellow", gap=True)
        if report.closed_ms is None:
            draw_hint(canvas, way_to(one))


def corrected_words(report: Report) -> str:
    """How much was corrected, both ways together."""
    words = _("CORRECTIONS: {n}, {money}; counted in all sums when they were made")
    return words.format(n=len(report.corrections), money=signed(report.corrected_fee))


def _draw_corrected(canvas: Canvas, report: Report) -> None:
    draw_prose(canvas, corrected_words(report), "bold", gap=True)
    for one in report.corrections[:SHOWN_OPEN]:
        parts = (signed(one.fee), checkout_words(one.checkout_id), date_time(one.at_ms), one.by)
        draw_parts(canvas, parts, "")
        draw_prose(canvas, f"  {one.note}", "dim")
    if len(report.corrections) > SHOWN_OPEN:
        draw_prose(canvas, _("and {n} more").format(n=len(report.corrections) - SHOWN_OPEN))


def _draw_part_paid(canvas: Canvas, report: Report) -> None:
    draw_bar(canvas, part_paid_words(report), "yellow", gap=True)
    for one in report.part_paid[:SHOWN_OPEN]:
        draw_prose(canvas, part_paid_line(one))
    if len(report.part_paid) > SHOWN_OPEN:
        draw_prose(canvas, _("and {n} more").format(n=len(report.part_paid) - SHOWN_OPEN))


def alarm_words(report: Report) -> str:
    """That the sums are in doubt: the platform spoke against the record."""
    return _("▲ ALARMS  {n}: the platform contradicts our record").format(n=len(report.alarms))


def _draw_alarmed(canvas: Canvas, report: Report) -> None:
    draw_bar(canvas, alarm_words(report), "red", gap=True)
    for one in report.alarms[:SHOWN_OPEN]:
        draw_whole(canvas, f"   {one.request_id}", "dim")
    if len(report.alarms) > SHOWN_OPEN:
        draw_prose(canvas, _("and {n} more").format(n=len(report.alarms) - SHOWN_OPEN))
    if report.closed_ms is None:
        draw_hint(canvas, (Say(_("See what to do:")), command(report, "pending")))


def _draw_open(canvas: Canvas, report: Report) -> None:
    draw_bar(canvas, open_words(report), "yellow", gap=True)
    for one in report.open[:SHOWN_OPEN]:
        draw_parts(canvas, _open_parts(one), "")
        draw_whole(canvas, f"   {one.request_id}", "dim")
    if len(report.open) > SHOWN_OPEN:
        draw_prose(canvas, _("and {n} more").format(n=len(report.open) - SHOWN_OPEN))
    if report.closed_ms is None:
        draw_hint(canvas, (Say(_("See what to do:")), command(report, "pending")))


def _open_parts(one: Open) -> list[str]:
    return [
        named(one.outcome),
        advice.amount(one.fee),
        checkout_words(one.checkout_id),
        date_time(one.created_ms),
    ]


def _draw_lines(canvas: Canvas, dimension: str, lines: Sequence[Line]) -> None:
    """Key, money, number and bar; without room for the bar none, without room for a key above."""
    keys = [rich_text(label(dimension, line.key)) for line in lines]
    money = [line_money(dimension, line) for line in lines]
    counts = [str(line.n) for line in lines]
    wide = [max(rich_text(cell).cell_len for cell in cells) for cells in (money, counts)]
    width = max(key.cell_len for key in keys)
    room = canvas.width - 1 - sum(wide) - 2 * 3 - 1
    stacked = width > room
    bar = min(BAR, room - (0 if stacked else width))
    for key, share, *cells in zip(keys, shares(lines, dimension), money, counts, strict=True):
        if stacked:
            draw_whole(canvas, f" {key.plain}")
            line = rich_text("")
        else:
            line = key
            line.pad_right(width - line.cell_len)
        line.pad_left(1)
        for cell, columns in zip(cells, wide, strict=True):
            line.append(" " * (2 + columns - rich_text(cell).cell_len) + cell)
        if bar >= 4 and share:
            # Blanks turned round make a bar of one colour; where nothing turns them, signs do.
            sign, style = ("#", "") if canvas.color_system is None else (" ", "reverse cyan")
            line.append("  ").append(sign * max(1, round(share * bar)), style)
        canvas.print(line)


def draw_checked(canvas: Canvas, checked: Sequence[Checked]) -> None:
    """Each closed shift, and what is wrong with it."""
    if not checked:
        draw_prose(canvas, _("No shift was closed yet."))
    for one in checked:
        words = _(FAULTS[one.fault]) if one.fault else _("as it was closed")
        glyph = {None: "√", "gone": "▲"}.get(one.fault, "×")
        line = _("{glyph} shift {number}: {words}")
        style = "" if one.fault in (None, "gone") else "bold red"
        draw_prose(canvas, line.format(glyph=glyph, number=one.number, words=words), style)
