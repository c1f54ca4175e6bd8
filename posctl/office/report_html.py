"""The report as one page that a manager reads or prints: no script, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from posctl.messages import N_, _, language
from posctl.money.order import grouped
from posctl.money.outcome import State
from posctl.money.record import Payment
from posctl.office.report import Line, Report
from posctl.office.report_screen import (
    NAMES,
    alarm_words,
    corrected_words,
    label,
    line_money,
    open_words,
    part_paid_words,
    period,
    shares,
    tables,
    title,
)
from posctl.paying.unreached import unreached_words
from posctl.screen.payments import named_of, signed
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
.tables { columns: 2 22rem; column-gap: 2rem; margin-bottom: 1.5rem; }
section { break-inside: avoid; margin-bottom: 1.5rem; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
thead th { color: var(--soft); font-weight: 400; font-size: .85rem; white-space: nowrap; }
tfoot td { white-space: nowrap; font-weight: 700; border-bottom: 3px double var(--line); }
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
@media screen and (max-width: 40rem) {
  body { padding: 1rem .8rem; }
  .totals { gap: .5rem; } .totals li { flex: 1 1 7rem; padding: .4rem .6rem; }
  .totals b { font-size: 1.2rem; }
  .wide thead { display: none; }
  .wide tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  .wide td { display: flex; justify-content: space-between; gap: 1rem; padding: .1rem 0; border: 0;
    text-align: right; }
  .wide td:empty { display: none; }
  .wide td::before { content: attr(data-name); color: var(--soft); white-space: nowrap; }
  .wide tfoot td::before { content: none; }
  dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; }
}
@page { size: A4; margin: 14mm; }
@media print { html { font-size: 12px; } body { max-width: none; padding: 0; font-size: 12.5px; }
  .tables { columns: 2; } dl, .sign, tr { break-inside: avoid; }
  thead { display: table-header-group; }
  tfoot { display: table-row-group; } .wide { font-size: 10.5px; } .wide td, .wide th {
  padding-right: .5rem; } h2 { break-after: avoid; } .long { break-inside: auto; } }
"""


def html_page(
    report: Report,
    dimensions: Sequence[str],
    shop: Sequence[str],
    made_ms: int,
    payments: Sequence[Payment] = (),
) -> str:
    """The page; `shop` are the lines above a receipt, the shop's own name, `payments` are listed
    one a line. Times are local.
    """
    sums = report.total
    shop_column = _shop_column(report, payments)
    totals = [
        (_("taken"), f"￥{grouped(report.fee)}"),
        (_("paid"), _("{n} payments").format(n=sums.paid)),
        (_("not charged"), _("{n} payments").format(n=sums.not_charged)),
        (_("closed by hand"), _("{n} payments").format(n=sums.by_hand)),
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
        _open(report, shop_column) if sums.open else "",
        _corrected(report, shop_column) if report.corrections else "",
        _part_paid(report, shop_column) if report.part_paid else "",
        _alarms(report) if report.alarms else "",
        *(f'<p class="open">▲ {_safe(unreached_words(one))}</p>' for one in report.out_of_reach),
        '<div class="tables">',
        *by,
        "</div>",
        *_details(payments, shop_column),
        _closing(report) if report.closed_ms is not None else "",
        f"<footer>posctl · {_safe(made)}</footer>",
    ]
    lang = {"zh": "zh-CN"}.get(language(), "en")
    return (
        f'<!doctype html>\n<html lang="{lang}">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_safe(title(report))} · {_safe(period(report))}</title>\n"
        f"<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n"
    )


_Names = tuple[tuple[str, str], ...]


def _shop_column(report: Report, payments: Sequence[Payment]) -> _Names:
    """A column that says which shop's it is, where there is more than one."""
    shops = {one.checkout.shop_id for one in payments}
    shops.update(one.shop_id for one in report.open)
    shops.update(one.shop_id for one in report.part_paid)
    shops.update(one.shop_id for one in report.corrections)
    shops.update(line.key for line in report.sums.by["shop"])
    return (("", _("Shop")),) if len(shops - {""}) > 1 else ()


