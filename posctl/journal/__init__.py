"""What a journal holds and does; `sqlite.py` is one.

A payment's row and its try's row are committed, durably, before a byte leaves the machine. Every
change of a payment runs inside `Journal.transact`, so that reading the checkout, deciding and
writing are one step, whoever else is at it. Times are milliseconds since the epoch, UTC; fees fen.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from posctl.errors import JournalError
from posctl.hint import Hint, Say, Type
from posctl.messages import _
from posctl.outcome import Event, Outcome, Standing
from posctl.record import Checkout, Merchant

T = TypeVar("T")


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
    what became of it: only a person sends or closes it.
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

    @property
    def live(self) -> bool:
        return self.checkout.live

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


class Cell(NamedTuple):
    """`n` payments that are alike in all that a report sorts by.

    `quarter` is when they were begun, in quarters of an hour since the epoch; `fee` the sum of
    their `Payment.fee`.
    """

    operator_id: str
    machine_id: str
    pay_channel: str
    quarter: int
    standing: Standing
    n: int
    fee: int


class Shift(NamedTuple):
    """A closed shift of a merchant, numbered from 1; `posctl.report` writes and reads `content`.

    `chain` is "" but for shifts that posctl 0.1 closed: it kept one chain for each gateway.
    """

    number: int
    content: str
    hash: str
    chain: str = ""


def moved(place: str | Path, to: str, more: Hint = ()) -> JournalError:
    """The journal at `place` was copied to another one, which goes on alone."""
    return JournalError(
        "journal_moved",
        _("The journal {path} was moved to {place}.").format(path=place, place=to),
        (Say(_("Name that one with journal: in the configuration or $POSCTL_JOURNAL.")), *more),
    )


def not_begun(place: str | Path) -> JournalError:
    """There is no journal at `place`, and real money is at stake: a second one would not know what
    the first has seen charged.
    """
    return JournalError(
        "no_journal",
        _(
            "There is no journal {path}: posctl cannot know what was charged already, and would "
            "charge it again."
        ).format(path=place),
        (
            Say(
                _(
                    "Another user, HOME, XDG_STATE_HOME, POSCTL_JOURNAL or journal: line leads to "
                    "another place. If payments were taken here before, find their journal first."
                )
            ),
            *(Say(_("To begin a new one here:")), Type(("journal", "create"))),
        ),
    )


class Transaction(Protocol):
    """One atomic, durable step. Inside it nothing else changes the payments it reads."""

    def payment(self, request_id: str) -> Payment | None:
        """The payment with this id, of whatever merchant."""

    def payments_of(self, checkout: Checkout) -> list[Payment]:
        """All payments of a checkout, oldest first."""

    def code_key(self) -> bytes:
        """The key that this journal hashes payment codes with."""

    def with_code(self, code_hash: str) -> list[Payment]:
        """The payments that carry this code: those that are open, or that it paid."""

    def insert(self, new: NewPayment) -> Payment:
        """A new row, `prepared`. At most one payment of a checkout is open at once.

        One row carries a code: a closed one gives it up to the new one.
        """

    def hold(self, payment: Payment) -> bool:
        """Make this process the one that sends `payment`; False while another live one is."""

    def start_try(self, payment: Payment, who: Who, now_ms: int) -> Payment:
        """The row and its try, `sending`. Call it on a payment that this process holds."""

    def end_try(self, payment: Payment, end: TryEnd) -> None:
        """Write down how the latest try ended, and nothing else: the payment is closed already."""

    def finish_try(
        self,
        payment: Payment,
        end: TryEnd,
        standing: Standing,
        verdict: Verdict,
        warnings: Sequence[str],
    ) -> Payment:
        """Close the running try. Of a closed payment the row itself never changes again."""

    def resolve(
        self, payment: Payment, standing: Standing, by: str, note: str, now_ms: int
    ) -> Payment:
        """Close an open payment on a person's word."""

    def settle(self, payment: Payment, standing: Standing, now_ms: int) -> Payment:
        """Write where an open payment stands now; closing it erases its codes."""

    def add_status(self, payment: Payment, who: Who, started_ms: int, end: TryEnd) -> None:
        """Record a question that was asked about a payment, and its answer."""

    def raise_alarm(self, payment: Payment, event: Event, text: str, now_ms: int) -> None:
        """Record evidence against a closed payment."""

    def alarms(self, merchant: Merchant) -> list[Alarm]:
        """Alarms that nobody has acknowledged, oldest first."""

    def alarmed(self, checkout: Checkout) -> Payment | None:
        """The checkout's latest payment with an alarm that nobody has acknowledged."""

    def acknowledge(self, request_id: str, by: str, now_ms: int) -> int:
        """Acknowledge the alarms of a payment; how many there were."""

    def open_payments(self, merchant: Merchant) -> Iterator[Payment]:
        """The open payments, oldest first. To be gone through before anything is written."""

    def voucher_elsewhere(self, checkout: Checkout, vouchers: Sequence[str]) -> bool:
        """Whether a payment of another checkout has one of these ids of the platform's."""

    def history(self, which: Filter) -> Iterator[Payment]:
        """Payments of any state, newest first."""

    def sums(self, which: Filter) -> list[Cell]:
        """The same payments, counted and summed."""

    def shift(self, merchant: Merchant, number: int | None = None) -> Shift | None:
        """A closed shift, or the one that was closed last."""

    def close_shift(self, merchant: Merchant, shift: Shift) -> None:
        """Put all closed payments of the running shift into `shift`, for ever."""

    def last_merchant(self, profile: str) -> str | None:
        """The name of the live merchant that a profile of this name last paid for."""

    def count_print(self, payment: Payment, copy: str) -> int:
        """Count one more print of this copy of the payment's receipt; 1 is the first."""


