"""Payments in the journal that no profile of the configuration reaches, open ones and paid ones
that no shift holds: nobody would see them in a list, a retry or a sum. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, TypeVar

from posctl.hint import Hint
from posctl.messages import _
from posctl.money.advice import amount, reach_again
from posctl.money.record import Merchant, OpenOf, PaidOf
from posctl.money.result import iso
from posctl.times import date_time

Held = TypeVar("Held", OpenOf, PaidOf)


def unreached(
    held: Iterable[Held], reached: Collection[Merchant], *, live: bool
) -> tuple[Held, ...]:
    """What the journal holds of merchants that are none of the `reached`; training never meets
    live.
    """
    return tuple(one for one in held if one.merchant.live == live and one.merchant not in reached)


def unreached_words(one: OpenOf | PaidOf) -> str:
    """How many, of which merchant, since when; of paid ones how much."""
    if isinstance(one, OpenOf):
        return _(
            "No profile reaches these open payments: {n}, of merchant {merchant}, since {since}; "
            "they may have been charged."
        ).format(n=one.payments, merchant=one.merchant.name, since=date_time(one.since_ms))
    return _(
        "No profile reaches these paid payments, and no shift holds them: {n}, {money}, of "
        "merchant {merchant}, since {since}."
    ).format(
        n=one.payments,
        money=amount(one.fee),
        merchant=one.merchant.name,
        since=date_time(one.since_ms),
    )


def way_to(one: OpenOf | PaidOf) -> Hint:
    """What to write, so that a profile reaches them, and what to type then."""
    command = ("report", "--close") if isinstance(one, PaidOf) else ("pending",)
    return reach_again(one.merchant, *command)


def unreached_json(found: Iterable[OpenOf | PaidOf]) -> list[dict[str, Any]]:
    """The same for scripts; `fee`, of paid ones, is in fen."""
    return [
        {
            "live": one.merchant.live,
            "merchant": one.merchant.name,
            "payments": one.payments,
            **({"fee": one.fee} if isinstance(one, PaidOf) else {}),
            "since": iso(one.since_ms),
        }
        for one in found
    ]
