"""What a person reads about an outcome."""

from __future__ import annotations

import pytest

from posctl.money.advice import what_happened
from posctl.money.outcome import Event
from posctl.money.record import TryEnd


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