class Journal(Protocol):
    """A journal. Every method raises JournalError when it cannot be written, read or trusted."""

    def transact(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` and commit it durably; on any exception nothing of it happened.

        `work` may run more than once and must do nothing that cannot be repeated.
        """

    def let_go(self, payment: Payment) -> None:
        """Stop being the one that sends `payment`."""

    def hold_sweep(self) -> bool:
        """Make this process the one that runs `retry --due`; False while another one does."""

    def mark_told(self, request_ids: Sequence[str], now_ms: int = 0) -> None:
        """These payments' outcomes were written out for somebody."""

    def forget_codes(self) -> bool:
        """Leave no byte of a closed payment's code in any file of the journal; False when that had
        to be put off.
        """

    def payment(self, request_id: str) -> Payment | None:
        """The payment with this id."""

    def payments_of(self, checkout: Checkout) -> list[Payment]:
        """All payments of a checkout, oldest first."""

    def last_try(self, payment: Payment) -> Try | None:
        """The payment's latest try."""

    def tries_of(self, payment: Payment) -> list[Try]:
        """Every try of a payment, in order."""

    def open_payments(self, merchant: Merchant) -> Iterator[Payment]:
        """The open payments, oldest first. To be gone through before anything is written."""

    def open_since(self, merchant: Merchant) -> tuple[int, int] | None:
        """How many are open and since when the oldest is; None when there are none."""

    def history(self, which: Filter) -> Iterator[Payment]:
        """Payments of any state, newest first."""

    def sums(self, which: Filter) -> list[Cell]:
        """The same payments, counted and summed."""

    def shift(self, merchant: Merchant, number: int | None = None) -> Shift | None:
        """A closed shift, or the one that was closed last."""

    def shifts(self, merchant: Merchant) -> list[Shift]:
        """All closed shifts, in order."""

    def alarms(self, merchant: Merchant) -> list[Alarm]:
        """Alarms that nobody has acknowledged, oldest first."""

    def last_merchant(self, profile: str) -> str | None:
        """The name of the live merchant that a profile of this name last paid for."""

    def open_merchants(self) -> list[OpenOf]:
        """Every merchant with open payments, whoever asks."""

    def paid_merchants(self, since_ms: int | None, until_ms: int | None) -> list[PaidOf]:
        """Every merchant with paid payments, begun in this span, that no shift was closed over."""

    def gateways(self, merchant: Merchant) -> list[str]:
        """Gateways under which posctl 0.1 closed shifts of this merchant, or left payments open
        that stand in another's way. More than one: what it took for several merchants is one.
        """

    def close(self) -> None:
        """Let go of everything. A closed journal is not used again."""
