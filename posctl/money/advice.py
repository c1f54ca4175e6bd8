"""What a person should read about an outcome, and what to type next. Pure words, no drawing.

Every sentence about a payment says what happened and whether money may have moved. A hint's
commands are data (`posctl.hint`): they can be copied and cannot be mistaken for prose.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Protocol

from posctl.hint import Hint, Say, Type, said
from posctl.messages import N_, _
from posctl.money.admit import Block, may_resend
from posctl.money.codes import CODE_FIELDS
from posctl.money.order import grouped
from posctl.money.outcome import (
    EVENT_TABLE,
    RATE_LIMIT_CODES,
    REFUSALS,
    Event,
    Outcome,
    State,
    outcome_of,
)
from posctl.money.record import Merchant, Payment, Try, TryEnd
from posctl.money.result import Problem
from posctl.times import date_time

EVENT_WORDS = {
    Event.DNS_FAILED: N_("The gateway's name could not be found (DNS)."),
    Event.REFUSED: N_("The gateway refused the connection."),
    Event.NO_ROUTE: N_("There is no route to the gateway."),
    Event.CONNECT_TIMEOUT: N_("The gateway could not be reached in time."),
    Event.TLS_REFUSED: N_("The gateway's certificate was not accepted."),
    Event.HANDSHAKE_CUT: N_("The connection broke before anything was sent."),
    Event.PROXY_REFUSED: N_("The proxy refused the connection."),
    Event.DEADLINE_UNSENT: N_("Time ran out before anything was sent."),
    Event.TOO_LATE: N_(
        "Too much time passed between recording the try and sending it (was the machine asleep?), "
        "so it was not sent."
    ),
    Event.UNSENT: N_("The request could not be sent."),
    Event.INTERRUPTED_UNSENT: N_("Interrupted before anything was sent."),
    Event.READ_TIMEOUT: N_("The gateway did not answer in time."),
    Event.DEADLINE: N_("The gateway's answer was not complete in time."),
    Event.CUT: N_("The connection broke after the request was sent."),
    Event.GARBAGE: N_("The reply was not an HTTP response."),
    Event.TRUNCATED: N_("The answer broke off."),
    Event.UNDECODABLE: N_("The answer could not be decoded."),
    Event.OVERSIZED: N_("The answer was too large to read."),
    Event.REDIRECT: N_("The gateway's address sent a redirect, which posctl never follows."),
    Event.HTTP_ERROR: N_("The gateway answered with an HTTP error."),
    Event.NOT_TOP: N_("Something else than the gateway answered (a proxy, a login page?)."),
    Event.INTERRUPTED: N_("Interrupted after the request was sent."),
    Event.CRASHED: N_("posctl was stopped while it was sending."),
    Event.GATEWAY_REFUSED: N_("The gateway refused the call."),
    Event.BUSINESS_REFUSED: N_("The platform refused the request as malformed."),
    Event.REFUSED_AS_USED: N_("The platform refused the payment code."),
    Event.MAYBE_DUPLICATE: N_("The platform speaks of an earlier payment."),
    Event.UNDECIDED: N_("The platform has not decided yet."),
    Event.ALREADY_DONE: N_("The platform says that this was paid or finished before."),
    Event.SYSTEM_ERROR: N_("The platform had an internal error."),
    Event.NO_VERDICT: N_("The platform's answer holds no verdict."),
    Event.PAID: N_("The platform says: paid."),
    Event.DECLINED: N_("The payment was declined."),
    Event.FAILED: N_("The payment failed."),
    Event.FAILED_MALFORMED: N_("The payment failed: something in the request is wrong."),
    Event.FAILED_AS_USED: N_("The payment failed: the payment code is used, invalid or expired."),
    Event.STILL_PENDING: N_("The customer is confirming, or the channel has not decided."),
    Event.CONTRADICTION: N_("The answer contradicts itself: paid, and yet not successful."),
    Event.OTHER_VOUCHER: N_("The answer names another payment than before."),
    Event.ANOTHERS: N_("The answer is about another payment, not this one."),
    Event.VOUCHER_ELSEWHERE: N_("The answer holds the number of another checkout's payment."),
}

# No answer was read: the details are this machine's, not the platform's words.
_UNREAD = frozenset(
    {
        *(Event.DNS_FAILED, Event.REFUSED, Event.NO_ROUTE, Event.CONNECT_TIMEOUT),
        *(Event.TLS_REFUSED, Event.HANDSHAKE_CUT, Event.PROXY_REFUSED, Event.UNSENT),
        *(Event.READ_TIMEOUT, Event.CUT, Event.GARBAGE, Event.TRUNCATED, Event.UNDECODABLE),
    }
)

# What to do about TOP's refusals (protocol, section 6); `explain.py` says what each code means.
_OURS = N_("posctl should never cause this: report it, with what --debug prints.")
_CODE_HINTS = {
    **dict.fromkeys((9, 20, 21, 22, 23, 32, 33, 34, 45, 47), _OURS),
    11: N_("Ask for the API package in the open platform's console."),
    12: N_("Ask for the API package in the open platform's console."),
    13: N_("Ask for the API package in the open platform's console."),
    24: N_("Check the secret of the profile."),
    25: N_("Check the secret of the profile."),
    26: N_("Authorise the shop again and set session in the profile."),
    27: N_("Authorise the shop again and set session in the profile."),
    28: N_("Check app_key and gateway of the profile: a key works in its own environment only."),
    29: N_("Check app_key and gateway of the profile: a key works in its own environment only."),
    30: N_("Set this machine's clock: it may be at most 10 minutes off."),
    31: N_("Set this machine's clock: it may be at most 10 minutes off."),
    42: N_("Check session in the profile."),
    53: N_("Ask for a higher security level of the app in the open platform's console."),
}


_CORRECT = N_("Correct what the gateway names, then run the command again.")
_CHECK_NETWORK = N_("Check the network, then run the same command again.")
_UNSENT_HINTS = {
    Event.INTERRUPTED_UNSENT: N_("To pay after all, run the same command again."),
    Event.TLS_REFUSED: N_(
        "Check this machine's clock and proxy, then run the same command again.\nA network with a "
        "certificate authority of its own? Name its PEM file in the profile: ca: /PATH/ca.pem"
    ),
    Event.PROXY_REFUSED: N_("Check the proxy, then run the same command again."),
}


def problem_of(payment: Payment, end: TryEnd | None) -> Problem | None:
    """`error` of a payment that stands as it does; None for success and pending.

    `end` is how its latest try ended; None when its process died.
    """
    outcome = outcome_of(payment.standing)
    if outcome in (Outcome.SUCCESS, Outcome.PENDING):
        return None
    event = end.event if end else Event.CRASHED
    kinds = {
        Outcome.FAIL: "business",
        Outcome.REJECTED: "gateway",
        Outcome.CONFLICT: "conflict",
    }
    return Problem(
        kind=kinds.get(outcome, "gateway" if end and end.code else "network"),
        code=(end.code if end and end.code else event.value),
        sub_code=end.sub_code if end else None,
        message=f"{_closed_how(payment, end)} {money(outcome)}",
        hint=_hint(payment, outcome, end),
    )


def _closed_how(payment: Payment, end: TryEnd | None) -> str:
    if payment.standing.state is State.RESOLVED:
        return _("It was closed by hand.")
    return _of_open(end) if end is not None and payment.open else what_happened(end)


def _of_open(end: TryEnd) -> str:
    if EVENT_TABLE[end.event] is Outcome.FAIL:
        # "The payment failed" would contradict the verdict, which knows of an earlier try.
        return _in_detail(_("The platform's answer to this try was a failure."), end)
    return what_happened(end)


def what_happened(end: TryEnd | None) -> str:
    """The event in a sentence, with the other side's own words when there are any."""
    return _in_detail(_(EVENT_WORDS[end.event if end else Event.CRASHED]), end)


