"""What every event means for the money: the event table, the state machine, the exit codes.

Pure, and the one place for each of the three. The words are those of `docs/outcomes.md`.

The rule most clients miss: a definite failure of try N proves only that try N did nothing, and
what a platform says of the repeat of a charged payment is, more often than not, "failed". `proves`
is that rule; `refusal.py` has the words.
"""

import re
from collections.abc import Collection
from enum import IntEnum, StrEnum
from typing import NamedTuple

from posctl.money.refusal import Speaks


class Outcome(StrEnum):
    """What a run tells about a payment."""

    SUCCESS = "success"
    FAIL = "fail"
    NOT_SENT = "not_sent"
    REJECTED = "rejected"
    PENDING = "pending"
    UNKNOWN = "unknown"
    CONFLICT = "conflict"
    BLOCKED = "blocked"


class Exit(IntEnum):
    """Exit codes: 10–19 nobody was charged; 20–29 never charge again, retry; 30–39 nothing sent."""

    OK = 0
    BUG = 1
    USAGE = 2
    CONFIG = 3
    FAIL = 10
    NOT_SENT = 11
    REJECTED = 12
    PENDING = 20
    UNKNOWN = 21
    CONFLICT = 22
    BLOCKED = 30
    JOURNAL = 31
    INTERRUPTED = 130


EXIT_OF = {
    Outcome.SUCCESS: Exit.OK,
    Outcome.FAIL: Exit.FAIL,
    Outcome.NOT_SENT: Exit.NOT_SENT,
    Outcome.REJECTED: Exit.REJECTED,
    Outcome.PENDING: Exit.PENDING,
    Outcome.UNKNOWN: Exit.UNKNOWN,
    Outcome.CONFLICT: Exit.CONFLICT,
    Outcome.BLOCKED: Exit.BLOCKED,
}

# Of several payments the worst speaks for all.
WORST_FIRST = (
    Exit.JOURNAL,
    Exit.CONFLICT,
    Exit.UNKNOWN,
    Exit.PENDING,
    Exit.REJECTED,
    Exit.NOT_SENT,
    Exit.FAIL,
    Exit.OK,
)


def worst(codes: Collection[Exit]) -> Exit:
    """The exit code of several payments together; of none, 0."""
    return min(codes, key=WORST_FIRST.index, default=Exit.OK)


class Event(StrEnum):
    """Everything that can happen to one try."""

    # No byte of the request left, and the client can prove it.
    DNS_FAILED = "dns_failed"
    REFUSED = "connection_refused"
    NO_ROUTE = "no_route"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS_REFUSED = "tls_refused"
    HANDSHAKE_CUT = "handshake_cut"
    PROXY_REFUSED = "proxy_refused"
    DEADLINE_UNSENT = "deadline_before_sending"
    TOO_LATE = "too_late_to_send"
    UNSENT = "not_sent"
    INTERRUPTED_UNSENT = "interrupted_before_sending"
    # Bytes may have left, and no answer can be trusted.
    READ_TIMEOUT = "read_timeout"
    DEADLINE = "deadline"
    CUT = "connection_cut"
    GARBAGE = "garbage"
    TRUNCATED = "truncated"
    UNDECODABLE = "undecodable"
    OVERSIZED = "oversized"
    REDIRECT = "redirect"
    HTTP_ERROR = "http_error"
    NOT_TOP = "not_a_top_answer"
    INTERRUPTED = "interrupted"
    CRASHED = "crashed"
    # TOP answered.
    GATEWAY_REFUSED = "gateway_refused"
    BUSINESS_REFUSED = "business_refused"
    REFUSED_AS_USED = "refused_as_used"
    MAYBE_DUPLICATE = "maybe_duplicate"
    UNDECIDED = "undecided"
    ALREADY_DONE = "already_done"
    SYSTEM_ERROR = "system_error"
    NO_VERDICT = "no_verdict"
    # The business answered.
    PAID = "paid"
    DECLINED = "declined"
    FAILED = "failed"
    FAILED_MALFORMED = "failed_malformed"
    FAILED_AS_USED = "failed_as_used"
    STILL_PENDING = "pending"
    CONTRADICTION = "contradiction"
    OTHER_VOUCHER = "other_payment_order_id"
    # An answer, and not to this payment.
    ANOTHERS = "answer_to_another"
    VOUCHER_ELSEWHERE = "voucher_of_another_checkout"


