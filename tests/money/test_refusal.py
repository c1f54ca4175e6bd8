"""What a refusal speaks of: the words of real platforms, and the table in docs/outcomes.md."""

from __future__ import annotations

import open_figures
import pytest
from wordings import PAGE, WORDINGS, Wording, comes_to, written

from posctl.money.outcome import Outcome
from posctl.money.refusal import DECLINES, Speaks, speaks_of


def test_the_table_is_of_this_state_of_the_code() -> None:
    """docs/outcomes.md shows what every wording comes to: `harness/wordings.py` writes it."""
    assert written(PAGE.read_text()) == PAGE.read_text()


def test_the_figures_are_of_this_state_of_the_code() -> None:
    """docs/outcomes.md shows how many stay open; `open_figures.py` of the harness writes it. Nobody
    who was charged is told otherwise.
    """
    assert open_figures.written(PAGE.read_text()) == PAGE.read_text()
    assert open_figures.figures(old=False).wrong == 0


def test_there_are_many_wordings() -> None:
    """At least 80, each with its source, none twice."""
    assert len(set(WORDINGS)) == len(WORDINGS) >= 80
    assert all(one.source for one in WORDINGS)


@pytest.mark.parametrize("one", WORDINGS, ids=lambda one: f"{one.code}-{one.words}")
def test_only_a_known_decline_closes_what_is_unknown(one: Wording) -> None:
    """After a try without an answer a refusal closes the payment only by words that exclude an
    earlier charge; who is told "not charged" then is told so in every other situation, too.
    """
    own, given, pending, unknown = comes_to(one)
    assert unknown in (Outcome.FAIL, Outcome.UNKNOWN)
    assert pending in (Outcome.FAIL, Outcome.PENDING)
    if unknown is Outcome.FAIL:
        assert {own, given, pending} == {Outcome.FAIL}
        assert speaks_of((one.code, one.words)) is Speaks.DECLINE
    if given is Outcome.FAIL:
        assert own is Outcome.FAIL


@pytest.mark.parametrize("one", DECLINES, ids=lambda one: one.code)
def test_a_known_decline_is_known_by_its_code(one: object) -> None:
    """Whatever words come with it, with or without its prefix."""
    code = getattr(one, "code", "")
    for spelled in (code, code.removeprefix("ACQ."), code.lower()):
        assert speaks_of((spelled, None)) is Speaks.DECLINE


def test_the_profiles_own_codes() -> None:
    """`decline_codes` are compared whole, whatever the case."""
    assert speaks_of(("E_4711", "sorry")) is Speaks.OTHER
    assert speaks_of(("E_4711", "sorry"), ["e_4711"]) is Speaks.DECLINE
    assert speaks_of(("E_4711_2", "sorry"), ["E_4711"]) is not Speaks.DECLINE


@pytest.mark.parametrize("code", ["SUCCESS", " ok ", "操作成功"])
def test_a_call_that_went_well_says_nothing_of_the_payment(code: str) -> None:
    """Some platforms put "success" beside a decline: it is of the call."""
    assert speaks_of((code, None)) is Speaks.OTHER
    assert speaks_of((code, "余额不足")) is Speaks.DECLINE


@pytest.mark.parametrize(
    "words",
    [
        "为防止重复支付风险，请勿重试",
        "余额不足，订单号重复",
        "该订单已支付，余额不足",
        "order already paid, insufficient balance",
        "付款码已失效",
        "unsuccessful",
    ],
)
def test_words_that_only_look_like_a_decline(words: str) -> None:
    """What speaks of a payment, or a repeat, is no decline, whatever else stands there."""
    assert speaks_of((None, words)) is not Speaks.DECLINE
