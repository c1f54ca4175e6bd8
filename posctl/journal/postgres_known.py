"""What one transaction over PostgreSQL has read, with what it has written since."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from posctl.money.record import Checkout, Payment

if TYPE_CHECKING:
    from psycopg import Cursor


class Known:
    """All that is read in a transaction is of one moment, and nobody else's business changes it:
    what was read once need not be asked for again.

    `counted` is how many payments a checkout has had; `alarmed` its latest with an alarm. `sought`
    are the request_ids that were to be claimed, `claimed` the numbers of those that were. `numbers`
    are for new rows.
    """

    def __init__(self) -> None:
        self.sought: set[str] = set()
        self.claimed: set[int] = set()
        self.numbers: list[int] = []
        self.forget()

    def forget(self) -> None:
        """All that was read: something was written that is not told apart here."""
        self.by_id: dict[str, Payment | None] = {}
        self.by_checkout: dict[Checkout, list[Payment]] = {}
        self.by_code: dict[str, list[Payment]] = {}
        self.by_voucher: dict[str, dict[int, Payment]] = {}  # and by number
        self.counted: dict[Checkout, int] = {}
        self.alarmed: dict[Checkout, Payment | None] = {}
        self._code_of: dict[int, str] = {}
        self._vouchers_of: dict[int, set[str]] = {}

    def has_claimed(self, cursor: Cursor[Any]) -> None:
        """These were free, and are claimed."""
        self.claimed.update(seq for (seq,) in cursor.fetchall())

    def has_numbers(self, cursor: Cursor[Any]) -> None:
        """More of them."""
        self.numbers += (number for (number,) in cursor.fetchall())

    def has_ids(self, request_ids: Iterable[str], found: Sequence[Payment]) -> None:
        """Of these ids, all payments are in `found`."""
        self.by_id |= dict.fromkeys(request_ids)
        self.by_id |= {payment.request_id: payment for payment in found}

    def has_checkouts(
        self, checkouts: Iterable[Checkout], found: Sequence[tuple[Payment, bool, int]]
    ) -> None:
        """Of these checkouts, `found` are all payments, oldest first, each with whether it has an
        alarm, and which of its checkout's it is.
        """
        for checkout in checkouts:
            self.by_checkout[checkout] = []
            self.counted[checkout] = 0
            self.alarmed[checkout] = None
        for payment, has_alarm, nth in found:
            self.by_checkout[payment.checkout].append(payment)
            self.counted[payment.checkout] = nth
            latest = self.alarmed[payment.checkout]
            if has_alarm and (latest is None or latest.seq < payment.seq):
                self.alarmed[payment.checkout] = payment

    def has_codes(self, hashes: Iterable[str], found: Sequence[tuple[Payment, str]]) -> None:
        """Of these codes, `found` are all payments, each with its code."""
        self.by_code |= {code_hash: [] for code_hash in hashes}
        for payment, code_hash in found:
            self.by_code[code_hash].append(payment)
            self._code_of[payment.seq] = code_hash

    def has_vouchers(self, vouchers: Iterable[str], found: Sequence[Payment]) -> None:
        """Of these ids of the platform's, all payments are in `found`."""
        self.by_voucher |= {voucher: {} for voucher in vouchers}
        for payment in found:
            self._with_vouchers(payment)

    def has_inserted(self, payment: Payment, code_hash: str | None) -> None:
        """A new row; a closed one that had its code has given it up."""
        self.by_id[payment.request_id] = payment
        self.by_checkout[payment.checkout].append(payment)
        self.counted[payment.checkout] += 1
        if code_hash is not None:
            self.by_code[code_hash] = [payment]
            self._code_of[payment.seq] = code_hash

    def has_written(self, payment: Payment) -> None:
        """A row as it stands now. One that closed without a charge has given up its code."""
        if payment.request_id in self.by_id:
            self.by_id[payment.request_id] = payment
        code_hash = self._code_of.get(payment.seq, "")
        for found in (self.by_checkout.get(payment.checkout), self.by_code.get(code_hash)):
            if found is not None:
                found[:] = [payment if one.seq == payment.seq else one for one in found]
        if payment.standing.paid is False and code_hash in self.by_code:
            self.by_code[code_hash] = [
                one for one in self.by_code[code_hash] if one.seq != payment.seq
            ]
        alarmed = self.alarmed.get(payment.checkout)
        if alarmed is not None and alarmed.seq == payment.seq:
            self.alarmed[payment.checkout] = payment
        for voucher in self._vouchers_of.pop(payment.seq, ()):
            del self.by_voucher[voucher][payment.seq]
        self._with_vouchers(payment)

    def _with_vouchers(self, payment: Payment) -> None:
        vouchers = {payment.verdict.payment_order_id, payment.verdict.channel_order_id}
        known = [one for one in vouchers if one is not None and one in self.by_voucher]
        for voucher in known:
            self.by_voucher[voucher][payment.seq] = payment
        if known:
            # A payment may be read again for another of its vouchers.
            self._vouchers_of.setdefault(payment.seq, set()).update(known)