# The event table, for a first try under a request_id that posctl made itself. `proves` knows what
# an earlier try, or an id that somebody else made, turns it into.
EVENT_TABLE = {
    Event.DNS_FAILED: Outcome.NOT_SENT,
    Event.REFUSED: Outcome.NOT_SENT,
    Event.NO_ROUTE: Outcome.NOT_SENT,
    Event.CONNECT_TIMEOUT: Outcome.NOT_SENT,
    Event.TLS_REFUSED: Outcome.NOT_SENT,
    Event.HANDSHAKE_CUT: Outcome.NOT_SENT,
    Event.PROXY_REFUSED: Outcome.NOT_SENT,
    Event.DEADLINE_UNSENT: Outcome.NOT_SENT,
    Event.TOO_LATE: Outcome.NOT_SENT,
    Event.UNSENT: Outcome.NOT_SENT,
    Event.INTERRUPTED_UNSENT: Outcome.NOT_SENT,
    Event.READ_TIMEOUT: Outcome.UNKNOWN,
    Event.DEADLINE: Outcome.UNKNOWN,
    Event.CUT: Outcome.UNKNOWN,
    Event.GARBAGE: Outcome.UNKNOWN,
    Event.TRUNCATED: Outcome.UNKNOWN,
    Event.UNDECODABLE: Outcome.UNKNOWN,
    Event.OVERSIZED: Outcome.UNKNOWN,
    Event.REDIRECT: Outcome.UNKNOWN,
    Event.HTTP_ERROR: Outcome.UNKNOWN,
    Event.NOT_TOP: Outcome.UNKNOWN,
    Event.INTERRUPTED: Outcome.UNKNOWN,
    Event.CRASHED: Outcome.UNKNOWN,
    Event.GATEWAY_REFUSED: Outcome.REJECTED,
    Event.BUSINESS_REFUSED: Outcome.REJECTED,
    Event.REFUSED_AS_USED: Outcome.REJECTED,
    Event.MAYBE_DUPLICATE: Outcome.UNKNOWN,
    Event.UNDECIDED: Outcome.UNKNOWN,
    Event.ALREADY_DONE: Outcome.CONFLICT,
    Event.SYSTEM_ERROR: Outcome.UNKNOWN,
    Event.NO_VERDICT: Outcome.UNKNOWN,
    Event.PAID: Outcome.SUCCESS,
    Event.DECLINED: Outcome.FAIL,
    Event.FAILED: Outcome.FAIL,
    Event.FAILED_MALFORMED: Outcome.FAIL,
    Event.FAILED_AS_USED: Outcome.FAIL,
    Event.STILL_PENDING: Outcome.PENDING,
    Event.CONTRADICTION: Outcome.CONFLICT,
    Event.OTHER_VOUCHER: Outcome.CONFLICT,
    Event.ANOTHERS: Outcome.CONFLICT,
    Event.VOUCHER_ELSEWHERE: Outcome.CONFLICT,
}


# ── what a refusal comes to ───────────────────────────────────────────────────────────────

RATE_LIMIT_CODES = frozenset({4, 5, 6, 7, 8})

