"""What every word means that posctl or the platform answers with: `posctl explain`.

What a word means for the money is not written here: it is asked of the event table and the state
machine (`money/outcome.py`), and what to do about it of `money/advice.py`. Facts on TOP's codes:
protocol, section 6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from posctl.gateway.judge import read_event
from posctl.gateway.top import Answer, ErrorAnswer
from posctl.help import own_codes
from posctl.hint import Hint, Say, Type, said
from posctl.messages import N_, _
from posctl.money import advice
from posctl.money.admit import Block
from posctl.money.outcome import EVENT_TABLE, EXIT_OF, Doubt, Event, Exit, Outcome, proves
from posctl.money.refusal import Decline, Why, decline_of

_CONSOLE = N_("Ask for it in the open platform's console.")
_BY_SUB_CODE = N_("The sub code says more:")
_SENT_NOTHING = N_("Nothing was sent by this run.")
_DOUBT = N_("If an earlier try of the same payment had no clear answer, the payment stays open.")


class Entry(NamedTuple):
    """One meaning of a word. `kind` and `outcome` are for scripts, the rest for people.

    `outcome` is what it comes to for a first try; None when that depends, or is no payment's.
    """

    kind: str
    code: str
    title: str
    outcome: Outcome | None
    money: str
    remedy: Hint


KINDS = {
    "task": N_("what to do"),
    "exit_code": N_("exit code of posctl"),
    "outcome": N_("outcome"),
    "result_status": N_("result_status"),
    "event": N_("error.code of a try"),
    "block": N_("error.code of a blocked payment"),
    "error": N_("error.code of posctl's own"),
    "warning": N_("warning"),
    "top_code": N_("error code of the gateway"),
    "sub_code": N_("sub code of the gateway"),
    "result_code": N_("result_code"),
    "msg_code": N_("msg_code"),
}

REFUND = "refund"
# As people ask for it; the API knows neither a refund nor a cancel.
REFUND_WORDS = frozenset(
    {REFUND, "refunds", "cancel", "void", "reverse", "退款", "退钱", "退货", "撤销", "冲正"}
)

_OUTCOMES = {
    Outcome.SUCCESS: N_("The platform says: paid (result_status 1)."),
    Outcome.FAIL: N_("The platform says: failed (result_status 2)."),
    Outcome.NOT_SENT: N_("The request never left this machine."),
    Outcome.REJECTED: N_("The call was refused before anything was charged."),
    Outcome.PENDING: N_("The payment is open: the platform has not decided (result_status 3)."),
    Outcome.UNKNOWN: N_("The payment is open: no answer came that can be trusted."),
    Outcome.CONFLICT: N_("The payment is open: answers contradict each other, or the record."),
    Outcome.BLOCKED: N_("The checkout has an open payment, or was paid already."),
}

# Exit codes that are no outcome's alone: what it is, what about money, what to do.
_EXITS = {
    Exit.OK: (
        N_("The command did what was asked; a payment is paid (outcome success)."),
        N_("Of pay and retry: the customer was charged."),
        (N_("Look at remaining_fee: it says what the checkout still needs."),),
    ),
    Exit.BUG: (
        N_("An error of posctl's own, or posctl was killed: Windows then gives this code."),
        N_("It promises nothing: the customer may have been charged."),
        (
            N_("The same command with the same request_id is safe to run again."),
            N_("If it was an error, report what --debug prints. Open payments:"),
            "posctl pending",
        ),
    ),
    Exit.USAGE: (
        N_("A flag, a value or a file that cannot be used."),
        _SENT_NOTHING,
        (N_("Correct what the message names, then run the command again."),),
    ),
    Exit.CONFIG: (
        N_("The configuration, the profile or the secret cannot be used."),
        _SENT_NOTHING,
        (N_("Correct what the message names. To check it:"), Type(("doctor",))),
    ),
    Exit.JOURNAL: (
        N_("The journal cannot be written, read or trusted."),
        _SENT_NOTHING,
        (N_("Never delete the journal. To check it:"), Type(("doctor",))),
    ),
    Exit.INTERRUPTED: (
        N_("Interrupted before anything was sent; after sending the exit code is 21."),
        N_("The customer was not charged."),
        (N_("To pay after all, run the same command again."),),
    ),
}

_SETTLE = N_("Wait, or settle what the message names; then run the same command again.")

_CLOSED_WINDOW = "3221225786"  # STATUS_CONTROL_C_EXIT, the exit code of who was in it

_BLOCKS = {
    Block.HELD: N_("Another till or process is sending this payment at this moment."),
    Block.OPEN: N_("The checkout is held by an open payment that differs from this one."),
    Block.CONFLICT: N_("The checkout has a payment whose answers contradict each other."),
    Block.PAID: N_("The checkout was already paid."),
    Block.CODE_USED: N_("Another payment has this payment code, or had it in the last 10 minutes."),
    Block.OVER_DUE: N_("The amount is more than is still due on the checkout."),
    Block.REPEAT: N_("The same amount was paid on this checkout less than a minute ago."),
    Block.CUSTOMER_GONE: N_("Open for over 15 minutes and without a code: resending may charge."),
    Block.TOO_OLD: N_("Open for too long for posctl to send it again."),
    Block.RESTORED: N_("The journal was put back or taken over: a person has to find out first."),
    Block.OTHER_PROFILE: N_("The payment belongs to a merchant that the profile does not reach."),
    Block.ALARM: N_("The platform contradicts our record of a payment on the checkout."),
}

_LIMITED = N_("The app may not call as often as this.")
_BY_BUSINESS = N_("The business behind the gateway refused the call or had an error.")
_TOP_CODES = {
    1: N_("Seen with isp.get-app-error: the gateway does not know the app key."),
    3: N_("An upload failed; posctl uploads nothing."),
    **dict.fromkeys((4, 5, 6, 7, 8), _LIMITED),
    9: N_("The HTTP method is not allowed."),
    10: N_("The service is currently unavailable."),
    11: N_("The app's permissions do not suffice for this method."),
    12: N_("The user's permissions do not suffice for this method."),
    13: N_("The partner's permissions do not suffice for this method."),
    **dict.fromkeys((15, 50), _BY_BUSINESS),
    **dict.fromkeys((20, 45), N_("This version of the protocol is forbidden.")),
    21: N_("The method is missing."),
    22: N_("The method does not exist."),
    23: N_("The format is invalid."),
    24: N_("The signature is missing."),
    25: N_("The signature is invalid."),
    26: N_("The session is missing."),
    27: N_("The session is invalid or has expired."),
    28: N_("The app key is missing."),
    29: N_("The app key is invalid, or one of another environment."),
    30: N_("The timestamp is missing."),
    31: N_("The timestamp is invalid: clocks differ by more than 10 minutes."),
    32: N_("The protocol's version is missing."),
    33: N_("The protocol's version is invalid."),
    34: N_("The protocol's version is not supported."),
    40: N_("A required argument is missing; its name follows the colon."),
    41: N_("An argument is invalid; its name follows the colon."),
    42: N_("The request is forbidden at this session's level."),
    43: N_("A parameter has a wrong format or is out of range."),
    44: N_("Ambiguous: an error of the server (old) or an invalid access token (new)."),
    47: N_("The encoding is invalid."),
    53: N_("The app's security level does not suffice."),
}
_OVER_100 = N_("A code of the business behind the gateway.")

# A sub code: with which code it comes, what it is, what to do when `advice` has nothing better.
_LIMITS = {
    "limited-by-app-access-count": N_("The app's daily allowance of calls is used up."),
    "limited-by-api-access-count": N_("This method is called too often."),
    "limited-by-app-api-access-count": N_("The app calls this method too often."),
    "limited-by-dynamic-access-count": N_("The gateway limits calls at the moment."),
}
_SUB_CODES: dict[str, tuple[int, str, str | None]] = {
    **{f"accesscontrol.{name}": (7, title, None) for name, title in _LIMITS.items()},
    "isv.permission-api-package-limit": (
        *(11, N_("The app lacks the API package for this method.")),
        _CONSOLE,
    ),
    "isv.permission-ip-whitelist-limit": (
        *(11, N_("This machine's IP address is not on the app's list.")),
        _CONSOLE,
    ),
    "isv.appkey-not-exists": (29, N_("The app key does not exist."), None),
    "isp.get-app-error": (
        *(1, N_("The gateway does not know the app key, whatever the sub code's name suggests.")),
        N_("Check app_key and gateway of the profile: a key works in its own environment only."),
    ),
    "isp.top-mapping-parse-error": (
        *(15, N_("A parameter is malformed, although the sub code looks like the server's side.")),
        None,
    ),
    "isp.top-remote-connection-timeout": (
        *(15, N_("The gateway could not reach the business in time.")),
        None,
    ),
    "isp.top-remote-connection-error": (15, N_("The gateway lost the business."), None),
    "isp.top-remote-service-unavailable": (15, N_("The business was unavailable."), None),
    "isp.top-remote-unknown-error": (15, N_("The business failed in an unknown way."), None),
    "isp.remote-service-error": (15, N_("The business had an error."), None),
    "isp.remote-service-timeout": (15, N_("The business did not answer in time."), None),
    "isp.service-unavailable": (15, N_("The service was unavailable."), None),
    "isp.unknown-error": (15, N_("The platform failed in an unknown way."), None),
    "isv.missing-parameter": (15, N_("A parameter is missing."), None),
    "isv.invalid-parameter": (15, N_("A parameter is not as the platform wants it."), None),
    "isv.parameters-mismatch": (15, N_("Parameters do not go together."), None),
    "isv.invalid-permission": (15, N_("The app may not do this."), _CONSOLE),
}
# What the whole families are, the more special one first.
_SUB_FAMILIES = (
    (r"isv\..+-not-exists?", "isv.XXX-not-exist", N_("What the parameter names does not exist.")),
    (r"isv\..+", "isv.*", N_("The call was refused: something in it is wrong.")),
    (r"isp\..+", "isp.*", N_("The platform or the business system had an internal error.")),
    (r"accesscontrol\..+", "accesscontrol.*", _LIMITED),
)


def explain(word: str) -> list[Entry]:
    """Every meaning of `word`, the exit code first; none for a word that nobody uses."""
    wanted = word.strip()
    found = [entry for entry in everything() if entry.code.lower() == wanted.lower()]
    if not found and wanted.lower() in REFUND_WORDS:
        return [_refund()]
    if re.fullmatch(r"[1-9][0-9]{2,8}", wanted) and int(wanted) > 100:
        found.append(_over_100(wanted))
    if wanted == _CLOSED_WINDOW:
        found = [_exit(Exit.BUG)._replace(code=wanted)]
    if not any(entry.kind == "error" for entry in found):
        found += _of_error_family(wanted)
    if not any(entry.kind == "sub_code" for entry in found):
        found += _sub_code(wanted)
    return found or _result_code(wanted)


def everything() -> Iterator[Entry]:
    """All that can be explained, in the order of KINDS."""
    yield _refund()
    yield from (_exit(code) for code in Exit)
    yield from (_outcome(outcome) for outcome in Outcome)
    yield from (_result_status(*one) for one in _RESULT_STATUS.items())
    yield from (_event(event) for event in Event)
    yield from (_block(block) for block in Block)
    yield from (_error(code) for code in own_codes.ERRORS)
    yield from (_as_exit(code, exit_code) for code, exit_code in own_codes.AS_EXIT.items())
    for family in ("bad_XXX", "missing_XXX", "journal_XXX"):
        yield from _of_error_family(family)
    yield from (_warning(code) for code in advice.WARNINGS)
    yield from (_top_code(code) for code in _TOP_CODES)
    yield _over_100(">100")
    for name, (code, title, remedy) in _SUB_CODES.items():
        yield _of_sub_code(name, name, code, _(title), remedy)
    for _pattern, name, title in _SUB_FAMILIES:
        yield _of_family(name, name, _(title))
    yield _word_of_answer("result_code", "OPERATION_SUCCESS")
    yield _word_of_answer("msg_code", "SUCCESS")


# ── one of each kind ─────────────────────────────────────────────────────────────────────────


def _refund() -> Entry:
    remedy = (
        N_(
            "Find the payment, by an id, an amount, a day. channel_order_id is the wallet's number:"
        ),
        Type(("show", "ID")),
        N_(
            "Give the money back in the platform's own console, by channel_order_id or "
            "payment_order_id (Alipay: merchant centre; WeChat: merchant platform)."
        ),
        N_("The payment stays paid in the journal. The statement of that day shows the refund:"),
        Type(("reconcile", "STATEMENT.csv")),
        N_("Was it never paid, and only closed by hand by mistake? Then correct that:"),
        Type(("resolve", "ID", "--correct", "--as", "not-paid", "--note", "…")),
    )
    return Entry(
        "task",
        REFUND,
        _("Giving money back: this API has no refund and no cancel, so posctl cannot do it."),
        None,
        _("Only the platform gives a customer's money back."),
        _lines(remedy),
    )


def _exit(code: Exit) -> Entry:
    if code in _EXITS:
        title, money, remedy = _EXITS[code]
        return Entry("exit_code", str(int(code)), _(title), None, _(money), _lines(remedy))
    outcome = next(one for one, exit_code in EXIT_OF.items() if exit_code is code)
    return _outcome(outcome)._replace(kind="exit_code", code=str(int(code)))


def _outcome(outcome: Outcome) -> Entry:
    money = _(_SENT_NOTHING) if outcome is Outcome.BLOCKED else advice.money(outcome)
    return Entry("outcome", outcome, _(_OUTCOMES[outcome]), outcome, money, _remedy(outcome))


_RESULT_STATUS = {"1": Event.PAID, "2": Event.FAILED, "3": Event.STILL_PENDING}


def _result_status(status: str, event: Event) -> Entry:
    return _event(event)._replace(kind="result_status", code=status)


def _event(event: Event) -> Entry:
    outcome = EVENT_TABLE[event]
    title = _(advice.EVENT_WORDS[event])
    return Entry("event", event, title, outcome, _money(event), _remedy(outcome, event))


def _block(block: Block) -> Entry:
    _sentence, hint = advice.BLOCKED[block]
    remedy = _lines(hint)
    return Entry("block", block, _(_BLOCKS[block]), Outcome.BLOCKED, _(_SENT_NOTHING), remedy)


def _error(code: str) -> Entry:
    """A word of an error of posctl's own."""
    exit_code, title = own_codes.ERRORS[code]
    _title, money, remedy = _EXITS.get(exit_code, ("", _SENT_NOTHING, (_SETTLE,)))
    money, remedy = own_codes.MONEY.get(code, money), own_codes.REMEDY.get(code, remedy)
    return Entry("error", code, _(title), None, _(money), _lines(remedy))


