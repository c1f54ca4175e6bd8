"""Days and moments as people write them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from posctl.errors import UsageError
from posctl.times import day_span, moment_span, span

NOW = datetime(2026, 11, 27, 16, 0)  # noqa: DTZ001  local on purpose
HOUR_MS = 3_600_000


@pytest.fixture(autouse=True)
def hangzhou() -> Iterator[None]:
    """The shop's own time zone."""
    if sys.platform == "win32":  # it takes no such name: the machine's own
        yield
        return
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Asia/Shanghai"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def ms(*when: int) -> int:
    return int(time.mktime(datetime(*when).timetuple()) * 1000)  # type: ignore[arg-type]  # noqa: DTZ001


def now_s() -> float:
    return time.mktime(NOW.timetuple())


@pytest.mark.parametrize(
    ("day", "begins"),
    [
        ("today", (2026, 11, 27)),
        ("今天", (2026, 11, 27)),
        ("yesterday", (2026, 11, 26)),
        ("Yesterday", (2026, 11, 26)),
        ("昨天", (2026, 11, 26)),
        ("前天", (2026, 11, 25)),
        ("11-26", (2026, 11, 26)),
        ("11/26", (2026, 11, 26)),
        ("2026/11/26", (2026, 11, 26)),
        ("2026/1/5", (2026, 1, 5)),
        ("2026.11.26", (2026, 11, 26)),
        ("11月26日", (2026, 11, 26)),
        ("2026年11月26日", (2026, 11, 26)),
        ("２０２６-１１-２６", (2026, 11, 26)),
        ("20261126", (2026, 11, 26)),
        ("11-28", (2025, 11, 28)),
    ],
)
def test_a_day_as_people_write_it(day: str, begins: tuple[int, int, int]) -> None:
    """In words of both languages, with or without the year, from a keyboard in full width; a day
    without a year is the latest that has come.
    """
    since, until = day_span(day, now_s())
    assert (since, until) == (ms(*begins, 0, 0), ms(*begins, 0, 0) + 24 * HOUR_MS)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("14:30", (2026, 11, 27, 14, 30)),
        ("14：30", (2026, 11, 27, 14, 30)),
        ("9:05:07", (2026, 11, 27, 9, 5, 7)),
        ("24:00", (2026, 11, 28, 0, 0)),
        ("2026-11-26T14:30", (2026, 11, 26, 14, 30)),
        ("2026-11-26 14:30", (2026, 11, 26, 14, 30)),
        ("昨天 14:30", (2026, 11, 26, 14, 30)),
        ("yesterday 14:30", (2026, 11, 26, 14, 30)),
        ("11-26 14:30", (2026, 11, 26, 14, 30)),
        ("2026-11-26T06:30Z", (2026, 11, 26, 14, 30)),
        ("2026-11-26T14:30+08:00", (2026, 11, 26, 14, 30)),
    ],
)
def test_a_moment_as_people_write_it(text: str, at: tuple[int, ...]) -> None:
    """An hour is of today; with a day before it of that day; with a zone of its own in that."""
    assert moment_span(text, now_s()) == (ms(*at), ms(*at))


@pytest.mark.parametrize(
    "text", ["", "tomorrow", "2026-02-30", "13-01", "25:00", "12:60", "x 9:00"]
)
def test_what_is_neither_day_nor_time(text: str) -> None:
    """It is refused, and repeated without a payment code that was scanned there."""
    with pytest.raises(UsageError):
        moment_span(text, now_s())
    with pytest.raises(UsageError) as told:
        moment_span(f"{text}281234567890123456", now_s())
    assert "281234567890123456" not in str(told.value)


def test_hours_of_a_day_are_a_span_of_it() -> None:
    """--day with --since and --until in hours is that part of the day; with days it is refused,
    and so is an end before its beginning.
    """
    assert span("yesterday", "14:30", "15:30", now_s()) == (
        ms(2026, 11, 26, 14, 30),
        ms(2026, 11, 26, 15, 30),
    )
    assert span("yesterday", None, None, now_s()) == day_span("yesterday", now_s())
    assert span(None, "11-25", "11-26", now_s()) == (ms(2026, 11, 25), ms(2026, 11, 27))
    assert span(None, "14:00", None, now_s()) == (ms(2026, 11, 27, 14), None)
    for day, since, until in (("today", "11-25", None), (None, "15:00", "14:00")):
        with pytest.raises(UsageError):
            span(day, since, until, now_s())