# What a refusal is, by what it speaks of: `result_status` 2, and `isv.*`.
FAILED_AS = {
    Speaks.DECLINE: Event.DECLINED,
    Speaks.CODE: Event.FAILED_AS_USED,
    Speaks.DONE: Event.ALREADY_DONE,
    Speaks.DUPLICATE: Event.MAYBE_DUPLICATE,
    Speaks.UNDECIDED: Event.UNDECIDED,
    Speaks.MALFORMED: Event.FAILED_MALFORMED,
    Speaks.OTHER: Event.FAILED,
}
REFUSED_AS = FAILED_AS | {
    Speaks.DECLINE: Event.BUSINESS_REFUSED,
    Speaks.CODE: Event.REFUSED_AS_USED,
    Speaks.MALFORMED: Event.BUSINESS_REFUSED,
    Speaks.OTHER: Event.BUSINESS_REFUSED,
}
# Words about the payment code: under an id that somebody else made, this very id may have
# consumed it, from a journal that is gone.
ABOUT_CODE = frozenset({Event.FAILED_AS_USED, Event.REFUSED_AS_USED})
# The other side refused, or would not say: with an earlier try in doubt that proves nothing.
REFUSALS = frozenset({*FAILED_AS.values(), *REFUSED_AS.values()} - {Event.DECLINED})


def ban_s(event: Event, code: str | None, message: str | None) -> int | None:
    """How long to wait, in seconds, when a rate limit names its ban (protocol, section 6)."""
    if event is not Event.GATEWAY_REFUSED or code is None or not code.isdecimal():
        return None  # the business has codes of its own
    if int(code) not in RATE_LIMIT_CODES:
        return None
    named = re.search(r"last for ([0-9]{1,5}) more seconds", message or "")
    return int(named.group(1)) + 1 if named else 1


# ── the state machine ────────────────────────────────────────────────────────────────────────


class State(StrEnum):
    """Where a payment stands in the journal."""

    PREPARED = "prepared"
    SENDING = "sending"
    PENDING = "pending"
    UNKNOWN = "unknown"
    CONFLICT = "conflict"
    SUCCESS = "success"
    FAIL = "fail"
    NOT_SENT = "not_sent"
    REJECTED = "rejected"
    RESOLVED = "resolved"


OPEN_STATES = frozenset(
    {State.PREPARED, State.SENDING, State.PENDING, State.UNKNOWN, State.CONFLICT}
)
RESENDABLE_STATES = OPEN_STATES - {State.CONFLICT}


class Doubt(StrEnum):
    """What earlier tries left behind.

    Both facts are kept apart: a payment that is pending, and of which some try got no answer that
    can be trusted, is told as pending and closed like an unknown one.
    """

    PENDING = "pending"
    UNKNOWN = "unknown"
    BOTH = "pending_unknown"


def _with(doubt: Doubt | None, more: Doubt) -> Doubt:
    return more if doubt in (None, more) else Doubt.BOTH


class Standing(NamedTuple):
    """A state and what it rests on.

    `doubt` is None when no earlier try can have charged. A payment in doubt is closed by an answer
    that proves something (`proves`) or by a person, by nothing else.
    `paid` is set when closed: True if the customer was charged, False if not.
    """

    state: State
    doubt: Doubt | None = None
    paid: bool | None = None

    @property
    def open(self) -> bool:
        return self.state in OPEN_STATES


NEW = Standing(State.PREPARED)


def begin_try(standing: Standing) -> Standing:
    """`standing` with a try on its way. Only a payment that may be resent gets here."""
    if standing.state not in RESENDABLE_STATES:
        raise ValueError(standing.state)
    doubt = standing.doubt
    if standing.state is State.SENDING:  # the process that sent it is gone
        doubt = _with(doubt, Doubt.UNKNOWN)
    return Standing(State.SENDING, doubt)