def _as_exit(code: str, exit_code: Exit) -> Entry:
    return _exit(exit_code)._replace(kind="error", code=code)


def _of_error_family(word: str) -> list[Entry]:
    """An error of many alike that nobody has listed: `bad_shop_id`, `missing_note`."""
    family = re.fullmatch(r"(?i)(bad|missing|journal)_([a-z_]{1,64})", word)
    if family is None:
        return []
    kind, name = family[1].lower(), family[2] if family[2] == "XXX" else family[2].lower()
    if kind == "journal":
        return [_as_exit(word, Exit.JOURNAL)]
    words = (
        _("{name} is not as posctl takes it; the message says what is allowed.")
        if kind == "bad"
        else _("{name} is missing; the message says how to give it.")
    )
    return [_as_exit(word, Exit.USAGE)._replace(title=words.format(name=name))]


def _warning(code: str) -> Entry:
    title = _("Beside an outcome: {warning}.").format(warning=_(advice.WARNINGS[code]))
    money = _("It changes no outcome: that says what became of the money.")
    see = (N_("See the payment:"), Type(("show", "{request_id}")))
    remedy = _lines(advice.ASK if code == "not_recorded" else see)
    return Entry("warning", code, title, None, money, remedy)


def _top_code(code: int) -> Entry:
    event = _event_of(code)
    title = _(_TOP_CODES[code])
    if code in (15, 50):
        return _by_sub_code(str(code), title)
    outcome = EVENT_TABLE[event]
    return Entry(
        "top_code", str(code), title, outcome, _money(event), _remedy(outcome, event, code)
    )


