"""What a person reads about an outcome."""

from __future__ import annotations

import pytest

from posctl.money.advice import what_happened, what_happened_last
from posctl.money.outcome import Event
from posctl.money.record import Try, TryEnd, Who


@pytest.mark.parametrize(
    ("event", "message", "said"),
    [
        (Event.CUT, "ConnectionResetError", "The connection broke after the request was sent."),
        (Event.CUT, "RemoteDisconnected", "The connection broke after the request was sent."),
        (Event.DNS_FAILED, "gaierror", "The gateway's name could not be found (DNS)."),
        (Event.TRUNCATED, "IncompleteRead", "The answer broke off."),
        (Event.PROXY_REFUSED, "407", "The proxy refused the connection. (407)"),
        (
            Event.TLS_REFUSED,
            "certificate has expired",
            "The gateway's certificate was not accepted. (certificate has expired)",
        ),
        (Event.FAILED, "NO_MONEY", "The payment failed. (NO_MONEY)"),
    ],
)
def test_no_exception_is_named_to_people(event: Event, message: str, said: str) -> None:
    """The other side's own words are told; the name of a class of Python's is for scripts."""
    assert what_happened(TryEnd(event=event, finished_ms=0, message=message)) == said


def test_an_open_payment_is_not_told_as_failed() -> None:
    """Among what is open a platform's "failed" that proves nothing is told as its answer: who stops
    reading at "the payment failed" charges again.
    """
    failed = TryEnd(event=Event.FAILED, finished_ms=0, message="NO_MONEY")
    said = what_happened_last(Try(2, "pay", 0, Who("host", 1, "001", "123"), failed))
    assert said == "The platform's answer to this try was a failure. (NO_MONEY)"