def _shop(shop_id: str, shop: _Names) -> tuple[str, ...]:
    return (_safe(shop_id),) if shop else ()


def _safe(text: str) -> str:
    """Text from anywhere as HTML shows it: no markup, nothing invisible, no reversed text."""
    return escape(one_line(text))


def _badge(report: Report) -> str:
    training = _("▲ TRAINING · no real money")
    live = _("LIVE · real money · {profile}").format(profile=report.profile)
    if report.live:
        return f'<span class="badge">{_safe(live)}</span>'
    return f'<span class="badge training">{_safe(training)}</span>'


def _table_of(
    names: Sequence[tuple[str, str]],
    rows: Iterable[Sequence[str]],
    total: Sequence[str] = (),
    kind: str = "wide",
) -> str:
    """A table; `names` are each column's class and head, `rows` and `total` hold HTML. On a phone
    each row of a `wide` one is a list, the heads before its cells.
    """
    head = "".join(f'<th class="{kind}">{_safe(name)}</th>' for kind, name in names)
    body = "\n".join(_row(names, row) for row in rows)
    foot = f"<tfoot>{_row(names, total)}</tfoot>" if total else ""
    return (
        f'<table class="{kind}"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>{foot}</table>"
    )


def _row(names: Sequence[tuple[str, str]], cells: Sequence[str]) -> str:
    columns = zip(names, cells, strict=True)
    inner = "".join(
        f'<td class="{kind}" data-name="{_safe(name)}">{cell}</td>'
        for (kind, name), cell in columns
    )
    return f"<tr>{inner}</tr>"


def _money(fee: int) -> str:
    return signed(fee) if fee < 0 else f"￥{grouped(fee)}"


_KEYS = {
    "shop": N_("Shop"),
    "operator": N_("Operator"),
    "till": N_("Till"),
    "channel": N_("Channel"),
    "day": N_("Day"),
    "hour": N_("Hour"),
    "outcome": N_("Outcome"),
}


def _table(dimension: str, lines: Sequence[Line]) -> str:
    bars = shares(lines, dimension)
    names = [("", _(_KEYS[dimension])), ("n", _("Number")), ("n", _("Amount"))]
    names += [("share", "")] if any(bars) else []
    rows = [
        (
            _safe(label(dimension, line.key)),
            str(line.n),
            line_money(dimension, line),
            *([f'<span style="width:{share * 100:.1f}%"></span>'] if any(bars) else []),
        )
        for line, share in zip(lines, bars, strict=True)
    ]
    total: list[str] = []
    if dimension != "outcome" and len(lines) > 1:  # outcomes are no sum of anything
        n, fee = sum(line.n for line in lines), sum(line.fee for line in lines)
        total = [_safe(_("Total")), str(n), _money(fee), ""][: len(names)]
    heading = _(NAMES[dimension])
    return f"<section><h2>{_safe(heading)}</h2>\n{_table_of(names, rows, total, 'by')}</section>"


def _details(payments: Sequence[Payment], shop: _Names) -> Iterator[str]:
    """Every payment, one a line: paid, paid on a person's word, not charged, open."""
    groups: dict[str, list[Payment]] = {}
    for one in payments:
        groups.setdefault(_group(one), []).append(one)
    names = (
        *(("", _("When")), ("n", _("Amount")), ("", _("checkout_id")), *shop),
        *(("", _("Till")), ("", _("Operator")), ("", _("Outcome")), ("", _("channel_order_id"))),
        ("", _("request_id")),
    )
    for title_of in (_PAID, _BY_HAND, _NOT_CHARGED, _OPEN):
        found = groups.get(title_of, [])
        if not found:
            continue
        rows = (
            (
                date_time(one.created_ms),
                _money(one.fee),
                _safe(one.checkout.checkout_id),
                *_shop(one.checkout.shop_id, shop),
                _safe(one.machine_id),
                _safe(one.operator_id),
                _safe(named_of(one)),
                _safe(one.verdict.channel_order_id or ""),
                _safe(one.request_id),
            )
            for one in found
        )
        n = _("{n} payments").format(n=len(found))
        money = _money(sum(one.fee for one in found))
        total = (_safe(_("Total")), money, _safe(n), *[""] * (len(names) - 3))
        heading = f"<h2>{_safe(_(title_of))}</h2>"
        yield f'<section class="long">{heading}\n{_table_of(names, rows, total)}</section>'