def _by_sub_code(code: str, title: str) -> Entry:
    money = _(
        "isv.* means that nobody was charged, unless it mentions something paid, repeated or "
        "undecided; after anything else the customer may have been charged."
    )
    return Entry("top_code", code, title, None, money, _see_sub_code())


def _over_100(code: str) -> Entry:
    event = _event_of(101)
    remedy = (*_remedy(EVENT_TABLE[event], event), *_see_sub_code())
    return Entry("top_code", code, _(_OVER_100), EVENT_TABLE[event], _money(event), remedy)


def _see_sub_code() -> Hint:
    return _lines((_BY_SUB_CODE, Type(("explain", "SUB_CODE"))))


def _sub_code(word: str) -> list[Entry]:
    """What a sub code means that comes with a name behind a colon, or that nobody has listed."""
    sub_code = word.lower()
    base, _colon, name = word.partition(":")
    if base.lower() in _SUB_CODES:
        code, title, remedy = _SUB_CODES[base.lower()]
        about = _("{title} It is about: {name}").format(title=_(title), name=name[:64])
        return [_of_sub_code(word[:128], sub_code, code, about, remedy)]
    for pattern, family, title in _SUB_FAMILIES:
        if re.fullmatch(pattern, base.lower()):
            return [_of_family(word[:128], family, _(title), sub_code)]
    return []


