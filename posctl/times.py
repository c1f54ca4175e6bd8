"""Moments, days and ages, by this machine's clock and zone. Moments are ms since the epoch."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import Literal

from posctl.errors import UsageError
from posctl.messages import _

DAY_MS = 86_400_000
MAX_SECONDS = 3600.0
ZONES = "/usr/share/zoneinfo"
ZoneFault = Literal["none", "turned", "windows"]
_MS_OF = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": DAY_MS}


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


def zone(epoch_ms: int | None = None) -> str:
    """What the local times of this moment are of, now when there is none: UTC+08:00."""
    offset_s = time.localtime(None if epoch_ms is None else epoch_ms / 1000).tm_gmtoff
    minutes = abs(offset_s) // 60
    return f"UTC{'-' if offset_s < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"


def zone_fault(environ: Mapping[str, str], os_name: str) -> ZoneFault | None:
    """What is wrong with TZ, by which the C library takes another zone without a word: on Windows
    a city, elsewhere a name that is in no list of zones; both are UTC. Or a sign that POSIX reads
    the other way round: UTC+8 is eight hours behind.
    """
    name = environ.get("TZ", "").removeprefix(":")
    turned = re.fullmatch(r"(?:UTC?|GMT)[+-]?0*[1-9].*", name)
    if os_name == "nt":
        known = r"|UTC|GMT|[A-Za-z]{3}[+-]?\d{1,2}(:\d\d){0,2}([A-Za-z]{3})?"
        if not re.fullmatch(known, environ.get("TZ", "")):
            return "windows"
        return "turned" if turned else None
    if name in ("", "UTC", "GMT", "Z") or _is_zone(name, environ):
        return None
    if turned:
        return "turned"
    posix = r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)[+-]?\d{1,3}(?::\d\d){0,2}(?:[A-Za-z<].*)?"
    return None if re.fullmatch(posix, name) else "none"


def zone_words(name: str, fault: ZoneFault, here: str) -> str:
    """A wrong TZ in a sentence; `here` is the zone that holds."""
    if fault == "turned":
        words = _("TZ={name} is {zone}: in TZ the sign is the other way round.")
    elif fault == "windows":
        words = _("TZ={name} means UTC to Windows: shifts, days and receipts are hours off.")
    else:
        words = _("TZ={name} names no time zone: shifts, days and receipts are in {zone}.")
    return words.format(name=_shown(name), zone=here)


def _is_zone(name: str, environ: Mapping[str, str]) -> bool:
    """Whether the system's list has a zone of this name, or the name is a zone's whole path."""
    for folder in (environ.get("TZDIR") or ZONES, "/usr/lib/zoneinfo"):
        try:
            with open(os.path.join(folder, name), "rb") as found:  # noqa: PTH118, PTH123  no pathlib for a day
                if found.read(4) == b"TZif":
                    return True
        except (OSError, ValueError):
            continue
    return False


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

    `day` is today, yesterday, 今天, 昨天, 前天, 2026-01-31, 2026/1/31, 1-31 or 1月31日. One without
    a year is the latest that has come. Raises UsageError.
    """
    span = _day_span(_plain(day), now_s)
    if span is None:
        raise UsageError(
            "bad_day",
            _("{day} is not a day: today, yesterday, 2026-01-31 or 01-31.").format(day=_shown(day)),
        )
    return span


def moment_span(text: str, now_s: float, day: str = "today") -> tuple[int, int]:
    """A day as `day_span`, or one moment twice: 14:30 on `day`, 2026-01-31 09:30, 昨天 14:30.

    Raises UsageError.
    """
    plain = _plain(text)
    named, _gap, clock = plain.rpartition("T" if re.search(r"[0-9]T[0-9]", plain) else " ")
    if re.search(r"[0-9]T[0-9].*[+-]|Z$", plain):  # with a zone of its own
        moment_ms = _zoned(plain)
    elif ":" in clock:
        moment_ms = _clock(clock, _day_span(named or _plain(day), now_s))
    else:
        span = _day_span(plain, now_s)
        if span is not None:
            return span
        moment_ms = None
    if moment_ms is None:
        raise UsageError(
            "bad_moment",
            _(
                "{when} is not a day or a time: yesterday, 01-31, 2026-01-31, 14:30 or "
                "2026-01-31T09:30."
            ).format(when=_shown(text)),
        )
    return moment_ms, moment_ms