_PAID = N_("Payments: paid")
_BY_HAND = N_("Payments: paid, closed by hand")
_NOT_CHARGED = N_("Payments: not charged (what was asked for)")
_OPEN = N_("Payments: open (what was asked for)")


def _group(payment: Payment) -> str:
    standing = payment.standing
    if standing.open:
        return _OPEN
    if not standing.paid:
        return _NOT_CHARGED
    return _BY_HAND if standing.state is State.RESOLVED else _PAID


def _corrected(report: Report, shop: _Names) -> str:
    names = (
        *(("n", _("Amount")), ("", _("checkout_id")), *shop),
        *(("", _("Till")), ("", _("Operator")), ("", _("request_id")), ("", _("When"))),
        *(("", _("closed by")), ("", _("note"))),
    )
    rows = (
        (
            *(_safe(signed(one.fee)), _safe(one.checkout_id), *_shop(one.shop_id, shop)),
            *(_safe(one.machine_id), _safe(one.operator_id), _safe(one.request_id)),
            *(date_time(one.at_ms), _safe(one.by), _safe(one.note)),
        )
        for one in report.corrections
    )
    total = (_safe(signed(report.corrected_fee)), _safe(_("Total")), *[""] * (len(names) - 2))
    heading = corrected_words(report)
    return _box(heading, _table_of(names, rows, total))


def _part_paid(report: Report, shop: _Names) -> str:
    names = (
        *(("n", _("Still due")), ("n", _("paid")), ("", _("checkout_id")), *shop),
        *(("", _("Till")), ("", _("Operator")), ("", _("When"))),
    )
    rows = (
        (
            *(_money(one.remaining_fee), _money(one.paid_fee), _safe(one.checkout_id)),
            *_shop(one.shop_id, shop),
            *(_safe(one.machine_id), _safe(one.operator_id), date_time(one.created_ms)),
        )
        for one in report.part_paid
    )
    paid = sum(one.paid_fee for one in report.part_paid)
    total = (_money(report.rest_fee), _money(paid), _safe(_("Total")), *[""] * (len(names) - 3))
    return _box(part_paid_words(report), _table_of(names, rows, total))


def _box(heading: str, inner: str) -> str:
    return f'<div class="open"><h2>{_safe(heading)}</h2>\n{inner}</div>'


def _alarms(report: Report) -> str:
    return _box(
        alarm_words(report), "".join(f"<p>{_safe(a.request_id)}</p>" for a in report.alarms)
    )


def _open(report: Report, shop: _Names) -> str:
    names = (
        *(("", _("Outcome")), ("n", _("Amount")), ("", _("checkout_id")), *shop),
        *(("", _("Till")), ("", _("Operator")), ("", _("request_id")), ("", _("When"))),
    )
    rows = (
        (
            *(_safe(label("outcome", one.outcome)), _money(one.fee), _safe(one.checkout_id)),
            *_shop(one.shop_id, shop),
            *(_safe(one.machine_id), _safe(one.operator_id), _safe(one.request_id)),
            date_time(one.created_ms),
        )
        for one in report.open
    )
    n = _("{n} payments").format(n=report.sums.open)
    total = (_safe(_("Total")), _money(report.sums.open_fee), _safe(n), *[""] * (len(names) - 3))
    return _box(open_words(report), _table_of(names, rows, total))


def _closing(report: Report) -> str:
    facts = [
        (_("shift closed"), date_time(report.closed_ms or 0)),
        (_("by"), report.closed_by),
        (_("note"), report.note),
        (_("check number (SHA-256)"), report.hash),
    ]
    pairs = "\n".join(f"<dt>{_safe(name)}</dt><dd>{_safe(v)}</dd>" for name, v in facts if v)
    signed = "".join(f"<span>{_safe(word)}</span>" for word in (_("Cashier"), _("Manager")))
    return f'<dl>\n{pairs}\n</dl>\n<div class="sign">{signed}</div>'