def _in_detail(sentence: str, end: TryEnd | None) -> str:
    details = [part for part in (end.code, end.sub_code, end.message) if part] if end else []
    if end is not None and end.event in _UNREAD and details and details[-1].isidentifier():
        return sentence  # an exception's name: for --json and the journal, not for people
    if not details or details[0] in ("closed", "timed out", "refused"):
        return sentence  # it has said so
    return _("{sentence} ({details})").format(sentence=sentence, details=" · ".join(details))


def amount(fee: int) -> str:
    """Fen as people say an amount."""
    return f"￥{grouped(fee)}"


def with_fen(fee: int) -> str:
    """The same, and the very number of the API beside it: where `--fee` is typed."""
    return _("￥{yuan} ({fen} fen)").format(yuan=grouped(fee), fen=fee)


CHANNELS = {"alipay_facepay_v2": N_("alipay_facepay_v2")}
"""How people call a channel, by `pay_channel`; in English, as the API does."""


def channel(pay_channel: str) -> str:
    """A payment channel as people call it; one that is not known here as it is."""
    name = CHANNELS.get(pay_channel)
    return pay_channel if name is None else _(name)


def money(outcome: Outcome) -> str:
    """Whether money may have moved."""
    if outcome in (Outcome.FAIL, Outcome.NOT_SENT, Outcome.REJECTED):
        return _("The customer was not charged.")
    if outcome is Outcome.SUCCESS:
        return _("The customer was charged.")
    return _("The customer may have been charged.")


