"""What every event means for the money: the event table, the state machine, the exit codes.

Pure, and the one place for each of the three. The words are those of `docs/outcomes.md`.

The rule most clients miss: a definite failure of try N proves only that try N did nothing. Once
any try of a request_id proved nothing, or was pending, only a business answer closes it.
"""

import re
from collections.abc import Collection
from enum import IntEnum, StrEnum
from typing import NamedTuple

from posctl.top import Answer, ErrorAnswer, Reply, Unreadable


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
    MAYBE_DUPLICATE = "maybe_duplicate"
    SYSTEM_ERROR = "system_error"
    NO_VERDICT = "no_verdict"
    # The business answered.
    PAID = "paid"
    FAILED = "failed"
    FAILED_AS_USED = "failed_as_used"
    STILL_PENDING = "pending"
    CONTRADICTION = "contradiction"
    OTHER_VOUCHER = "other_payment_order_id"


# The event table, for a first try. `advance` knows what an earlier try makes of it.
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
    Event.MAYBE_DUPLICATE: Outcome.UNKNOWN,
    Event.SYSTEM_ERROR: Outcome.UNKNOWN,
    Event.NO_VERDICT: Outcome.UNKNOWN,
    Event.PAID: Outcome.SUCCESS,
    Event.FAILED: Outcome.FAIL,
    Event.FAILED_AS_USED: Outcome.FAIL,
    Event.STILL_PENDING: Outcome.PENDING,
    Event.CONTRADICTION: Outcome.CONFLICT,
    Event.OTHER_VOUCHER: Outcome.CONFLICT,
}


# ── from an answer to an event ───────────────────────────────────────────────────────────────

# Codes with which TOP refuses a call before the business sees it (protocol, section 6).
_GATEWAY_CODES = frozenset(
    {4, 5, 6, 7, 8, 9, 11, 12, 13, *range(20, 35), 40, 41, 42, 43, 45, 47, 53}
)
RATE_LIMIT_CODES = frozenset({4, 5, 6, 7, 8})
# They look transient and are not: the app key is unknown, the parameters are malformed.
_GATEWAY_SUB_CODES = frozenset({"isp.get-app-error", "isp.top-mapping-parse-error"})
_BY_SUB_CODE = frozenset({15, 50})

# A refusal that speaks of an earlier charge proves nothing. Words that only look alike are taken
# out first; what is left is matched as a substring, since codes come as ALREADY_PAID, orderPaid, …
# Only a "not" of its own is a denial: OUT_TRADE_NO_USED is WeChat's "this number was used". A word
# too many here costs an `unknown`, a word too few a customer.
_HARMLESS = (
    r"refused|caused|focused|unpaid|unused|(?<![a-z_])not[\s_-]+(?:been[\s_-]+)?"
    r"(?:used|paid|exist(?:s|ed)?)|-not-exist|不存在|未支付|未使用"
)
_SPEAKS_OF_EARLIER = (
    r"used|duplicate|exist|paid|has_success|重[复複]|已[经經]?[被]?(?:使用|存在|支付|付款|扣款)"
)


def speaks_of_earlier(*texts: str | None) -> bool:
    """Whether a refusal speaks of something used, duplicate, existing or paid already."""
    words = " | ".join(text for text in texts if text).lower()
    return bool(re.search(_SPEAKS_OF_EARLIER, re.sub(_HARMLESS, " ", words)))


def ban_s(event: Event, code: str | None, message: str | None) -> int | None:
    """How long to wait, in seconds, when a rate limit names its ban (protocol, section 6)."""
    if event is not Event.GATEWAY_REFUSED or code is None or not code.isdecimal():
        return None  # the business has codes of its own
    if int(code) not in RATE_LIMIT_CODES:
        return None
    named = re.search(r"last for ([0-9]{1,5}) more seconds", message or "")
    return int(named.group(1)) + 1 if named else 1


def read_event(reply: Reply, http_status: int, known_voucher: str | None) -> Event:
    """Which event an answer is; `known_voucher` is a payment_order_id recorded earlier."""
    if isinstance(reply, Unreadable):
        if 300 <= http_status < 400:
            return Event.REDIRECT
        return Event.NOT_TOP if 200 <= http_status < 300 else Event.HTTP_ERROR
    if isinstance(reply, ErrorAnswer):
        return _error_event(reply)
    return _verdict_event(reply, known_voucher)


