"""Whose a payment is: the two names that everything else is found by."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

from posctl.money.outcome import Event, Outcome, Standing


class Merchant(NamedTuple):
    """Whose money it is: `name` is the profile's `merchant`, or its `app_key`.

    Training never meets live, nor one merchant another. Gateway, session, secret and the profile's
    name are ways to reach a merchant and may change at any time.
    """

    live: bool
    name: str


class Checkout(NamedTuple):
    """What a checkout is known by."""

    live: bool
    merchant_name: str
    shop_id: str
    checkout_id: str

    @property
    def merchant(self) -> Merchant:
        return Merchant(self.live, self.merchant_name)


class Who(NamedTuple):
    """Who makes a try: the machine and process, and the person and till the payment names."""

    host: str
    pid: int
    machine_id: str
    operator_id: str


class Verdict(NamedTuple):
    """What the business last said of a payment; None for what it did not say."""

    result_status: int | None = None
    remaining_fee: int | None = None
    current_pay_fee: int | None = None
    current_payment_channel: int | None = None
    payment_order_id: str | None = None
    channel_order_id: str | None = None
    result_code: str | None = None
    result_message: str | None = None
    trace_id: str | None = None


class Payment(NamedTuple):
    """One payment as it stands. `pay_request` is the very text on the wire; once the payment is
    closed its codes are masked in it, and the unmasked bytes are gone from the journal's files.

    `gateway` and `app_key` are those of the profile that it was begun under: a record, no identity.
    `own_id` tells that posctl made the request_id for this payment; False when somebody gave it, or
    when that is not known. `for_person` tells that a journal put back or taken over could not say
    what became of it: only a person sends or closes it. `booked` is where it stood when a person
    had closed it, before another word of a person's (`Correction`) let it stand as it does.
    """

    seq: int
    request_id: str
    profile: str
    gateway: str
    app_key: str
    checkout: Checkout
    order_id: str
    operator_id: str
    machine_id: str
    pay_channel: str
    pay_fee: int
    pay_request: str
    standing: Standing
    verdict: Verdict
    warnings: tuple[str, ...]
    tries: int
    created_ms: int
    updated_ms: int
    closed_ms: int | None
    told: bool
    resolved_by: str | None = None
    resolved_note: str | None = None
    own_id: bool = False
    for_person: bool = False
    booked: Standing | None = None

    @property
    def live(self) -> bool:
        return self.checkout.live

    def tried_since(self, seen: Self) -> bool:
        """Whether a try has begun or ended since it was `seen` so: one that was on its way then may
        have charged after whoever looked.
        """
        return self.tries != seen.tries or self.standing != seen.standing

    @property
    def as_booked(self) -> Self:
        """As it was closed, whatever was corrected since: so a closed shift has it, for ever."""
        return self if self.booked is None else self._replace(standing=self.booked)

    @property
    def open(self) -> bool:
        return self.closed_ms is None

    @property
    def remaining_fee(self) -> int | None:
        """Fen still due on the checkout after this payment, as the platform said with "paid".

        Nothing else states what is due: number fields of a failed answer are often 0 by default.
        """
        return self.verdict.remaining_fee if self.standing.paid and self._says_paid else None

    @property
    def charged_fee(self) -> int | None:
        """Fen that the platform says it charged; None when its last word was not "paid"."""
        return self.verdict.current_pay_fee if self._says_paid else None

    @property
    def fee(self) -> int:
        """Fen: what the platform says it charged, else, and when it is not paid, what was asked."""
        charged = self.charged_fee if self.standing.paid else None
        return self.pay_fee if charged is None else charged

    @property
    def _says_paid(self) -> bool:
        return self.verdict.result_status == 1

    def __repr__(self) -> str:
        return f"Payment({self.request_id}, {self.standing.state})"  # no payment code


class NewPayment(NamedTuple):
    """What is known of a payment before its first try.

    `code_hash` is the keyed hash of a wallet's code in it (`Transaction.code_key`), for the rule
    that a code pays once.
    """

    request_id: str
    profile: str
    gateway: str
    app_key: str
    checkout: Checkout
    order_id: str
    operator_id: str
    machine_id: str
    pay_channel: str
    pay_fee: int
    pay_request: str
    created_ms: int
    own_id: bool = False
    code_hash: str | None = None

    @property
    def live(self) -> bool:
        return self.checkout.live

    def __repr__(self) -> str:
        return f"NewPayment({self.request_id})"  # no payment code


class TryEnd(NamedTuple):
    """How one try ended. `raw` is the answer's text, capped, without payment codes."""

    event: Event
    finished_ms: int
    http_status: int | None = None
    code: str | None = None
    sub_code: str | None = None
    message: str | None = None
    raw: str | None = None


