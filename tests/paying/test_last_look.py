"""Between the commit and the first byte posctl looks once more, whatever the machine did meanwhile.

Here the machine falls asleep right after a commit: both clocks go on, or only one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from conftest import Shop
from faultserver import PAID, FaultServer, answer
from test_events import Counter
from test_gateway import FORM, MakeGateway, gateway  # noqa: F401  a fixture

from posctl.gateway.exchange import Sent
from posctl.journal import Transaction
from posctl.money.admit import LEAVE_WITHIN_MS, may_leave
from posctl.money.outcome import Event
from posctl.money.record import Payment
from posctl.paying.desk import Desk
from posctl.paying.many import Watch
from posctl.paying.retries import Sweep, sweep
from posctl.paying.row import reopen

LATE_S = LEAVE_WITHIN_MS / 1000 + 1


class Sleepy:
    """A journal on a machine that falls asleep for `for_s` right after its next commit."""

    def __init__(self, counter: Counter, uptime_s: float, wall_s: float) -> None:
        self._counter, self._for_s = counter, (uptime_s, wall_s)
        self.uptime_s = 0.0
        self._slept = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._counter.journal, name)

    def transact(self, work: Callable[[Transaction], Any]) -> Any:
        done = self._counter.journal.transact(work)
        if not self._slept:
            self._slept = True
            self.uptime_s += self._for_s[0]
            self._counter.now_s += self._for_s[1]
        return done


def sleepy(counter: Counter, uptime_s: float, wall_s: float) -> Desk:
    journal = Sleepy(counter, uptime_s, wall_s)
    return counter.desk._replace(journal=journal, uptime_s=lambda: journal.uptime_s)


@pytest.fixture
def counter(shop: Shop) -> Iterator[Counter]:
    with FaultServer(answer()) as server, closing(Counter(shop, server)) as found:
        yield found


CLOCKS = {"both clocks": (LATE_S, LATE_S), "uptime alone": (LATE_S, 0), "wall alone": (0, LATE_S)}


@pytest.mark.parametrize("clocks", CLOCKS.values(), ids=CLOCKS)
def test_a_new_payment_that_slept_before_its_first_byte_is_not_sent(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, clocks: tuple[float, float]
) -> None:
    """No byte leaves, the customer was not charged, and the same command takes the payment."""
    desk = sleepy(counter, *clocks)
    with monkeypatch.context() as at:
        at.setattr(Counter, "desk", property(lambda _self: desk))
        told = counter.pay(PAID)
    assert (told["outcome"], told["exit_code"]) == ("not_sent", 11)
    assert told["error"]["code"] == Event.TOO_LATE
    assert counter.server.requests == []
    again = counter.pay(PAID)
    assert again["outcome"] == "success"
    assert again["request_id"] != told["request_id"]


def test_a_resend_that_slept_stays_in_doubt(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was unknown before stays unknown: not sending proves nothing of the earlier try."""
    opened = counter.pay(b"<html>")
    desk = sleepy(counter, LATE_S, LATE_S)
    with monkeypatch.context() as at:
        at.setattr(Counter, "desk", property(lambda _self: desk))
        told = counter.retry(PAID, opened["request_id"])
    assert (told["outcome"], told["exit_code"]) == ("unknown", 21)
    assert len(counter.server.requests) == 1


def test_each_payment_of_a_sweep_is_looked_at(counter: Counter) -> None:
    """A machine that sleeps after the commit of a whole chunk sends none of it."""
    opened = [counter.pay(b"<html>", f"c{n}")["request_id"] for n in range(3)]
    before = len(counter.server.requests)
    desk = sleepy(counter, LATE_S, LATE_S)
    how = Sweep(desk, frozenset(), False, Watch(lambda: 0.0, lambda: None))
    outcomes = [result.outcome for result in sweep(opened, how)]
    assert outcomes == ["unknown"] * 3
    assert len(counter.server.requests) == before


def test_a_payment_that_was_closed_meanwhile_tells_how(counter: Counter) -> None:
    """Somebody closed the payment while this till slept: it sends nothing, and raises no alarm."""
    opened = counter.pay(b"<html>")["request_id"]
    desk = sleepy(counter, LATE_S, LATE_S)
    begun = desk.journal.transact(lambda tx: reopen(tx, opened, desk, frozenset(), automatic=False))
    assert isinstance(begun, Payment)
    assert not may_leave(begun, desk.uptime_s(), desk.now_ms())


def test_the_gateway_asks_before_the_first_byte(gateway: MakeGateway) -> None:  # noqa: F811
    """Connected, but told no: not a byte of the request arrives."""
    with FaultServer(answer()) as server:
        exchange = gateway(server.url).post(FORM, Sent(lambda: False))
        assert (exchange.event, exchange.may_have_left) == (Event.TOO_LATE, False)
        assert server.requests == []
