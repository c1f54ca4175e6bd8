"""What a payment code does at the training gateway, as test cards do elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

from posctl.messages import N_
from posctl.money.codes import on_training_sheet


class Says(Enum):
    """What the gateway answers to one call, or does instead of answering."""

    PAID = auto()
    CONTRADICTION = auto()
    FAILED = auto()
    CODE_USED = auto()
    CODE_INVALID = auto()
    FINISHED = auto()
    IN_PROGRESS = auto()
    BUSY = auto()
    ANOTHERS = auto()
    PENDING = auto()
    LIMITED = auto()
    SYSTEM_ERROR = auto()
    ISV_ERROR = auto()
    GARBAGE = auto()
    HTML_502 = auto()
    TRUNCATED = auto()
    HANG = auto()
    CUT = auto()


@dataclass(frozen=True, slots=True)
class Step:
    """One call's part: whether it charges (once per request_id, whatever is asked), and says."""

    says: Says
    charges: bool = False


_PAID = Step(Says.PAID, charges=True)
_FAILED = Step(Says.FAILED)
_PENDING = Step(Says.PENDING)
_LOST = Step(Says.CUT, charges=True)


@dataclass(frozen=True, slots=True)
class Scenario:
    """`first` is for the first call with a request_id, `then` for all later ones.

    `rest_percent` of the first pay_fee is what a new checkout still needs after it, or `whole` fen
    are what it is of in all. With
    `per_checkout` the first call on the checkout is meant: a client may come back under another
    request_id after a refusal.
    """

    code: str
    what: str
    first: Step
    then: Step
    rest_percent: int = 0
    per_checkout: bool = False
    whole: int = 0

    def step(self, earlier_calls: int) -> Step:
        return self.then if earlier_calls else self.first

    def total(self, pay_fee: int) -> int:
        """The whole of a new checkout, in fen, when its first payment is `pay_fee`."""
        if self.whole:
            return max(self.whole, pay_fee)
        if not self.rest_percent:
            return pay_fee
        return pay_fee + -(-pay_fee * self.rest_percent // 100)


def _code(number: int) -> str:
    """18 digits that begin with 28: an Alipay code, and no card number."""
    return f"{280000000000000000 + number}"


# The numbers are on people's training sheets: add at the end, never renumber.
SCENARIOS = (
    Scenario(_code(1), N_("success"), _PAID, _PAID),
    Scenario(_code(2), N_("partial success: a rest stays due"), _PAID, _PAID, rest_percent=23),
    Scenario(_code(3), N_("fail"), _FAILED, _FAILED),
    Scenario(_code(4), N_("pending, then success"), _PENDING, _PAID),
    Scenario(_code(5), N_("pending, then fail"), _PENDING, _FAILED),
    Scenario(_code(6), N_("timeout before the charge"), Step(Says.HANG), _PAID),
    Scenario(_code(7), N_("timeout after the charge"), Step(Says.HANG, charges=True), _PAID),
    Scenario(_code(8), N_("connection cut before the charge"), Step(Says.CUT), _PAID),
    Scenario(_code(9), N_("connection cut after the charge"), Step(Says.CUT, charges=True), _PAID),
    Scenario(
        _code(10), N_("rate limit, then success"), Step(Says.LIMITED), _PAID, per_checkout=True
    ),
    Scenario(_code(11), N_("system error, then success"), Step(Says.SYSTEM_ERROR), _PAID),
    Scenario(_code(12), N_("garbage after the charge"), Step(Says.GARBAGE, charges=True), _PAID),
    Scenario(_code(13), N_("pending forever"), _PENDING, _PENDING),
    Scenario(
        _code(14),
        N_("an answer that contradicts itself"),
        Step(Says.CONTRADICTION, charges=True),
        Step(Says.CONTRADICTION, charges=True),
    ),
    Scenario(_code(15), N_("fail: code already used"), Step(Says.CODE_USED), Step(Says.CODE_USED)),
    Scenario(
        _code(16), N_("refused: invalid parameter"), Step(Says.ISV_ERROR), Step(Says.ISV_ERROR)
    ),
    Scenario(_code(17), N_("HTTP 502 after the charge"), Step(Says.HTML_502, charges=True), _PAID),
    Scenario(
        _code(18),
        N_("answer cut short after the charge"),
        Step(Says.TRUNCATED, charges=True),
        _PAID,
    ),
    # What real platforms say of the repeat of a payment that they have charged.
    Scenario(
        _code(19),
        N_("cut after the charge, then: code invalid (Alipay)"),
        _LOST,
        Step(Says.CODE_INVALID),
    ),
    Scenario(
        _code(20),
        N_("cut after the charge, then: order paid (WeChat)"),
        _LOST,
        Step(Says.FINISHED),
    ),
    Scenario(
        _code(21),
        N_("cut after the charge, then: still paying (WeChat)"),
        _LOST,
        Step(Says.IN_PROGRESS),
    ),
    Scenario(
        _code(22), N_("cut after the charge, then: system error (Alipay)"), _LOST, Step(Says.BUSY)
    ),
    Scenario(
        _code(23),
        N_("cut after the charge, then: another payment's answer"),
        _LOST,
        Step(Says.ANOTHERS),
    ),
    Scenario(
        _code(5800),
        N_("a split: the last four digits are the whole checkout in fen, here ￥58.00"),
        _PAID,
        _PAID,
        whole=5800,
    ),
)
SPLIT = len(SCENARIOS) - 1
LEAST_WHOLE = 100  # fen: smaller numbers are scenes
_BY_CODE = {scenario.code: scenario for scenario in SCENARIOS}


def chosen_by(members: Mapping[str, object]) -> Scenario:
    """The scenario of a pay_request's members; without a known code, success."""
    code = str(members.get("channel_account") or members.get("alipay_account"))
    if on_training_sheet(code) and code not in _BY_CODE and int(code[-4:]) >= LEAST_WHOLE:
        return replace(SCENARIOS[SPLIT], code=code, whole=int(code[-4:]))
    return _BY_CODE.get(code, SCENARIOS[0])


def number_of(scenario: Scenario) -> int:
    """Its place in SCENARIOS, for the ledger."""
    return SPLIT if scenario.whole else SCENARIOS.index(scenario)
