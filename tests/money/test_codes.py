"""Payment codes: what looks like one, how much of it shows, and how it is cut out of texts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenes import CODE

from posctl.money.codes import (
    codes_of,
    codes_typed,
    compact,
    discreet,
    has_one_time_code,
    is_wallet_code,
    mask,
    masked,
    on_training_sheet,
    one_time_code,
    passes_luhn,
    wallet_codes_in,
    without_codes,
)

LONGEST = "30" + "4" * 22
MASKS = {
    CODE: "283456******5678",
    "1234567890123456": "123456******3456",
    "123456789012345": "12******45",
    "1234567890": "12******90",
    "123456789": "******",
    "": "******",
}


@pytest.mark.parametrize(("code", "shown"), MASKS.items())
def test_how_much_of_a_code_shows(code: str, shown: str) -> None:
    """Six and four of 16 characters or more, two and two of ten or more, none of fewer."""
    assert mask(code) == shown


@given(st.text(alphabet="0123456789", min_size=1, max_size=128))
def test_a_mask_hides_enough(code: str) -> None:
    """At most the first six and the last four show, and never half of a short code."""
    shown = mask(code).replace("*", "")
    assert len(shown) <= 10
    assert len(shown) <= len(code) / 1.5
    assert code not in mask(code)


WORDS = {
    f"--fee={CODE}": "--fee=283456******5678",
    "x1234567890x": "x12******90x",
    "123456789": "123456789",
    "": "",
}


@pytest.mark.parametrize(("word", "shown"), WORDS.items())
def test_a_word_with_a_code_in_it_may_be_repeated(word: str, shown: str) -> None:
    """Ten digits in a row, wherever they stand, are masked; fewer are no code."""
    assert discreet(word) == shown


KINDS = {  # what looks like a wallet's code: protocol, section 7
    "25" + "1" * 14: True,
    "29" + "1" * 22: True,
    "30" + "1" * 14: True,
    LONGEST: True,
    LONGEST + "4": False,
    "25" + "1" * 13: False,
    "24" + "1" * 16: False,
    "31" + "1" * 16: False,
    "10" + "1" * 16: True,
    "15" + "1" * 16: True,
    "16" + "1" * 16: False,
    "10" + "1" * 15: False,
    "10" + "1" * 17: False,
    "62" + "1" * 17: True,
    "62" + "1" * 16: False,
    "62" + "1" * 18: False,
    "": False,
}


@pytest.mark.parametrize(("code", "is_one"), KINDS.items())
def test_what_looks_like_a_wallets_code(code: str, is_one: bool) -> None:
    """25 to 30 and 16 to 24 digits, 10 to 15 and 18 digits, 62 and 19 digits; whole."""
    assert is_wallet_code(code) is is_one
    assert one_time_code({"channel_account": code}) == (code if is_one else None)
    assert has_one_time_code(json.dumps({"channel_account": code})) is is_one
    assert wallet_codes_in(f"a{code}, b") == ({code} if is_one else frozenset())


def test_only_the_codes_own_field_holds_a_wallets_code() -> None:
    """An account or a card number pays as often as it is sent: it is none."""
    assert one_time_code({"alipay_account": CODE}) is None
    assert one_time_code({}) is None
    assert not has_one_time_code("{}")


def test_the_training_sheet() -> None:
    """Codes that cashiers scan again and again: 14 fixed digits and four of their own."""
    assert on_training_sheet("280000000000001234")
    assert not on_training_sheet("2800000000000012345")
    assert not on_training_sheet(CODE)


TYPED = {
    (CODE,): (CODE,),
    ("pay", f"]Q1{CODE}", "--fee"): (CODE,),
    (CODE + CODE,): (CODE + CODE,),
    (f"{CODE} {LONGEST}", CODE): (CODE, LONGEST),
    ("100", "20260101-000111"): (),
}


@pytest.mark.parametrize(("words", "found"), TYPED.items(), ids=str)
def test_codes_in_a_command_line(words: tuple[str, ...], found: tuple[str, ...]) -> None:
    """One alone, several in one run of digits, or one behind a scanner's mark; each once."""
    assert codes_typed(words) == found


def test_a_record_shows_no_whole_code() -> None:
    """Both fields that may hold one are masked; all else stays as it is."""
    members = {"channel_account": CODE, "alipay_account": "123456", "order_id": CODE, "名": 1}
    shown = {"channel_account": mask(CODE), "alipay_account": "******", "order_id": CODE, "名": 1}
    assert masked(compact(members)) == compact(shown)
    assert codes_of(compact(members)) == (CODE, "123456")
    assert codes_of(compact({"alipay_account": 123456})) == ("123456",)
    assert (masked('{"名": 1}'), codes_of('{"名": 1}')) == ('{"名": 1}', ())
    assert (masked("erased"), codes_of("erased")) == ("erased", ())  # not even JSON


def test_a_record_is_compact_and_in_everybodys_letters() -> None:
    """No blank between members, no letter spelled as a number."""
    assert compact({"名": "店", "n": 1}) == '{"名":"店","n":1}'


ODD = 'x"b/店1234'  # a code of one's own, which JSON may spell in three ways
CUT = {
    "code 283456789012345678 used": "code 283456******5678 used",
    "283456789012345678283456789012345678": "283456******5678283456******5678",
    "another, 283456789012345679": "another, 283456789012345679",
    "": "",
}


@pytest.mark.parametrize(("text", "left"), CUT.items())
def test_a_text_loses_its_codes(text: str, left: str) -> None:
    """Every whole code is masked, and nothing else."""
    assert without_codes(text, (CODE,)) == left


@pytest.mark.parametrize(
    "spelled", [ODD, json.dumps(ODD)[1:-1], 'x"b\\/店1234'], ids=["plain", "JSON", "slash"]
)
def test_a_code_is_found_however_json_spells_it(spelled: str) -> None:
    """Quotes, letters beyond ASCII and the slash may be written in more than one way."""
    assert without_codes(f"<{spelled}>", (ODD,)) == "<******>"


@pytest.mark.parametrize("n", range(len(CODE)))
def test_a_text_that_was_cut_within_a_code_loses_the_rest(n: int) -> None:
    """Seven characters of it or more at the end are cut off; fewer tell nothing."""
    left = without_codes(f"used: {CODE[:n]}", (CODE,))
    assert left == ("used: " if n >= 7 else f"used: {CODE[:n]}")


def test_what_is_too_short_is_no_secret() -> None:
    """Six characters are masked; five would eat ids that happen to contain them."""
    assert without_codes("id 123456, 123456", ("123456",)) == "id ******, ******"
    assert without_codes("id 12345", ("12345",)) == "id 12345"


LUHN = ["79927398713", "4111111111111111", "6222021234567894", "0", "18"]


@pytest.mark.parametrize("number", LUHN)
def test_a_cards_check_digit(number: str) -> None:
    """With its own check digit a card's number passes, with any other it does not."""
    for digit in "0123456789":
        assert passes_luhn(number[:-1] + digit) is (digit == number[-1])
