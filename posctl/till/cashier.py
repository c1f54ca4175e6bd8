"""Who works at which till of which shop: which payments are this till's, and what a new one is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from posctl.errors import UsageError
from posctl.journal import Transaction
from posctl.messages import _
from posctl.money.admit import AUTOMATIC_MS, YOUNG_MS
from posctl.money.order import PayRequest, check_value
from posctl.money.outcome import Outcome
from posctl.money.record import Filter, Payment
from posctl.money.scan import plain_id
from posctl.paying.by_hand import person
from posctl.paying.desk import Desk
from posctl.till.wishes import COMMANDS, Sale
from posctl.times import stamp

_NEAR_MS = AUTOMATIC_MS + YOUNG_MS  # what was paid a moment ago was begun at most so long ago


class Cashier:
    """The operator at this till. `order` makes a checked payment of members by API name."""

    def __init__(self, desk: Desk, order: Callable[[Mapping[str, str]], PayRequest]) -> None:
        self._desk, self._order = desk, order
        self._operator: dict[str, str] = {}  # who has taken over since the till began
        self.anyone = self.make({"pay_fee": "1", "checkout_id": "1"})  # an order of anyone's

    @property
    def name(self) -> str:
        """Who answers for what is closed by hand."""
        return person(str(self.anyone.members["operator_id"]))

    def take_over(self, operator: str) -> None:
        """Another cashier works here now. Raises UsageError."""
        operator = plain_id(operator)
        if operator in COMMANDS.values():
            words = _("{letter} is a command, not an operator.")
            raise UsageError("bad_operator", words.format(letter=operator))
        check_value("operator_id", operator, _("Operator"))
        self._operator = {"operator_id": operator}
        self.anyone = self.make({"pay_fee": "1", "checkout_id": "1"})

    def make(self, members: Mapping[str, str]) -> PayRequest:
        """The payment of these members, by whoever works here. Raises UsageError."""
        return self._order({**members, **self._operator})

    def order(self, sale: Sale) -> PayRequest:
        """What the customer is to pay."""
        members = {"pay_fee": str(sale.pay_fee), "channel_account": sale.code}
        if sale.checkout_id:
            return self.make(members | {"checkout_id": sale.checkout_id})
        # A new checkout is a new payment, never the same one again: its id says so.
        new = {"checkout_id": self._new_number(), "request_id": self._desk.new_id()}
        return self.make(members | new)

    def _new_number(self) -> str:
        """A checkout_id that no payment has: till, date, time, and six digits by lot, since two
        machines may both be till 001, each with a journal of its own.
        """
        moment = stamp(self._desk.now_ms())
        return f"{self.anyone.members['machine_id']}-{moment}-{self._desk.new_id()[:6]}"

    def here(self, since_ms: int) -> Filter:
        """The payments of this till since then."""
        return Filter(
            merchant=self._desk.profile.merchant,
            since_ms=since_ms,
            shop_id=self.anyone.shop_id,
            machine_id=str(self.anyone.members["machine_id"]),
        )

    def is_here(self, payment: Payment) -> bool:
        """Whether it is a payment of this till."""
        here = self.anyone.shop_id, self.anyone.members["machine_id"]
        return (payment.checkout.shop_id, payment.machine_id) == here

    def open_here(self) -> list[Payment]:
        """What is open at this till, oldest first."""
        found = self._desk.journal.open_payments(self._desk.profile.merchant)
        return [payment for payment in found if self.is_here(payment)]

    def open_elsewhere(self) -> list[Payment]:
        """What is open at the merchant's other tills, oldest first."""
        found = self._desk.journal.open_payments(self._desk.profile.merchant)
        return [payment for payment in found if not self.is_here(payment)]

    def near(self, tx: Transaction) -> list[Payment]:
        """The payments of this till that the next customer's may be once more, oldest first."""
        here = self.here(self._desk.now_ms() - _NEAR_MS)
        recent = list(tx.history(here._replace(outcome=Outcome.SUCCESS)))[::-1]
        found = tx.open_payments(self._desk.profile.merchant)
        return [*recent, *(payment for payment in found if self.is_here(payment))]
