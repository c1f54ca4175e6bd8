"""The report as one page that a manager reads or prints: no script, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from posctl.messages import _, language
from posctl.money.order import yuan
from posctl.office.report import Line, Report
from posctl.office.report_screen import (
    NAMES,
    alarm_words,
    corrected_words,
    label,
    open_words,
    period,
    shares,
    tables,
    title,
)
from posctl.paying.unreached import unreached_words
from posctl.screen.payments import signed
from posctl.text import one_line
from posctl.times import date_time

_STYLE = """
:root { --ink: #1b1f24; --soft: #5b6570; --line: #d8dde3; --bar: #2f6f9f; --warn: #9a5b00; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1.5rem; color: var(--ink); background: #fff;
  font: 15px/1.5 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1rem; margin: 0 0 .4rem; }
.shop { margin: 0; color: var(--soft); }
.badge { display: inline-block; padding: .1rem .6rem; border: 2px solid; font-weight: 700; }
.training { display: block; text-align: center; color: #a00; font-size: 1.2rem; margin: 1rem 0; }
.totals { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1.2rem 0; padding: 0;
  list-style: none; }
.totals li { flex: 1 1 9rem; border: 1px solid var(--line); border-radius: .4rem;
  padding: .6rem .9rem; }
.totals b { display: block; font-size: 1.5rem; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.open { border: 2px solid var(--warn); border-radius: .4rem; padding: .6rem .9rem;
  margin: 1.2rem 0; }
.open h2 { color: var(--warn); }
.tables { columns: 2 22rem; column-gap: 2rem; }
section { break-inside: avoid; margin-bottom: 1.5rem; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
thead th { color: var(--soft); font-weight: 400; font-size: .85rem; }
.n { text-align: right; white-space: nowrap; }
.share { width: 30%; }
.share span { display: block; height: .8rem; background: var(--bar); border-radius: .15rem;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 1.5rem 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
.sign { display: flex; gap: 2rem; margin-top: 3rem; }
.sign span { flex: 1; border-top: 1px solid var(--ink); padding-top: .3rem; color: var(--soft); }
footer { color: var(--soft); font-size: .85rem; margin-top: 2rem; }
@page { size: A4; margin: 14mm; }
@media print { html { font-size: 12px; } body { max-width: none; padding: 0; font-size: 12.5px; }
  .tables { columns: 2; } dl, .sign { break-inside: avoid; } }
"""


def html_page(report: Report, dimensions: Sequence[str], shop: Sequence[str], made_ms: int) -> str:
    """The page; `shop` are the lines above a receipt, the shop's own name. Times are local."""
    sums = report.sums
    totals = [
        (_("taken"), f"￥{yuan(report.fee)}"),
        (_("paid"), str(sums.paid)),
        (_("not charged"), str(sums.not_charged)),
        (_("closed by hand"), str(sums.by_hand)),
    ]
    by = (_table(name, lines) for name, lines in tables(report, dimensions))
    made = _("made {when}").format(when=date_time(made_ms))
    parts = [
        *(f'<p class="shop">{_safe(line)}</p>' for line in shop),
        f"<h1>{_safe(title(report))}</h1>",
        f'<p class="shop">{_safe(period(report))}</p>',
        _badge(report),
        '<ul class="totals">',
        *(f"<li>{_safe(name)}<b>{_safe(value)}</b></li>" for name, value in totals),
        "</ul>",
        _open(report) if sums.open else "",
        _corrected(report) if report.corrections else "",
        _alarms(report) if report.alarms else "",
        *(f'<p class="open">▲ {_safe(unreached_words(one))}</p>' for one in report.out_of_reach),
        '<div class="tables">',
        *by,
        "</div>",
        _closing(report) if report.closed_ms is not None else "",
        f"<footer>posctl · {_safe(made)}</footer>",
    ]
    lang = {"zh": "zh-CN"}.get(language(), "en")
    return (
        f'<!doctype html>\n<html lang="{lang}">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_safe(title(report))}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n"
    )


def _safe(text: str) -> str:
    """Text from anywhere as HTML shows it: no markup, nothing invisible, no reversed text."""
    return escape(one_line(text))


def _badge(report: Report) -> str:
    training = _("▲ TRAINING · no real money")
    live = _("LIVE · real money · {profile}").format(profile=report.profile)
    if report.live:
        return f'<span class="badge">{_safe(live)}</span>'
    return f'<span class="badge training">{_safe(training)}</span>'


def _table_of(names: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]]) -> str:
    """A table; `names` are each column's class and head, `rows` hold HTML."""
    head = "".join(f'<th class="{kind}">{_safe(name)}</th>' for kind, name in names)
    body = "\n".join(
        "<tr>"
        + "".join(
            f'<td class="{kind}">{cell}</td>'
            for (kind, _name), cell in zip(names, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"


def _table(dimension: str, lines: Sequence[Line]) -> str:
    names = (("", ""), ("n", _("Number")), ("n", _("Amount")), ("share", ""))
    rows = (
        (
            _safe(label(dimension, line.key)),
            str(line.n),
            f"￥{yuan(line.fee)}",
            f'<span style="width:{share * 100:.1f}%"></span>',
        )
        for line, share in zip(lines, shares(lines, dimension), strict=True)
    )
    heading = _(NAMES[dimension])
    return f"<section><h2>{_safe(heading)}</h2>\n{_table_of(names, rows)}</section>"


def _corrected(report: Report) -> str:
    names = (
        *(("n", _("Amount")), ("", "checkout_id"), ("", "request_id"), ("", _("When"))),
        *(("", _("by")), ("", _("note"))),
    )
    rows = (
        (
            *(_safe(signed(one.fee)), _safe(one.checkout_id), _safe(one.request_id)),
            *(date_time(one.at_ms), _safe(one.by), _safe(one.note)),
        )
        for one in report.corrections
    )
    heading = corrected_words(report)
    return f'<div class="open"><h2>{_safe(heading)}</h2>\n{_table_of(names, rows)}</div>'


def _alarms(report: Report) -> str:
    ids = "".join(f"<p>{_safe(one.request_id)}</p>" for one in report.alarms)
    return f'<div class="open"><h2>{_safe(alarm_words(report))}</h2>\n{ids}</div>'


def _open(report: Report) -> str:
    names = (
        *(("", _("Outcome")), ("n", _("Amount")), ("", "checkout_id"), ("", "request_id")),
        ("", _("When")),
    )
    rows = (
        (
            _safe(label("outcome", one.outcome)),
            f"￥{yuan(one.fee)}",
            _safe(one.checkout_id),
            _safe(one.request_id),
            date_time(one.created_ms),
        )
        for one in report.open
    )
    heading = open_words(report)
    return f'<div class="open"><h2>{_safe(heading)}</h2>\n{_table_of(names, rows)}</div>'


def _closing(report: Report) -> str:
    facts = [
        (_("shift closed"), date_time(report.closed_ms or 0)),
        (_("by"), report.closed_by),
        (_("note"), report.note),
        ("sha256", report.hash),
    ]
    pairs = "\n".join(f"<dt>{_safe(name)}</dt><dd>{_safe(v)}</dd>" for name, v in facts if v)
    signed = "".join(f"<span>{_safe(word)}</span>" for word in (_("Cashier"), _("Manager")))
    return f'<dl>\n{pairs}\n</dl>\n<div class="sign">{signed}</div>'