def _of_family(shown: str, family: str, title: str, sub_code: str | None = None) -> Entry:
    code = 7 if family.startswith("accesscontrol") else 15
    return _of_sub_code(shown, sub_code or family, code, title, None)


def _of_sub_code(shown: str, sub_code: str, code: int, title: str, remedy: str | None) -> Entry:
    event = _event_of(code, sub_code)
    outcome = EVENT_TABLE[event]
    if event in (Event.MAYBE_DUPLICATE, Event.UNDECIDED, Event.ALREADY_DONE, Event.REFUSED_AS_USED):
        title = _(advice.EVENT_WORDS[event])
    todo = said(_(remedy)) if remedy else _remedy(outcome, event, code)
    return Entry("sub_code", shown, title, outcome, _money(event), todo)


_WHY = {
    Why.BALANCE: N_("The balance is too low."),
    Why.LIMIT: N_("A limit of the customer's or the shop's is too low for this amount."),
    Why.CANCELLED: N_("The customer cancelled or refused."),
    Why.RISK: N_("Risk control refused the payment."),
    Why.ACCOUNT: N_("The account, card or way of paying cannot be used."),
    Why.CLOSED: N_("The trade was closed without payment."),
}


def _decline(one: Decline) -> Entry:
    """A known decline: whatever was before, nobody was charged."""
    title = _("{wallet}: {title} ({words})").format(
        wallet=one.wallet, title=_(_WHY[one.why]), words=one.words
    )
    event = Event.DECLINED
    outcome = EVENT_TABLE[event]
    return Entry("result_code", one.code, title, outcome, _money(event), _remedy(outcome, event))


