"""Open payments in the journal that no profile of the configuration reaches: nobody would see them
in a list, a retry or a sum. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from posctl.journal import OpenOf
from posctl.messages import _
from posctl.record import Merchant
from posctl.result import iso
from posctl.screen import _date_time


def unreached(
    held: Iterable[OpenOf], reached: Collection[Merchant], *, live: bool
) -> tuple[OpenOf, ...]:
    """What the journal holds of merchants that are none of the `reached`; training never meets
    live.
    """
    return tuple(one for one in held if one.merchant.live == live and one.merchant not in reached)


def unreached_words(one: OpenOf) -> str:
    """How many, of which merchant, since when."""
    return _(
        "No profile reaches these open payments: {n}, of merchant {merchant}, since {since}; they "
        "may have been charged."
    ).format(n=one.payments, merchant=one.merchant.name, since=_date_time(one.since_ms))


def unreached_json(found: Sequence[OpenOf]) -> list[dict[str, Any]]:
    """The same for scripts."""
    return [
        {
            "live": one.merchant.live,
            "merchant": one.merchant.name,
            "payments": one.payments,
            "since": iso(one.since_ms),
        }
        for one in found
    ]
