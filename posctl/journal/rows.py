"""What every SQL journal shares: the columns in their order, rows to records, filters to clauses.

Values stand as `?`; the clauses mean the same whether yes and no are booleans or 1 and 0.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from posctl.money.outcome import Doubt, Event, Outcome, Standing, State
from posctl.money.record import (
    RUNNING_SHIFT,
    Checkout,
    Correction,
    Filter,
    Merchant,
    NewPayment,
    OpenOf,
    PaidOf,
    Payment,
    Try,
    TryEnd,
    Verdict,
    Who,
)

COLUMNS = """seq, request_id, profile, live, gateway, app_key, shop_id, checkout_id, order_id,
  operator_id, machine_id, pay_channel, pay_fee, pay_request, state, doubt, paid, result_status,
  remaining_fee, current_pay_fee, current_payment_channel, payment_order_id, channel_order_id,
  result_code, result_message, trace_id, warnings, tries, created_ms, updated_ms, closed_ms, told,
  resolved_by, resolved_note, merchant, own_id, for_person, corrected"""

# What a merchant and a checkout are known by. The app_key is the name of a merchant without one:
# so are the rows of posctl 0.1, and those that it goes on writing beside a newer one.
MERCHANT = "coalesce(merchant, app_key)"
OPEN_MERCHANTS = f"""SELECT live, {MERCHANT}, count(*), min(created_ms) FROM payments {{indexed}}
    WHERE closed_ms IS NULL GROUP BY 1, 2 ORDER BY 1, 2"""  # noqa: S608  no value stands in it
PAID_MERCHANTS = f"""SELECT live, {MERCHANT}, count(*), CAST(sum(CASE WHEN result_status=1
      THEN coalesce(current_pay_fee, pay_fee) ELSE pay_fee END) AS BIGINT), min(created_ms)
    FROM payments {{indexed}} WHERE {{clauses}} GROUP BY 1, 2 ORDER BY 1, 2"""  # noqa: S608  as above
OF_MERCHANT = f"live=? AND {MERCHANT}=?"
OF_CHECKOUT = f"{OF_MERCHANT} AND shop_id=? AND checkout_id=?"
# Shifts keep the columns that 0.1 gave them. It wrote the gateway into the first; now that is "",
# and the chain goes on from whichever gateway's went furthest. "training" is no live merchant's
# name, so the name alone tells training and live apart.
OF_SHIFTS = "app_key=?"
LATEST_SHIFT = "ORDER BY number DESC, gateway LIMIT 1"


def named_merchant(new: NewPayment) -> str | None:
    """What the column `merchant` holds: nothing when the app_key is the name."""
    name = new.checkout.merchant_name
    return None if name == new.app_key else name


def standing_of(state: str, doubt: str | None, paid: int | None) -> Standing:
    return Standing(
        State(state), Doubt(doubt) if doubt else None, None if paid is None else bool(paid)
    )


def payment_of(row: Sequence[Any]) -> Payment:
    standing, booked = standing_of(*row[14:17]), None
    if row[37] is not None:
        standing, booked = standing._replace(paid=bool(row[37])), standing
    return Payment(
        seq=row[0],
        request_id=row[1],
        profile=row[2],
        gateway=row[4],
        app_key=row[5],
        checkout=Checkout(bool(row[3]), row[34] or row[5], row[6], row[7]),
        order_id=row[8],
        operator_id=row[9],
        machine_id=row[10],
        pay_channel=row[11],
        pay_fee=row[12],
        pay_request=row[13],
        standing=standing,
        verdict=Verdict(*row[17:26]),
        warnings=tuple(json.loads(row[26])) if row[26] else (),
        tries=row[27],
        created_ms=row[28],
        updated_ms=row[29],
        closed_ms=row[30],
        told=bool(row[31]),
        resolved_by=row[32],
        resolved_note=row[33],
        own_id=bool(row[35]),
        for_person=bool(row[36]),
        booked=booked,
    )


_PAID = {State.SUCCESS: True, State.FAIL: False, State.NOT_SENT: False, State.REJECTED: False}


def sound_payment(row: Sequence[Any]) -> Payment | None:
    """The payment of a row; None when the row is damaged."""
    try:
        payment = payment_of(row)
        return payment if _is_sound(payment) else None
    except (TypeError, ValueError, AttributeError):
        return None


def _is_sound(payment: Payment) -> bool:
    """Whether a row agrees with itself: SQLite keeps no checksums, and a flipped byte inside a
    record is no error to it. What is paid follows from the state, and `pay_request` says much of
    the row a second time.
    """
    standing = payment.standing
    if standing.open != payment.open or (standing.paid is None) != payment.open:
        return False
    if payment.booked is not None and standing.state is not State.RESOLVED:
        return False
    if not payment.open and standing.paid is not _PAID.get(standing.state, standing.paid):
        return False
    said = json.loads(payment.pay_request).get
    return bool(
        said("request_id", payment.request_id) == payment.request_id
        and said("checkout_id", payment.checkout.checkout_id) == payment.checkout.checkout_id
        and said("shop_id", payment.checkout.shop_id) == payment.checkout.shop_id
        and said("pay_fee", payment.pay_fee) == payment.pay_fee
        and said("order_id", payment.order_id) == payment.order_id
        and said("operator_id", payment.operator_id) == payment.operator_id
        and said("machine_id", payment.machine_id) == payment.machine_id
        and said("pay_channel", payment.pay_channel) == payment.pay_channel
    )


def is_elsewhere(payment: Payment, checkout: Checkout) -> bool:
    """Whether `payment` is of another checkout of the same merchant."""
    return payment.checkout != checkout and payment.checkout.merchant == checkout.merchant


def try_of(row: Sequence[Any]) -> Try:
    n, kind, started_ms, host, pid, machine_id, operator_id, event, finished_ms, *rest = row
    end = None if event is None else TryEnd(Event(event), finished_ms, *rest)
    return Try(n, kind, started_ms, Who(host, pid, machine_id, operator_id), end)


def clauses_of(which: Filter) -> tuple[str, list[Any]]:
    clauses: list[str] = ["1=1"]
    values: list[Any] = []
    if which.merchant is not None:
        clauses.append(OF_MERCHANT)
        values += which.merchant
    for clause, value in (
        ("created_ms>=?", which.since_ms),
        ("created_ms<?", which.until_ms),
        ("shop_id=?", which.shop_id),
        ("checkout_id=?", which.checkout_id),
        ("operator_id=?", which.operator_id),
        ("machine_id=?", which.machine_id),
        ("request_id=?", which.request_id),
        ("profile=?", which.profile),
        ("? IN (pay_fee, current_pay_fee)", which.pay_fee),
    ):
        if value is not None:
            clauses.append(clause)
            values.append(value)
    if which.shift == RUNNING_SHIFT:
        clauses.append("shift IS NULL")
    elif which.shift is not None:
        clauses.append("shift=?")
        values.append(which.shift)
        if which.chain:
            clauses.append("gateway=?")
            values.append(which.chain)
    if which.is_open is not None:
        clauses.append("closed_ms IS NULL" if which.is_open else "closed_ms IS NOT NULL")
    if which.outcome is not None:
        clauses.append(_OUTCOME_CLAUSE[which.outcome])
    if which.part:
        clauses.append(
            f"result_status=1 AND remaining_fee > 0 AND {_OUTCOME_CLAUSE[Outcome.SUCCESS]}"
        )
    return " AND ".join(clauses), values


MANY_NAMED = 11  # of several that one name fits so many are listed; it is no name of one


def spellings(name: str) -> tuple[str, str]:
    """`name` as it is, and as the beginning of a UUID in its one spelling."""
    digits = name.replace("-", "").lower()
    if not re.fullmatch(r"[0-9a-f]{1,32}", digits):
        return name, name
    parts = digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]
    return name, "-".join(part for part in parts if part)


# What a person's word to the contrary changes, in fen.
_IF_PAID = "CASE WHEN result_status=1 THEN coalesce(current_pay_fee, pay_fee) ELSE pay_fee END"
CORRECTIONS = f"""SELECT request_id, checkout_id, operator_id, machine_id, word, {_IF_PAID},
      at_ms, by_whom, note, shop_id, order_id, pay_channel, created_ms
    FROM corrections JOIN payments USING (seq) WHERE {{clauses}} ORDER BY id"""  # noqa: S608  as above


def correction_clauses(which: Filter) -> tuple[str, list[Any]]:
    """As `clauses_of`; shift and span are those in which the correction was made: there it counts,
    and what was summed up before stays as it was.
    """
    clauses, values = clauses_of(which._replace(shift=None, since_ms=None, until_ms=None))
    for clause, ms in ((" AND at_ms>=?", which.since_ms), (" AND at_ms<?", which.until_ms)):
        if ms is not None:
            clauses += clause
            values.append(ms)
    if which.shift == RUNNING_SHIFT:
        clauses += " AND in_shift IS NULL"
    elif which.shift is not None:
        clauses += " AND in_shift=?" if not which.chain else " AND 1=0"  # 0.1 corrected nothing
        values += [which.shift] if not which.chain else []
    return clauses, values


def correction_of(row: Sequence[Any]) -> Correction:
    """What CORRECTIONS found."""
    request_id, checkout_id, operator_id, machine_id, word, fee, at_ms, by, note, *rest = row
    shop_id, order_id, pay_channel, created_ms = rest
    paid = word == PAID_WORD[True]
    return Correction(
        request_id=request_id,
        checkout_id=checkout_id,
        operator_id=operator_id,
        machine_id=machine_id,
        paid=paid,
        fee=fee if paid else -fee,
        at_ms=at_ms,
        by=by,
        note=note,
        shop_id=shop_id,
        order_id=order_id,
        pay_channel=pay_channel,
        created_ms=created_ms,
    )


PAID_WORD = {True: "paid", False: "not-paid"}


# As `outcome_of` reads a row.
_OUTCOME_CLAUSE = {
    Outcome.SUCCESS: "coalesce(corrected, paid)",
    Outcome.FAIL: "(state='fail' OR (state='resolved' AND NOT coalesce(corrected, paid)))",
    Outcome.NOT_SENT: "state='not_sent'",
    Outcome.REJECTED: "state='rejected'",
    Outcome.PENDING: "(state='pending' OR (state IN ('sending','prepared')"
    " AND doubt IN ('pending','pending_unknown')))",
    Outcome.UNKNOWN: "(state='unknown' OR (state IN ('sending','prepared') AND doubt IS NULL)"
    " OR (state='sending' AND doubt='unknown'))",
    Outcome.CONFLICT: "state='conflict'",
    Outcome.BLOCKED: "1=0",
}


def paid_unsealed(since_ms: int | None, until_ms: int | None) -> Filter:
    """What PAID_MERCHANTS counts."""
    return Filter(
        since_ms=since_ms, until_ms=until_ms, shift=RUNNING_SHIFT, outcome=Outcome.SUCCESS
    )


def paid_of(rows: Iterable[Sequence[Any]]) -> list[PaidOf]:
    """What PAID_MERCHANTS found."""
    return [PaidOf(Merchant(bool(live), name), *rest) for live, name, *rest in rows]


def open_of(rows: Iterable[Sequence[Any]]) -> tuple[OpenOf, ...]:
    """What OPEN_MERCHANTS found."""
    return tuple(OpenOf(Merchant(bool(live), name), n, since) for live, name, n, since in rows)