def _hint(payment: Payment, outcome: Outcome, end: TryEnd | None) -> Hint:
    if payment.standing.state is State.RESOLVED:
        return ()  # nobody waits for it any more
    if outcome in (Outcome.FAIL, Outcome.NOT_SENT, Outcome.REJECTED):
        code = int(end.code) if end and end.code and end.code.isdecimal() else 0
        return said(remedy(outcome, end.event if end else None, code))
    if outcome is Outcome.CONFLICT and not payment.open:  # the answer came in against the record
        return about_alarm(payment.request_id)
    if end is not None and end.event in REFUSALS and outcome is not Outcome.CONFLICT:
        return _fill(NO_PROOF, payment)
    return next_step(payment)


def remedy(outcome: Outcome, event: Event | None = None, code: int = 0) -> str:
    """What to do when nobody was charged; `code` is TOP's when it refused, else 0."""
    if outcome is Outcome.FAIL:
        return _("Ask for a fresh payment code and pay again.")
    if outcome is Outcome.NOT_SENT:
        return _(_UNSENT_HINTS.get(event, _CHECK_NETWORK) if event else _CHECK_NETWORK)
    if code in RATE_LIMIT_CODES:
        return _("Wait a moment, then run the same command again.")
    return _(_CODE_HINTS.get(code, _CORRECT))


def what_happened_last(one: Try | None) -> str:
    """The latest try of an open payment in a sentence. Nobody but the process that sends knows
    whether it is still at it.
    """
    return _of_open(one.end) if one and one.end else _(NO_END)


def still_to_do(payment: Payment, now_ms: int) -> Hint:
    """What to type about an open payment that may have been left alone for long."""
    refused = may_resend(payment, now_ms)
    if refused in (Block.TOO_OLD, Block.CUSTOMER_GONE, Block.RESTORED):
        return _fill((_NEVER_AGAIN, *BLOCKED[refused][1]), payment)
    return next_step(payment)


def next_step(payment: Payment) -> Hint:
    """What to type about an open payment that was just tried, and not to charge again."""
    if outcome_of(payment.standing) is Outcome.CONFLICT:
        return _fill(DECIDE, payment)
    return _fill(NO_PROOF if is_refused(payment) else ASK, payment)


def is_refused(payment: Payment) -> bool:
    """Whether an open payment was last answered with a failure that proves nothing."""
    return payment.open and payment.verdict.result_status == 2


def rest(payment: Payment, remaining_fee: int, profile: str) -> Hint:
    """What to type for the rest of a checkout of which `payment` paid a part; `profile` is in use,
    while the one of the payment may mean another merchant by now.
    """
    scanned = CODE_FIELDS[0] in json.loads(payment.pay_request)
    about = payment.checkout
    return (
        Say(_("For the rest:")),
        Type(
            (
                *("--profile", profile, "pay", "--shop", str(about.shop_id)),
                *("--checkout", about.checkout_id, "--fee", str(remaining_fee)),
                *(("--scan",) if scanned else ()),
            )
        ),
    )


NO_END = N_("No end is recorded: it is on its way, or posctl was stopped.")
_NEVER_AGAIN = Say(N_("Do not charge again."), barred=True)
ASK = (
    _NEVER_AGAIN,
    N_("Retry the same payment; it charges once at most:"),
    Type(("retry", "{request_id}")),
)
_RESOLVE = (
    N_("If the customer was charged:"),
    Type(("resolve", "{request_id}", "--as", "paid", "--note", "…")),
    N_("If not:"),
    Type(("resolve", "{request_id}", "--as", "not-paid", "--note", "…")),
)
NO_PROOF = (
    _NEVER_AGAIN,
    N_("The platform's answer does not prove that nobody was charged."),
    N_("Retry the same payment; it charges once at most:"),
    Type(("retry", "{request_id}")),
    N_("Look at the customer's phone, or ask the platform; that moves no money:"),
    Type(("status", "{request_id}")),
    *_RESOLVE,
)
_FIND_OUT = (N_("Find out whether the customer was charged."), *_RESOLVE)
DECIDE = (_NEVER_AGAIN, *_FIND_OUT)
_SETTLE = (
    N_("See it:"),
    Type(("show", "{request_id}")),
    N_("When it is settled:"),
    Type(("resolve", "{request_id}", "--acknowledge", "--note", "…")),
)


