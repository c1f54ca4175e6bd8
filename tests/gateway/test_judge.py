"""From an answer to an event, row by row. What a model says is in tests/money/test_outcome.py."""

from __future__ import annotations

import pytest

from posctl.gateway.judge import read_event
from posctl.gateway.top import ErrorAnswer, Unreadable
from posctl.money.outcome import Event

HTTP = {
    199: Event.HTTP_ERROR,
    200: Event.NOT_TOP,
    299: Event.NOT_TOP,
    300: Event.REDIRECT,
    301: Event.REDIRECT,
    399: Event.REDIRECT,
    400: Event.HTTP_ERROR,
    500: Event.HTTP_ERROR,
}


@pytest.mark.parametrize(("status", "event"), HTTP.items())
def test_what_is_no_answer_of_top_is_known_by_its_status(status: int, event: Event) -> None:
    """200 and its kin are somebody's page, 300 and its kin lead elsewhere, all else is broken."""
    assert read_event(Unreadable("html"), status, None) is event


# Code, sub_code, what it is. 15 and 50 are the business's, by their sub_code.
ERRORS = [
    (7, "accesscontrol.limited-by-api-access-count", Event.GATEWAY_REFUSED),
    (15, "isp.get-app-error", Event.GATEWAY_REFUSED),
    (None, "ISP.TOP-mapping-parse-error", Event.GATEWAY_REFUSED),
    (15, "isv.e_4711", Event.BUSINESS_REFUSED),
    (50, "ISV.e_4711", Event.BUSINESS_REFUSED),
    (15, "isp.unknown-error", Event.SYSTEM_ERROR),
    (15, None, Event.SYSTEM_ERROR),
    (16, "isv.e_4711", Event.SYSTEM_ERROR),
    (10, None, Event.SYSTEM_ERROR),
    (None, None, Event.SYSTEM_ERROR),
]


@pytest.mark.parametrize(("code", "sub_code", "event"), ERRORS)
def test_what_an_error_is(code: int | None, sub_code: str | None, event: Event) -> None:
    """Refused before the business saw it, refused by the business, or broken on the way."""
    assert read_event(ErrorAnswer(code, "", sub_code, "sorry", None), 200, None) is event
