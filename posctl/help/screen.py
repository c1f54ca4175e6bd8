"""How `posctl explain` and `posctl doctor` look on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from posctl.help.explain import KINDS, Entry
from posctl.hint import Say, Type
from posctl.messages import N_, _
from posctl.screen.brush import (
    Canvas,
    draw_facts,
    draw_hint,
    draw_parts,
    draw_prose,
    draw_whole,
    draw_wrapped,
    rich_text,
)
from posctl.shell import line_of

if TYPE_CHECKING:
    from posctl.help.doctor import Check


def draw_entries(canvas: Canvas, entries: Sequence[Entry]) -> None:
    """What one word means, each of its meanings."""
    if len(entries) > 1:
        kinds = " · ".join(_(KINDS[entry.kind]) for entry in entries)
        words = _("{code} means {count} things, told in this order: {kinds}")
        draw_prose(canvas, words.format(code=entries[0].code, count=len(entries), kinds=kinds))
        canvas.print()
    for n, entry in enumerate(entries):
        if n:
            canvas.print()
        parts = [entry.code, _(KINDS[entry.kind])]
        if entry.outcome and entry.outcome != entry.code:
            parts.append(_("outcome {outcome}").format(outcome=entry.outcome))
        draw_parts(canvas, parts, "bold")
        draw_prose(canvas, entry.title)
        draw_prose(canvas, entry.money)
        draw_hint(canvas, entry.remedy, style="", barred=False)


def draw_all(canvas: Canvas, entries: Sequence[Entry]) -> None:
    """Every word that can be explained, in groups."""
    for kind, group in groupby(entries, key=lambda entry: entry.kind):
        draw_prose(canvas, _(KINDS[kind]), "bold")
        draw_facts(canvas, [(entry.code, entry.title) for entry in group])
        canvas.print()
    more = (Say(_("To read more about one of them:")), Type(("explain", "CODE")))
    draw_hint(canvas, more, style="")


_LOOKS = {
    "good": ("√", "green", N_("good")),
    "warn": ("▲", "yellow", N_("look at it")),
    "bad": ("×", "red", N_("bad")),
}


NAMES = {
    "config": N_("configuration"),
    "secret": N_("secret"),
    "place": N_("which journal"),
    "files": N_("file modes"),
    "journal": N_("journal"),
    "disk": N_("disk"),
    "proxy": N_("proxy"),
    "dns": N_("DNS"),
    "tcp": N_("TCP"),
    "tls": N_("TLS"),
    "gateway": N_("gateway"),
    "clock": N_("clock"),
    "terminal": N_("terminal"),
    "unreached": N_("out of reach"),
    "zone": N_("time zone"),
    "sweep": N_("retries by themselves"),
}


def draw_checks(canvas: Canvas, checks: Sequence[Check]) -> None:
    """Each check on a line of its own, and below it what to do."""
    for check in checks:
        glyph, color, word = _LOOKS[check.status]
        style = "" if check.status == "good" else f"bold {color}"
        draw_prose(canvas, f"{glyph} {_(word)} · {_(NAMES[check.name])} · {check.message}", style)
        for part in check.hint:
            if isinstance(part, Say):
                draw_wrapped(canvas, rich_text(f"→ {part.text}"), (3, 5))
            else:
                draw_whole(canvas, f"   → {line_of(part)}")
    canvas.print()
    bad = [check for check in checks if check.status == "bad"]
    if bad:
        draw_prose(canvas, _("× Not ready to pay."), "bold red")
    else:
        draw_prose(canvas, _("√ Ready to pay."), "bold green")