def _fill(lines: Sequence[str | Say | Type], payment: Payment, **more: object) -> Hint:
    """`lines` as `filled`, each command as it works for `payment`."""
    before = of_profile(payment.profile, live=payment.live)
    return filled(lines, before, request_id=payment.request_id, **more)


def of_profile(profile: str, *, live: bool) -> tuple[str, ...]:
    """What a command about `profile` says before its name: of training it must, or it would go to
    the profile that is the default.
    """
    return () if live else ("--profile", profile)


def filled(
    lines: Sequence[str | Say | Type], before: tuple[str, ...] = (), **values: object
) -> Hint:
    """`lines` in the user's language, with `values` for their names. `before` stands in front of
    each command that names no profile itself.
    """
    parts: list[Say | Type] = []
    for line in lines:
        if isinstance(line, Type):
            own = () if line.args[0] == "--profile" else before
            parts.append(Type((*own, *(word.format(**values) for word in line.args))))
        else:
            text, barred = line if isinstance(line, Say) else (line, False)
            parts.append(Say(_(text).format(**values), barred))
    return tuple(parts)


def about_alarm(request_id: str) -> Hint:
    """What to type about evidence that came in against a closed payment."""
    return filled(_SETTLE, request_id=request_id)


def reach_again(merchant: Merchant, *command: str) -> Hint:
    """What to write, so that a profile reaches `merchant`, and the command to type then."""
    return (
        Say(_("Write into a profile that is for this merchant:")),
        Say(f"merchant: {merchant.name}"),
        Say(_("Then:")),
        Type(("--profile", "NAME", *command)),
    )


def of_another(
    payment: Payment, profiles: Iterable[Way], command: str = "retry"
) -> tuple[str, Hint]:
    """What to say and to type when `command` was asked of a profile that does not reach `payment`:
    one of `profiles` that does, or how to make one.
    """
    merchant, words = payment.checkout.merchant, (command, payment.request_id)
    way = reaching(profiles, merchant, payment.profile)
    if way is None:
        none = _("This payment belongs to merchant {merchant}, which no profile reaches.")
        return none.format(merchant=merchant.name), reach_again(merchant, *words)
    sentence, __ = BLOCKED[Block.OTHER_PROFILE]
    hint: Hint = (Say(_("Type:")), Type(("--profile", way, *words)))
    return _(sentence).format(merchant=merchant.name, profile=way), hint


def blocked(
    block: Block,
    by: Payment,
    holder: Try | None,
    due_fee: int | None,
    profiles: Iterable[Way],
) -> Problem:
    """Why nothing was sent, by whom the checkout is held, and what to type; `profiles` are all of
    the configuration.
    """
    if block is Block.OTHER_PROFILE:
        message, way = of_another(by, profiles)
        return Problem(kind="blocked", code=block.value, message=message, hint=way)
    who = _("operator {operator} on till {till}").format(
        operator=holder.who.operator_id if holder else by.operator_id,
        till=holder.who.machine_id if holder else by.machine_id,
    )
    begun_ms = holder.started_ms if holder and block is Block.HELD else by.created_ms
    since = date_time(by.closed_ms or begun_ms)
    sentence, hint = BLOCKED[block]
    return Problem(
        kind="blocked",
        code=block.value,
        message=_(sentence).format(
            who=who,
            since=since,
            pid=holder.who.pid if holder else 0,
            host=holder.who.host if holder else "",
            money=f"￥{grouped(by.pay_fee)}",
            due=f"￥{grouped(due_fee or 0)}",
            checkout=by.checkout.checkout_id,
        ),
        hint=_fill(hint, by, due_fee=due_fee),
    )


