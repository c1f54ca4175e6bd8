"""`posctl metrics`: the journal's state for a monitoring system."""

from collections import Counter

import typer

from posctl.cli.framework import Command, new_app
from posctl.cli.run import Run
from posctl.journal import Journal
from posctl.messages import _
from posctl.money.outcome import Exit, Outcome, outcome_of
from posctl.money.record import Filter, Merchant
from posctl.office.metrics import OPEN, SETTLED, OfMerchant, metrics_text
from posctl.office.report import sums_of, with_corrections
from posctl.paying.notices import swept
from posctl.screen.contract import envelope
from posctl.screen.screen import View
from posctl.times import day_span

app = new_app()


@app.command(
    cls=Command,
    help=_(
        "Print the journal's state as Prometheus text, for every merchant of the configuration: "
        "what is open and for how long, alarms, payments by outcome and money since midnight, the "
        "last success, the last retry --due. Write it into a file that a collector reads, under "
        "another name first: a failed run must not leave an empty one."
    ),
    epilog="posctl metrics > posctl.new && mv posctl.new posctl.prom",
)
def metrics(ctx: typer.Context) -> int:
    return metrics_run(ctx.obj)


def metrics_run(run: Run) -> Exit:
    """The whole behaviour of `metrics`, without the framework."""
    loaded, journal = run.load(), run.journal()
    live = loaded.profile.live
    merchants = dict.fromkeys(one.merchant for one in loaded.profiles if one.live is live)
    found = [_look_at(merchant, journal, run) for merchant in merchants]
    size_bytes = journal.size_bytes()
    if run.screen.json or run.screen.field is not None:
        data = envelope(
            "metrics",
            Exit.OK,
            merchants=[one._asdict() for one in found],
            journal_bytes=size_bytes,
        )
        run.screen.show(View(data, lambda _canvas: None))
    else:
        run.screen.line(metrics_text(found, size_bytes).rstrip("\n"))
    return Exit.OK


def _look_at(merchant: Merchant, journal: Journal, run: Run) -> OfMerchant:
    now_ms = run.now_ms()
    still_open = list(journal.open_payments(merchant))
    open_now = Counter(outcome_of(one.standing) for one in still_open)
    since_ms, until_ms = day_span("today", run.now_s())
    of_today = Filter(merchant=merchant, since_ms=since_ms, until_ms=until_ms)
    # Only of today's payments: a counter never falls below what it began with.
    corrected = [one for one in journal.corrections(of_today) if one.created_ms >= since_ms]
    sums = with_corrections(sums_of(journal.sums(of_today)), corrected)
    begun = {line.key: line.n for line in sums.by["outcome"]}
    successes = journal.history(Filter(merchant=merchant, outcome=Outcome.SUCCESS))
    latest = next(iter(successes), None)
    swept_ms = journal.marks().get(swept(merchant))
    return OfMerchant(
        name=merchant.name,
        live=merchant.live,
        open={outcome: open_now[outcome] for outcome in OPEN},
        open_fen=sum(one.pay_fee for one in still_open),
        oldest_open_s=max((now_ms - one.created_ms for one in still_open), default=0) // 1000,
        alarms=len(journal.alarms(merchant)),
        settled={outcome: begun.get(outcome, 0) for outcome in SETTLED},
        taken_fen=sums.fee,
        last_success_s=None
        if latest is None or latest.closed_ms is None
        else latest.closed_ms // 1000,
        last_sweep_s=None if swept_ms is None else swept_ms // 1000,
    )
