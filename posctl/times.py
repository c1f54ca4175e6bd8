"""Moments, days and ages, by this machine's clock and zone. Moments are ms since the epoch."""

from __future__ import annotations

import time

from posctl.errors import UsageError
from posctl.messages import _

DAY_MS = 86_400_000


def now_ms() -> int:
    return int(time.time() * 1000)


def date_time(epoch_ms: int) -> str:
    """Local, as in 2026-01-31 21:30:00."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch_ms / 1000))


def date(epoch_ms: int) -> str:
    """The local day, as in 2026-01-31."""
    return date_time(epoch_ms)[:10]


def stamp(epoch_ms: int) -> str:
    """Local, for a name: 20260131-213000."""
    return time.strftime("%Y%m%d-%H%M%S", time.localtime(epoch_ms / 1000))


def when(epoch_ms: int, now_ms: int) -> str:
    """Local time, as short as can be: today's without the day, this year's without the year."""
    today, moment = (date_time(ms) for ms in (now_ms, epoch_ms))
    if moment[:10] == today[:10]:
        return moment[11:16]
    return moment[5:16] if moment[:4] == today[:4] else moment[:10]


def age(ms: int) -> str:
    """How long ago, in two units at most; a clock that went backwards makes it 0."""
    minutes, seconds = divmod(max(0, ms) // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return _("{days} d {hours} h").format(days=days, hours=hours)
    if hours:
        return _("{hours} h {minutes} min").format(hours=hours, minutes=minutes)
    if minutes:
        return _("{minutes} min").format(minutes=minutes)
    return _("{seconds} s").format(seconds=seconds)


def day_span(day: str, now_s: float) -> tuple[int, int]:
    """A local calendar day as milliseconds, half open; daylight saving is the system's to know.

    `day` is today, yesterday or 2026-01-31. Raises UsageError.
    """
    from datetime import date, datetime, timedelta  # noqa: PLC0415  only for who names a day

    today = date.fromtimestamp(now_s)  # noqa: DTZ012  the till's own day
    try:
        wanted = {"today": today, "yesterday": today - timedelta(days=1)}.get(
            day
        ) or date.fromisoformat(day)
        starts = [datetime(d.year, d.month, d.day) for d in (wanted, wanted + timedelta(days=1))]  # noqa: DTZ001  local on purpose
        since, until = (time.mktime(start.timetuple()) for start in starts)
    except (ValueError, OverflowError):
        raise UsageError(
            "bad_day", _("{day} is not a day: today, yesterday or 2026-01-31.").format(day=day)
        ) from None
    return int(since * 1000), int(until * 1000)


def moment_span(text: str, now_s: float) -> tuple[int, int]:
    """A day as `day_span`, or one moment (2026-01-31T09:30) twice. Raises UsageError."""
    if "T" not in text:
        return day_span(text, now_s)
    from datetime import datetime  # noqa: PLC0415  as above

    try:
        moment = datetime.fromisoformat(text)
        local_s = time.mktime(moment.timetuple()) if moment.tzinfo is None else moment.timestamp()
    except (ValueError, OverflowError):
        raise UsageError(
            "bad_moment",
            _("{when} is neither a day nor a time such as 2026-01-31T09:30.").format(when=text),
        ) from None
    return int(local_s * 1000), int(local_s * 1000)