def _error_event(error: ErrorAnswer) -> Event:
    sub_code = (error.sub_code or "").lower()
    if sub_code in _GATEWAY_SUB_CODES or error.code in _GATEWAY_CODES:
        return Event.GATEWAY_REFUSED
    if error.code in _BY_SUB_CODE and sub_code.startswith("isv."):
        if speaks_of_earlier(error.sub_code, error.sub_msg, error.msg):
            return Event.MAYBE_DUPLICATE
        return Event.BUSINESS_REFUSED
    return Event.SYSTEM_ERROR


def _verdict_event(answer: Answer, known_voucher: str | None) -> Event:
    status = answer.number("result_status")
    voucher = answer.text("payment_order_id")
    if status not in (1, 2, 3):
        return Event.NO_VERDICT
    if known_voucher and voucher and voucher != known_voucher:
        return Event.OTHER_VOUCHER
    if status == 3:
        return Event.STILL_PENDING
    if status == 2:
        told = (answer.text("result_code"), answer.text("result_message"))
        if speaks_of_earlier(*told, answer.msg_code, answer.msg_info):
            return Event.FAILED_AS_USED
        return Event.FAILED
    if answer.outer_success is False or answer.model_success is False:
        return Event.CONTRADICTION
    return Event.PAID


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


class Standing(NamedTuple):
    """A state and what it rests on.

    `doubt` is what earlier tries left behind: None (none of them can have charged), PENDING, or
    UNKNOWN. A payment in doubt is closed by a business answer or by a person, by nothing else.
    `paid` is set when closed: True if the customer was charged, False if not.
    """

    state: State
    doubt: State | None = None
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
        doubt = doubt or State.UNKNOWN
    return Standing(State.SENDING, doubt)


def advance(standing: Standing, event: Event) -> Standing:
    """`standing` after `event`: the whole state machine.

    Closed states never change, and a conflict waits for a person: what else comes in about them
    is judged by `contradicts`.
    """
    if not standing.open or standing.state is State.CONFLICT:
        return standing
    in_doubt = standing.doubt or (standing.state in (State.PENDING, State.UNKNOWN))
    outcome = EVENT_TABLE[event]
    if outcome is Outcome.SUCCESS:
        return Standing(State.SUCCESS, paid=True)
    if outcome is Outcome.CONFLICT:
        return Standing(State.CONFLICT, standing.doubt)
    if outcome is Outcome.FAIL and not (in_doubt and event is Event.FAILED_AS_USED):
        return Standing(State.FAIL, paid=False)
    if outcome is Outcome.PENDING:
        return Standing(State.PENDING, State.PENDING)
    if outcome in (Outcome.NOT_SENT, Outcome.REJECTED) and not in_doubt:
        return Standing(State(outcome.value), paid=False)
    # Nothing was proved. A pending one stays pending: the gateway has seen it.
    left = State.PENDING if State.PENDING in (standing.doubt, standing.state) else State.UNKNOWN
    return Standing(left, left)


def contradicts(standing: Standing, event: Event) -> bool:
    """Whether `event` speaks against how a payment was closed: cause for an alarm."""
    if standing.open:
        return False
    outcome = EVENT_TABLE[event]
    if outcome is Outcome.CONFLICT:
        return True
    if standing.paid:
        return outcome is Outcome.FAIL and event is not Event.FAILED_AS_USED
    return outcome in (Outcome.SUCCESS, Outcome.PENDING)


def resolve(standing: Standing, *, paid: bool) -> Standing:
    """An open payment closed on a person's word."""
    if not standing.open:
        raise ValueError(standing.state)
    return Standing(State.RESOLVED, paid=paid)


def outcome_of(standing: Standing) -> Outcome:
    """What a run tells about a payment that stands so and that nobody is sending."""
    if standing.state is State.RESOLVED:
        return Outcome.SUCCESS if standing.paid else Outcome.FAIL
    if standing.state in (State.PREPARED, State.SENDING):  # found after a crash
        return Outcome.PENDING if standing.doubt is State.PENDING else Outcome.UNKNOWN
    return Outcome(standing.state.value)
