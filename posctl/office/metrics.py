"""The journal's state as Prometheus text (the exposition format, version 0.0.4). Pure.

Counters begin anew at local midnight, as those of a process do when it starts; money is in fen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from posctl.money.outcome import Outcome


class OfMerchant(NamedTuple):
    """One merchant's part; times are seconds since the epoch, None for never.

    `open` are the open payments by outcome, `settled` those that were begun today and are closed,
    `taken_fen` what was charged of those.
    """

    name: str
    live: bool
    open: Mapping[Outcome, int]
    open_fen: int
    oldest_open_s: int
    alarms: int
    settled: Mapping[Outcome, int]
    taken_fen: int
    last_success_s: int | None
    last_sweep_s: int | None


OPEN = (Outcome.PENDING, Outcome.UNKNOWN, Outcome.CONFLICT)
SETTLED = (Outcome.SUCCESS, Outcome.FAIL, Outcome.NOT_SENT, Outcome.REJECTED)


def metrics_text(merchants: Iterable[OfMerchant], journal_bytes: int) -> str:
    """Every family with its help and type, one sample for each merchant."""
    found = list(merchants)
    return "".join(f"{line}\n" for line in _lines(found, journal_bytes))


def _lines(found: list[OfMerchant], journal_bytes: int) -> Iterator[str]:
    yield from _family("open_payments", "gauge", "Payments whose outcome is not known yet.")
    for one in found:
        for outcome in OPEN:
            yield _sample("open_payments", one, one.open.get(outcome, 0), outcome)
    yield from _family("open_fen", "gauge", "What the open payments come to, in fen.")
    yield from (_sample("open_fen", one, one.open_fen) for one in found)
    yield from _family("oldest_open_seconds", "gauge", "Age of the oldest open payment; 0: none.")
    yield from (_sample("oldest_open_seconds", one, one.oldest_open_s) for one in found)
    yield from _family("alarms", "gauge", "Alarms that nobody has acknowledged.")
    yield from (_sample("alarms", one, one.alarms) for one in found)
    yield from _family("payments_total", "counter", "Begun since local midnight, and settled.")
    for one in found:
        for outcome in SETTLED:
            yield _sample("payments_total", one, one.settled.get(outcome, 0), outcome)
    yield from _family("taken_fen_total", "counter", "Charged of those, in fen.")
    yield from (_sample("taken_fen_total", one, one.taken_fen) for one in found)
    yield from _family("last_success_timestamp_seconds", "gauge", "When money last came in.")
    for one in found:
        if one.last_success_s is not None:
            yield _sample("last_success_timestamp_seconds", one, one.last_success_s)
    yield from _family("last_sweep_timestamp_seconds", "gauge", "When retry --due last ended.")
    for one in found:
        if one.last_sweep_s is not None:
            yield _sample("last_sweep_timestamp_seconds", one, one.last_sweep_s)
    yield from _family("journal_bytes", "gauge", "Room that the journal takes.")
    yield f"posctl_journal_bytes {journal_bytes}"


def _family(name: str, kind: str, what: str) -> Iterator[str]:
    yield f"# HELP posctl_{name} {what}"
    yield f"# TYPE posctl_{name} {kind}"


def _sample(name: str, one: OfMerchant, value: int, outcome: Outcome | None = None) -> str:
    labels = [f'merchant="{_escaped(one.name)}"', f'live="{int(one.live)}"']
    if outcome is not None:
        labels.append(f'outcome="{outcome}"')
    return f"posctl_{name}{{{','.join(labels)}}} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