BLOCKED = {
    Block.HELD: (
        N_("{who} ({host}, process {pid}) has been sending this payment since {since}."),
        (N_("Wait for that till, then run the same command again."),),
    ),
    Block.OPEN: (
        N_("The checkout is held by an open payment of {money}, by {who}, since {since}."),
        (N_("Settle it first:"), Type(("retry", "{request_id}"))),
    ),
    Block.CONFLICT: (
        N_("The checkout has a payment whose answers contradict each other, since {since}."),
        _FIND_OUT,
    ),
    Block.ALARM: (
        N_("The platform contradicts our record of a {money} payment on this checkout."),
        _SETTLE,
    ),
    Block.PAID: (
        N_("The checkout was already paid: {money}, by {who}, at {since}."),
        (
            N_("See it:"),
            Type(("show", "{request_id}")),
            N_("To take a second payment on purpose, run the command with --another."),
        ),
    ),
    Block.CODE_USED: (
        N_("This payment code was used already: for {money} on checkout {checkout}, at {since}."),
        (
            N_("A code pays once: ask for a fresh one. The other payment:"),
            Type(("show", "{request_id}")),
        ),
    ),
    Block.OVER_DUE: (
        N_("Only {due} is still due on this checkout."),
        (N_("Run it with --fee {due_fee}, or take more on purpose with --another."),),
    ),
    Block.REPEAT: (
        N_("The same {money} was paid on this checkout less than a minute ago, at {since}."),
        (N_("If this is the next part, run the command with --another."),),
    ),
    Block.CUSTOMER_GONE: (
        N_("Open since {since}, and without a payment code: sending it again may charge now."),
        (
            N_("If the customer is still here and wants to pay:"),
            Type(("retry", "{request_id}", "--yes")),
            N_("If the customer has left, ask the platform; that moves no money:"),
            Type(("status", "{request_id}")),
            *_RESOLVE,
        ),
    ),
    Block.TOO_OLD: (
        N_("This payment has been open since {since}: too long for posctl to send it again."),
        (
            N_("Ask the platform; that moves no money:"),
            Type(("status", "{request_id}")),
            *_RESOLVE,
        ),
    ),
    Block.RESTORED: (
        N_(
            "Open since {since}, and the journal was put back or taken over since: it cannot know "
            "what became of this payment."
        ),
        (
            N_("Find out whether it was settled; asking the platform moves no money:"),
            Type(("status", "{request_id}")),
            *_RESOLVE,
            N_("Only when it certainly was not settled since:"),
            Type(("retry", "{request_id}")),
        ),
    ),
    Block.OTHER_PROFILE: (
        N_("This payment belongs to merchant {merchant}; profile {profile} reaches it."),
        (  # for `explain`; of a payment `of_another` knows which it is
            N_("When the answer names a profile that reaches it, type:"),
            Type(("--profile", "{profile}", "retry", "{request_id}")),
            N_("When none does, write the merchant that it names into a profile, as merchant:"),
        ),
    ),
}

WARNINGS = {
    "fee_differs": N_("the platform charged another amount than was asked"),
    "channel_differs": N_("the platform used another payment channel than was asked"),
    "remaining_missing": N_("the platform did not say what is still due"),
    "remaining_negative": N_("the platform reports a negative amount due"),
    "remaining_grew": N_("the platform says that more is due than before"),
    "code_set_aside": N_("the freshly scanned code was set aside: the open payment keeps its own"),
    "not_recorded": N_("the answer could not be recorded: run posctl retry for this payment"),
    "code_in_argv": N_("--code shows the payment code to everyone on this machine; use --scan"),
    "told_late": N_(
        "this outcome was recorded earlier but had not been shown yet; nothing was sent now"
    ),
}


def warning(code: str) -> str:
    """A warning for people and scripts: the stable word, then the sentence."""
    return f"{code}: {_(WARNINGS[code])}"


def try_warning(end: TryEnd) -> str:
    """A pending payment whose latest try failed keeps pending, and says so."""
    return f"{end.event.value}: {what_happened(end)}"


class Way(Protocol):
    """What this room needs to know of a profile."""

    @property
    def name(self) -> str: ...

    @property
    def merchant(self) -> Merchant: ...


def reaching(profiles: Iterable[Way], merchant: Merchant, rather: str) -> str | None:
    """The name of one of `profiles` that reaches `merchant`, the one named `rather` if it does;
    None when none does. A payment's own profile name may mean another merchant by now.
    """
    names = [one.name for one in profiles if one.merchant == merchant]
    return rather if rather in names else next(iter(names), None)
