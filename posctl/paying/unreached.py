"""Payments in the journal that no profile of the configuration reaches, open ones and paid ones
that no shift holds: nobody would see them in a list, a retry or a sum. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeVar

from posctl.messages import _
from posctl.money.advice import amount
from posctl.money.record import Merchant, OpenOf, PaidOf
from posctl.money.result import iso
from posctl.screen.brush import date_time

Held = TypeVar("Held", OpenOf, PaidOf)


def unreached(
    held: Iterable[Held], reached: Collection[Merchant], *, live: bool
) -> tuple[Held, ...]:
    """What the journal holds of merchants that are none of the `reached`; training never meets
    live.
    """
    return tuple(one for one in held if one.merchant.live == live and one.merchant not in reached)


def unreached_words(one: OpenOf) -> str:
    """How many, of which merchant, since when."""
    return _(
        "No profile reaches these open payments: {n}, of merchant {merchant}, since {since}; they "
        "may have been charged."
    ).format(n=one.payments, merchant=one.merchant.name, since=date_time(one.since_ms))


def unreached_paid_words(one: PaidOf) -> str:
    """How many, how much, of which merchant, since when."""
    return _(
        "No profile reaches these paid payments, and no shift holds them: {n}, {money}, of "
        "merchant {merchant}, since {since}."
    ).format(
        n=one.payments,
        money=amount(one.fee),
        merchant=one.merchant.name,
        since=date_time(one.since_ms),
    )


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


def unreached_paid_json(found: Sequence[PaidOf]) -> list[dict[str, Any]]:
    """Paid payments for scripts; `fee` is in fen."""
    return [
        {
            "live": one.merchant.live,
            "merchant": one.merchant.name,
            "payments": one.payments,
            "fee": one.fee,
            "since": iso(one.since_ms),
        }
        for one in found
    ]