def proves(event: Event, doubt: Doubt | None, *, own_id: bool) -> Outcome:
    """What `event` proves of a payment: the rule most clients miss, whole.

    `doubt` is what earlier tries left behind. `own_id`: posctl itself made the request_id for this
    payment, so that nobody can have charged under it before.
    """
    outcome = EVENT_TABLE[event]
    if doubt is None:
        return Outcome.UNKNOWN if event in ABOUT_CODE and not own_id else outcome
    if outcome in (Outcome.SUCCESS, Outcome.PENDING):
        return outcome
    if outcome is Outcome.CONFLICT and event is not Event.ALREADY_DONE:
        return outcome
    if event is Event.DECLINED or (event is Event.FAILED and doubt is Doubt.PENDING):
        return Outcome.FAIL
    # Nothing was proved. A pending one stays pending: the gateway has seen it.
    return Outcome.UNKNOWN if doubt is Doubt.UNKNOWN else Outcome.PENDING


FROM_ANOTHER = frozenset({Event.ANOTHERS, Event.VOUCHER_ELSEWHERE})
"""Not an answer to this payment. The connection that it came over is not used again."""

# They leave an unanswered try's doubt behind; the platform's word that it knows nothing of a
# charge, or that the request never left, leaves only the doubt that there was.
_LEAVES_DOUBT = frozenset(
    {event for event, outcome in EVENT_TABLE.items() if outcome is Outcome.UNKNOWN}
    | {Event.ALREADY_DONE, *ABOUT_CODE}
)


def advance(standing: Standing, event: Event, *, own_id: bool = False) -> Standing:
    """`standing` after `event`: the whole state machine; `own_id` is as in `proves`.

    Closed states never change, and a conflict waits for a person: what else comes in about them
    is judged by `contradicts`.
    """
    if not standing.open or standing.state is State.CONFLICT:
        return standing
    doubt = standing.doubt
    if doubt is None and standing.state in (State.PENDING, State.UNKNOWN):
        doubt = Doubt(standing.state.value)
    match proves(event, doubt, own_id=own_id):
        case Outcome.SUCCESS:
            return Standing(State.SUCCESS, paid=True)
        case Outcome.CONFLICT:
            return Standing(State.CONFLICT, doubt)
        case Outcome.FAIL | Outcome.NOT_SENT | Outcome.REJECTED as outcome:
            return Standing(State(outcome.value), paid=False)
    if event is Event.STILL_PENDING:
        doubt = _with(doubt, Doubt.PENDING)
    elif doubt is None or event in _LEAVES_DOUBT:
        doubt = _with(doubt, Doubt.UNKNOWN)
    return Standing(State.UNKNOWN if doubt is Doubt.UNKNOWN else State.PENDING, doubt)


def contradicts(standing: Standing, event: Event) -> bool:
    """Whether `event` speaks against how a payment was closed: cause for an alarm."""
    if standing.open:
        return False
    if event is Event.ALREADY_DONE:
        return not standing.paid
    if event in FROM_ANOTHER:  # no word about this payment
        return False
    outcome = EVENT_TABLE[event]
    if outcome is Outcome.CONFLICT:
        return True
    if standing.paid:
        return event in (Event.DECLINED, Event.FAILED)
    return outcome in (Outcome.SUCCESS, Outcome.PENDING)


def resolve(standing: Standing, *, paid: bool) -> Standing:
    """An open payment closed on a person's word."""
    if not standing.open:
        raise ValueError(standing.state)
    return Standing(State.RESOLVED, paid=paid)


def corrected(standing: Standing) -> Standing:
    """A payment that was closed by hand, on a person's word to the contrary."""
    if standing.state is not State.RESOLVED:
        raise ValueError(standing.state)
    return standing._replace(paid=not standing.paid)


def outcome_of(standing: Standing) -> Outcome:
    """What a run tells about a payment that stands so and that nobody is sending."""
    if standing.state is State.RESOLVED:
        return Outcome.SUCCESS if standing.paid else Outcome.FAIL
    if standing.state in (State.PREPARED, State.SENDING):  # found after a crash
        seen = standing.doubt in (Doubt.PENDING, Doubt.BOTH)
        return Outcome.PENDING if seen else Outcome.UNKNOWN
    return Outcome(standing.state.value)