class Try(NamedTuple):
    """One HTTP try of a payment, or a question about it (`kind` "pay" or "status").

    `end` is None while it runs, and for ever if its process died.
    """

    n: int
    kind: str
    started_ms: int
    who: Who
    end: TryEnd | None


class Alarm(NamedTuple):
    """Evidence that came in against a closed payment, until somebody acknowledges it."""

    id: int
    request_id: str
    at_ms: int
    event: Event
    text: str
    acknowledged_by: str | None
    acknowledged_ms: int | None


class Correction(NamedTuple):
    """A person's later word, `paid` or not, about a payment that was closed by hand.

    `fee` is the difference that it makes to what was taken, in fen; `at_ms`, `by` and `note` are
    when, who and why; the other members are the payment's.
    """

    request_id: str
    checkout_id: str
    operator_id: str
    machine_id: str
    paid: bool
    fee: int
    at_ms: int
    by: str
    note: str
    shop_id: str = ""
    order_id: str = ""
    pay_channel: str = ""
    created_ms: int = 0

    @property
    def n(self) -> int:
        """The difference that it makes to how many are paid."""
        return 1 if self.paid else -1


class OpenOf(NamedTuple):
    """A merchant's open payments: how many, and when the oldest was begun."""

    merchant: Merchant
    payments: int
    since_ms: int


class PaidOf(NamedTuple):
    """A merchant's paid payments that no shift was closed over: how many, fen in all, and when the
    oldest was begun.
    """

    merchant: Merchant
    payments: int
    fee: int
    since_ms: int


RUNNING_SHIFT = 0  # as a number: the payments that no shift was closed over yet, open ones too


QUARTER_MS = 900_000  # every time zone is off by whole quarters of an hour


class Filter(NamedTuple):
    """Which payments a list shows; None lets everything through. Times are half open.

    `chain` narrows a closed shift to one `Shift.chain`.
    """

    merchant: Merchant | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    shop_id: str | None = None
    checkout_id: str | None = None
    operator_id: str | None = None
    machine_id: str | None = None
    outcome: Outcome | None = None
    shift: int | None = None  # a closed shift's number, or RUNNING_SHIFT
    chain: str = ""
    request_id: str | None = None
    profile: str | None = None
    is_open: bool | None = None
    pay_fee: int | None = None  # fen, asked for or charged
    part: bool = False  # only those that are paid and left a rest of their checkout due


class Cell(NamedTuple):
    """`n` payments that are alike in all that a report sorts by.

    `quarter` is when they were begun, in quarters of an hour since the epoch; `fee` the sum of
    their `Payment.fee`.
    """

    shop_id: str
    operator_id: str
    machine_id: str
    pay_channel: str
    quarter: int
    standing: Standing
    n: int
    fee: int


class Shift(NamedTuple):
    """A closed shift of a merchant, numbered from 1; `office/report.py` writes and reads `content`.

    `chain` is "" but for shifts that posctl 0.1 closed: it kept one chain for each gateway.
    """

    number: int
    content: str
    hash: str
    chain: str = ""


class StatusAnswer(NamedTuple):
    """What the platform said: `word` is its own, `meaning` the profile's, each None if missing."""

    end: TryEnd
    word: str | None
    meaning: str | None
    channel_name: str | None = None


def members_asked(shop: str | None, operator: str | None, machine: str | None) -> dict[str, str]:
    """What a list is narrowed to, by the API's names; what is None narrows nothing."""
    asked = {"shop_id": shop, "operator_id": operator, "machine_id": machine}
    return {name: value for name, value in asked.items() if value is not None}


def narrowed(payments: Iterable[Payment], only: Mapping[str, str]) -> list[Payment]:
    """Those of `payments` that have these values, by the API's names (shop_id, machine_id, …)."""
    return [
        payment
        for payment in payments
        if all((payment._asdict() | payment.checkout._asdict())[n] == v for n, v in only.items())
    ]
