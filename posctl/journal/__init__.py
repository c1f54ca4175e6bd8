"""What a journal holds and does; `sqlite.py` is one.

A payment's row and its try's row are committed, durably, before a byte leaves the machine. Every
change of a payment runs inside `Journal.transact`, so that reading the checkout, deciding and
writing are one step, whoever else is at it. Times are milliseconds since the epoch, UTC; fees fen.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from posctl.errors import JournalError
from posctl.hint import Hint, Say, Type
from posctl.messages import _
from posctl.money.outcome import Event, Standing
from posctl.money.record import (
    Alarm,
    Cell,
    Checkout,
    Correction,
    Filter,
    Merchant,
    NewPayment,
    OpenOf,
    PaidOf,
    Payment,
    Shift,
    Try,
    TryEnd,
    Verdict,
    Who,
)

T = TypeVar("T")


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


class Ahead(NamedTuple):
    """What a transaction is about to ask for. With `to_send`, those of `request_ids` that are open
    are claimed if they are free, and let go again unless their `start_try` follows; `new` rows are
    to be inserted.
    """

    request_ids: Sequence[str] = ()
    checkouts: Sequence[Checkout] = ()
    code_hashes: Sequence[str] = ()
    vouchers: Sequence[str] = ()
    new: int = 0
    to_send: bool = False


class Transaction(Protocol):
    """One atomic, durable step. Inside it nothing else changes the payments it reads."""

    def ahead(self, what: Ahead) -> None:
        """Ask for all of it at once, where asking takes long. What it answers is the same."""

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

    def correct(self, payment: Payment, by: str, note: str, now_ms: int) -> Payment:
        """Let a payment that was closed by hand stand the other way; the row says for ever how it
        was closed.
        """

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
        """The open payments, oldest first. Read to the end before writing."""

    def voucher_elsewhere(self, checkout: Checkout, vouchers: Sequence[str]) -> bool:
        """Whether a payment of another checkout has one of these ids of the platform's."""

    def history(self, which: Filter) -> Iterator[Payment]:
        """Payments of any state, newest first."""

    def sums(self, which: Filter) -> list[Cell]:
        """The same payments, counted and summed."""

    def corrections(self, which: Filter) -> list[Correction]:
        """Of the payments that `which` lets through, oldest first; its `shift` is the one in which
        the correction counts.
        """

    def shift(self, merchant: Merchant, number: int | None = None) -> Shift | None:
        """A closed shift, or the one that was closed last."""

    def close_shift(self, merchant: Merchant, shift: Shift) -> None:
        """Put all closed payments and corrections of the running shift into `shift`, for ever."""

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

    def let_go(self, *payments: Payment) -> None:
        """Stop being the one that sends `payments`."""

    def hold_sweep(self) -> bool:
        """Make this process the one that runs `retry --due`; False while another one does."""

    def mark_told(self, request_ids: Sequence[str], now_ms: int = 0) -> None:
        """These payments' outcomes were written out for somebody."""

    def marks(self) -> dict[str, int]:
        """What was marked, and when, in ms: for whoever watches, never for a payment."""

    def mark(self, names: Collection[str], now_ms: int, *, forget: Collection[str] = ()) -> None:
        """Mark `names` as of now, and let those of `forget` go."""

    def size_bytes(self) -> int:
        """How much room the journal takes."""

    def forget_codes(self) -> bool:
        """Leave no byte of a closed payment's code in any file of the journal; False when that had
        to be put off.
        """

    def payment(self, request_id: str) -> Payment | None:
        """The payment with this id."""

    def payments(self, request_ids: Collection[str]) -> dict[str, Payment]:
        """Those that there are, by their ids."""

    def named(self, name: str) -> list[Payment]:
        """The payment with this request_id; else those with this payment_order_id or
        channel_order_id, or whose request_id begins so, oldest first, at most MANY_NAMED.
        """

    def payments_of(self, checkout: Checkout) -> list[Payment]:
        """All payments of a checkout, oldest first."""

    def last_try(self, payment: Payment) -> Try | None:
        """The payment's latest try."""

    def tries_of(self, payment: Payment) -> list[Try]:
        """Every try of a payment, in order."""

    def open_payments(self, merchant: Merchant) -> Iterator[Payment]:
        """The open payments, oldest first. Read to the end before writing."""

    def open_since(self, merchant: Merchant) -> tuple[int, int] | None:
        """How many are open and since when the oldest is; None when there are none."""

    def history(self, which: Filter) -> Iterator[Payment]:
        """Payments of any state, newest first."""

    def sums(self, which: Filter) -> list[Cell]:
        """The same payments, counted and summed."""

    def corrections(self, which: Filter) -> list[Correction]:
        """As in a transaction."""

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