def span(
    day: str | None, since: str | None, until: str | None, now_s: float
) -> tuple[int | None, int | None]:
    """What --day, --since and --until mean together, half open: hours alone are of that day.

    Raises UsageError.
    """
    hours = [one for one in (since, until) if one is not None and is_clock(one)]
    if day is not None and len(hours) < sum(one is not None for one in (since, until)):
        raise UsageError("which", _("With --day, --since and --until take hours, as in 14:30."))
    start, end = (None, None) if day is None else day_span(day, now_s)
    if since is not None:
        start = moment_span(since, now_s, day or "today")[0]
    if until is not None:
        end = moment_span(until, now_s, day or "today")[1]
    if start is not None and end is not None and start >= end:
        raise UsageError("bad_span", _("--until is not after --since."))
    return start, end


def is_clock(text: str) -> bool:
    """Whether it names an hour and no day, as 14:30 does."""
    return re.fullmatch(_CLOCK, _plain(text)) is not None


_CLOCK = r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?"
_DAYS_AGO = {"today": 0, "yesterday": 1, "今天": 0, "今日": 0, "昨天": 1, "昨日": 1, "前天": 2}


def _shown(text: str) -> str:
    """As an error may repeat it: a scanner types wherever the cursor is."""
    return re.sub(r"[0-9]{10,}", "…", text[:64])


def _plain(text: str) -> str:
    """As an input method types it: full-width digits and colons, spaces around."""
    from unicodedata import normalize

    return normalize("NFKC", text).strip()


def _day_span(text: str, now_s: float) -> tuple[int, int] | None:
    from datetime import date, timedelta

    today = date.fromtimestamp(now_s)  # noqa: DTZ012  the till's own day
    try:
        if text.lower() in _DAYS_AGO:
            wanted = today - timedelta(days=_DAYS_AGO[text.lower()])
        elif named := re.fullmatch(
            r"(?:([0-9]{4})[-/.年])?([0-9]{1,2})[-/.月]([0-9]{1,2})日?", text
        ):
            year, month, day = (int(part) if part else None for part in named.groups())
            wanted = date(year or today.year, month or 0, day or 0)
            if year is None and wanted > today:
                wanted = wanted.replace(year=today.year - 1)
        else:
            wanted = date.fromisoformat(text)
        since, until = (
            time.mktime((one.year, one.month, one.day, 0, 0, 0, 0, 0, -1))
            for one in (wanted, wanted + timedelta(days=1))
        )
    except (ValueError, OverflowError):
        return None
    return int(since * 1000), int(until * 1000)


def _clock(text: str, day: tuple[int, int] | None) -> int | None:
    clock = re.fullmatch(_CLOCK, text)
    if clock is None or day is None:
        return None
    hour, minute, second = (int(part or 0) for part in clock.groups())
    if hour > 24 or minute > 59 or second > 59 or (hour == 24 and (minute, second) != (0, 0)):
        return None
    start = time.localtime(day[0] // 1000)
    at = (start.tm_year, start.tm_mon, start.tm_mday, hour, minute, second, 0, 0, -1)
    return int(time.mktime(at) * 1000)


def _zoned(text: str) -> int | None:
    from datetime import datetime

    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def seconds_in(text: str, where: str) -> float:
    """A span in seconds from plain digits, above 0 and at most an hour. Raises UsageError."""
    if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text) and 0 < float(text) <= MAX_SECONDS:
        return float(text)
    raise UsageError(
        "bad_seconds",
        _("{where} takes seconds, above 0 and at most {most:.0f}.").format(
            where=where, most=MAX_SECONDS
        ),
    )


def age_ms_in(text: str) -> int:
    """An age as in `5m`, in milliseconds. Raises UsageError."""
    parts = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if parts is None or int(parts[1]) == 0:
        raise UsageError(
            "bad_age", _("--older-than is a whole number with s, m, h or d, as in 5m.")
        )
    return int(parts[1]) * _MS_OF[parts[2]]
