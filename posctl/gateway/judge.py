"""From an answer to an event: which row of the event table it is (docs/outcomes.md). Pure."""

from collections.abc import Collection, Mapping

from posctl.gateway.top import Answer, ErrorAnswer, Reply, Unreadable
from posctl.money.outcome import FAILED_AS, REFUSED_AS, Event
from posctl.money.refusal import speaks_of

# Codes with which TOP refuses a call before the business sees it (protocol, section 6).
_GATEWAY_CODES = frozenset(
    {4, 5, 6, 7, 8, 9, 11, 12, 13, *range(20, 35), 40, 41, 42, 43, 45, 47, 53}
)


# They look transient and are not: the app key is unknown, the parameters are malformed.
_GATEWAY_SUB_CODES = frozenset({"isp.get-app-error", "isp.top-mapping-parse-error"})


_BY_SUB_CODE = frozenset({15, 50})


def read_event(
    reply: Reply,
    http_status: int,
    known_voucher: str | None,
    *,
    ids: Mapping[str, str] | None = None,
    declines: Collection[str] = (),
) -> Event:
    """Which event an answer is.

    `known_voucher` is a payment_order_id recorded earlier, `ids` are the payment's own by their
    API names, `declines` the profile's `decline_codes`.
    """
    if isinstance(reply, Unreadable):
        if 300 <= http_status < 400:
            return Event.REDIRECT
        return Event.NOT_TOP if 200 <= http_status < 300 else Event.HTTP_ERROR
    if isinstance(reply, ErrorAnswer):
        return _error_event(reply, declines)
    if ids and _is_anothers(reply, ids):
        return Event.ANOTHERS
    return _verdict_event(reply, known_voucher, declines)


def _error_event(error: ErrorAnswer, declines: Collection[str]) -> Event:
    sub_code = (error.sub_code or "").lower()
    if sub_code in _GATEWAY_SUB_CODES or error.code in _GATEWAY_CODES:
        return Event.GATEWAY_REFUSED
    if error.code in _BY_SUB_CODE and sub_code.startswith("isv."):
        # TOP's own `msg` is the same for every one of them: "Remote service error".
        return REFUSED_AS[speaks_of((error.sub_code, error.sub_msg), declines)]
    return Event.SYSTEM_ERROR


def _is_anothers(answer: Answer, ids: Mapping[str, str]) -> bool:
    """Whether the model names a payment, and not this one."""
    named = ((answer.text(name), own) for name, own in ids.items())
    return any(name is not None and name.lower() != own.lower() for name, own in named)


def _verdict_event(answer: Answer, known_voucher: str | None, declines: Collection[str]) -> Event:
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
        return FAILED_AS[speaks_of((*told, answer.msg_code, answer.msg_info), declines)]
    if answer.outer_success is False or answer.model_success is False:
        return Event.CONTRADICTION
    return Event.PAID