def _result_code(word: str) -> list[Entry]:
    """A code that the business says beside result_status 2, by what it speaks of."""
    known = decline_of(word)
    if known is not None:
        return [_decline(known)._replace(code=word[:128])]
    if not re.fullmatch(r"(?:[A-Z]{2,4}\.)?[A-Z][A-Z0-9_]{5,63}", word):
        return []
    model = {"result_status": 2, "result_code": word}
    event = read_event(Answer(model), 200, None)
    if event in (Event.FAILED, Event.FAILED_MALFORMED) and "." not in word:
        return []
    outcome = EVENT_TABLE[event]
    title = _(advice.EVENT_WORDS[event])
    return [Entry("result_code", word, title, outcome, _money(event), _remedy(outcome, event))]


def _word_of_answer(kind: str, word: str) -> Entry:
    return Entry(
        kind,
        word,
        _("The only word of its kind that is documented. It decides nothing."),
        None,
        _("result_status decides: 1 is charged, 2 is not charged, 3 is open."),
        _lines((N_("See the outcome:"), Type(("show", "{request_id}")))),
    )


# ── what it means, and what to do ────────────────────────────────────────────────────────────


def _event_of(code: int, sub_code: str | None = None) -> Event:
    return read_event(ErrorAnswer(code, None, sub_code, None, None), 200, None)


def _money(event: Event) -> str:
    """What a try that ends so means for the money, also when an earlier try left a doubt."""
    first = EVENT_TABLE[event]
    if proves(event, Doubt.UNKNOWN, own_id=True) is first:
        return advice.money(first)
    return f"{advice.money(first)} {_(_DOUBT)}"


def _remedy(outcome: Outcome, event: Event | None = None, code: int = 0) -> Hint:
    match outcome:
        case Outcome.SUCCESS:
            return said(_("Look at remaining_fee: it says what the checkout still needs."))
        case Outcome.PENDING | Outcome.UNKNOWN:
            return _lines(advice.ASK)
        case Outcome.CONFLICT:
            return _lines(advice.DECIDE)
        case Outcome.BLOCKED:
            return _lines((N_("See what is open:"), Type(("pending",))))
        case _:
            return said(advice.remedy(outcome, event, code))


def _lines(lines: Sequence[str | Say | Type]) -> Hint:
    """`lines` of advice with names where a payment's own values would stand."""
    return advice.filled(lines, request_id="REQUEST_ID", due_fee="FEN", profile="NAME")
