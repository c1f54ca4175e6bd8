"""What may be asked for: every bad value is refused before anything is sent, by name and reason."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenes import DEFAULTS

from posctl.errors import UsageError
from posctl.money.codes import codes_of, masked, without_codes
from posctl.money.order import (
    FIELDS,
    MAX_FILE_BYTES,
    Limits,
    PayRequest,
    check,
    intent,
    read_file,
    request_id,
    yuan,
)
from posctl.shell import as_text

FLAGS = {"pay_fee": "100", "checkout_id": "111"}


def order(flags: dict[str, str] | None = None, file: Any = None, **how: Any) -> PayRequest:
    limits = Limits(**({"max_fee": 500_000} | how))
    return check(FLAGS | (flags or {}), file or {}, DEFAULTS, limits)


def refused(flags: dict[str, str] | None = None, file: Any = None, **how: Any) -> UsageError:
    with pytest.raises(UsageError) as caught:
        order(flags, file, **how)
    return caught.value


def test_three_flags_are_a_whole_payment() -> None:
    """Shop, fee and checkout are enough; the rest comes from the profile and the API page."""
    wire = json.loads(order().wire("75626abc-452d-486e-970d-e65e12fc1456"))
    assert wire == {
        "operator_id": "123",
        "request_id": "75626abc-452d-486e-970d-e65e12fc1456",
        "machine_id": "001",
        "buyer_id": 1,
        "pay_channel": "alipay_facepay_v2",
        "source": "hema",
        "pay_fee": 100,
        "shop_id": "1",
        "payment_channel": 1006,
        "payer_id": 3,
        "checkout_id": "111",
        "merchant_code": "HM",
        "order_id": "111",
    }


def test_the_17_members_of_the_page() -> None:
    """No member of the API page is missing, none is made up."""
    assert len(FIELDS) == 17


def test_flags_win_over_the_file_the_file_over_the_profile() -> None:
    """The nearest word counts."""
    file = {"operator_id": "from-file", "machine_id": "from-file", "pay_fee": 7}
    members = order({"operator_id": "from-flag"}, file).members
    assert members["operator_id"] == "from-flag"
    assert members["machine_id"] == "from-file"
    assert members["merchant_code"] == "HM"
    assert members["pay_fee"] == 100


BAD_FEES = [
    "0", "-5", "+5", "1_000", " 100", "100 ", "1.5", "1e3", "１００", "٣", "￥100", "1,000", "",
    "0100", "0x10", "100\n", "1" * 13, "9" * 20, "9" * 5000, "1\x00", "²", "100元",
]  # fmt: skip


@pytest.mark.parametrize("fee", BAD_FEES, ids=lambda f: ascii(f)[:20])
def test_bad_fee(fee: str) -> None:
    """A fee is plain ASCII digits from 1; everything else is named and refused."""
    error = refused({"pay_fee": fee})
    assert error.code == "bad_pay_fee"
    assert "--fee" in error.message
    assert "100" in error.message


def test_fee_over_the_limit() -> None:
    """An amount typed twice stops at max_fee, in fen and in yuan."""
    assert order({"pay_fee": "500000"}).pay_fee == 500_000
    error = refused({"pay_fee": "500001"})
    assert error.code == "pay_fee_over_max"
    assert "5000.01" in error.message
    assert "500000" in as_text(error.hint)


BAD_IDENTIFIERS = [
    "", " ", "a b", "a\n", "\x00", "a\tb", "\u200b", "a\u200db", "\u202eabc", "\u2066x", "\ufeff1",
    "\xa0", "\u3000", "x" * 129, "x" * 10_240, "\ud800", "\x7f", "\x1b[31m", "\u2028", "\u3164",
    "\ufe0f", "\U000e0041", "\xad",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD_IDENTIFIERS, ids=lambda t: ascii(t)[:20])
@pytest.mark.parametrize("name", ["checkout_id", "operator_id", "order_id", "channel_account"])
def test_bad_identifier(name: str, text: str) -> None:
    """What nobody can see cannot tell two checkouts apart; the message names the character."""
    error = refused({name: text})
    assert error.code == f"bad_{name}"
    assert text == "" or len(error.message) < 200
    assert error.message.isprintable()


@pytest.mark.parametrize("text", ["-1", "--x", "订单-1", "A/b.c", "é", "x" * 128])
def test_good_identifier(text: str) -> None:
    """Visible characters of any script are fine, a leading hyphen too."""
    assert order({"checkout_id": text}).checkout_id == text


@pytest.mark.parametrize("text", ["01", "1.0", "-1", "１", "", "a", "9" * 19, "1" * 20])
def test_bad_number(text: str) -> None:
    """shop_id and the numeric members are digits of a 64-bit integer, in one spelling only."""
    assert refused({"shop_id": text}).code == "bad_shop_id"
    assert refused({"buyer_id": text}).code == "bad_buyer_id"


@pytest.mark.parametrize("missing", ["pay_fee", "checkout_id"])
def test_missing(missing: str) -> None:
    """What is missing is named together with the flag that sets it."""
    with pytest.raises(UsageError) as caught:
        check({k: v for k, v in FLAGS.items() if k != missing}, {}, DEFAULTS, Limits(1000))
    assert missing in caught.value.message
    assert FIELDS[missing].flag in as_text(caught.value.hint)


def test_all_that_is_missing_is_named_at_once() -> None:
    """Nobody is sent round once for each member: all are named, with all flags."""
    defaults = {k: v for k, v in DEFAULTS.items() if k not in ("buyer_id", "source")}
    with pytest.raises(UsageError) as caught:
        check(FLAGS, {}, defaults, Limits(1000))
    assert "buyer_id, source" in caught.value.message
    assert "--buyer, --source" in as_text(caught.value.hint)
    assert "defaults" in as_text(caught.value.hint)


UUID = "75626abc-452d-486e-970d-e65e12fc1456"


@pytest.mark.parametrize(
    "text", [UUID, UUID.upper(), f"{{{UUID}}}", f"urn:uuid:{UUID}", f"URN:UUID:{UUID.upper()}",
             UUID.replace("-", "")]
)  # fmt: skip
def test_one_id_in_every_spelling(text: str) -> None:
    """A UUID in braces, as URN, in capitals is one id: a respelled repeat is still a repeat."""
    assert request_id(text, "--request-id") == UUID


@pytest.mark.parametrize("text", ["till-1.2026_001", "A" * 64, "8letters"])
def test_own_ids(text: str) -> None:
    """A shop's own ids pass as they are."""
    assert request_id(text, "x") == text


@pytest.mark.parametrize(
    "text", ["", "short", "a" * 65, "with space", "ｆｕｌｌwidth", "a/b/c/d/e", UUID + "\n",
             "00000000-0000-0000-0000-000000000000", f"{{{UUID}", "日本語日本語日本"]
)  # fmt: skip
def test_bad_ids(text: str) -> None:
    """Anything else, the nil UUID included, is refused."""
    if text == f"{{{UUID}":
        assert request_id(text, "x") == UUID  # a lost brace is a spelling, too
        return
    with pytest.raises(UsageError):
        request_id(text, "x")


def test_scanned_twice_and_other_wrong_scans() -> None:
    """A code that came twice, track data and card numbers are refused; wallet codes pass."""
    code = "283456789012345678"
    assert order({"channel_account": code}).codes == (code,)
    assert "twice" in refused({"channel_account": code * 2}).message
    for track in (
        "%B4111111111111111^A/B^2512",
        ";4111111111111111=2512",
        "4111111111111111=25121",
    ):
        assert "track" in refused({"channel_account": track}).message
    assert "card number" in refused({"channel_account": "4111111111111111"}).message
    assert order({"channel_account": "4111111111111111"}, allow_card_numbers=True).codes
    assert order({"channel_account": "4111111111111112"}).codes


@given(st.from_regex(r"(2[5-9]|30)[0-9]{14,22}|1[0-5][0-9]{16}|62[0-9]{17}", fullmatch=True))
def test_no_wallet_code_is_taken_for_a_card(code: str) -> None:
    """A payment code whose digits pass Luhn's check by chance still pays."""
    half = len(code) // 2
    if code[:half] * 2 != code:
        assert order({"channel_account": code}).codes == (code,)


# ── the JSON file ────────────────────────────────────────────────────────────────────────────


def test_nested_and_flat_files_are_the_same() -> None:
    """Either shape of the file gives the same payment; shop_id may be number or text."""
    flat = {"shop_id": 1, "pay_fee": 100, "checkout_id": "111", "attributes": "", "buyer_id": None}
    nested = {"shop_id": "1", "pay_request": {k: v for k, v in flat.items() if k != "shop_id"}}
    for tree in (flat, nested):
        members = read_file(json.dumps(tree).encode(), "order.json")
        assert check({}, members, DEFAULTS, Limits(100)).wire("12345678") == (
            check({"attributes": ""} | FLAGS, {}, DEFAULTS, Limits(100)).wire("12345678")
        )


BAD_FILES = {
    "empty": b"",
    "repeated": b'{"pay_fee":1,"pay_fee":2}',
    "repeated inside": b'{"pay_request":{"pay_fee":1,"pay_fee":2}}',
    "nan": b'{"pay_fee":NaN}',
    "infinity": b'{"pay_fee":-Infinity}',
    "1e400": b'{"pay_fee":1e400}',
    "1e2": b'{"pay_fee":1e2}',
    "float": b'{"pay_fee":100.0}',
    "huge": b'{"pay_fee":' + b"1" * 5000 + b"}",
    "deep": b"[" * 100_000,
    "deep object": b'{"a":' * 50_000,
    "bom": b'\xef\xbb\xbf{"pay_fee":100}',
    "utf-16": '{"pay_fee":100}'.encode("utf-16"),
    "utf-16-le": '{"pay_fee":100}'.encode("utf-16-le"),
    "latin-1": '{"order_id":"é"}'.encode("latin-1"),
    "100 MB": b" " * (MAX_FILE_BYTES + 1),
    "unknown": b'{"paid_fee":100}',
    "misspelt": b'{"chekout_id":"111"}',
    "string for a number": b'{"pay_fee":"100"}',
    "number for a string": b'{"checkout_id":111}',
    "boolean": b'{"pay_fee":true}',
    "list": b'{"checkout_id":["111"]}',
    "array": b"[]",
    "two objects": b"{}{}",
    "comment": b'{} // "x"',
    "beside pay_request": b'{"pay_request":{},"pay_fee":1}',
    "no object inside": b'{"pay_request":"x"}',
    "two shops": b'{"shop_id":1,"pay_request":{"shop_id":"2"}}',
    "lone surrogate": b'{"checkout_id":"\\ud800"}',
    "control": b'{"checkout_id":"a\\u0000"}',
}


@pytest.mark.parametrize("raw", BAD_FILES.values(), ids=BAD_FILES)
def test_bad_file(raw: bytes) -> None:
    """A file that is not plainly one payment is refused, and nothing of its text is repeated."""
    with pytest.raises(UsageError) as caught:
        check(FLAGS, read_file(raw, "order.json"), DEFAULTS, Limits(500_000))
    assert re.search("order.json|in the file", caught.value.message)
    assert caught.value.message.isprintable()


def test_a_misspelt_member_names_the_nearest() -> None:
    """A typo is answered with the name that was meant."""
    with pytest.raises(UsageError) as caught:
        read_file(b'{"chekout_id":"111"}', "order.json")
    assert "checkout_id" in as_text(caught.value.hint)


@given(st.binary(max_size=200))
def test_any_bytes_as_a_file(raw: bytes) -> None:
    """No file can make the reader raise anything but a usage error."""
    try:
        check({}, read_file(raw, "f"), {}, Limits(1))
    except UsageError as error:
        assert error.message.isprintable()


@given(st.dictionaries(st.sampled_from(list(FIELDS)), st.text(max_size=40)))
def test_any_flags(flags: dict[str, str]) -> None:
    """Whatever is typed is either refused with a printable reason or goes on the wire unchanged."""
    try:
        asked = check(FLAGS | flags, {}, DEFAULTS, Limits(500_000))
    except UsageError as error:
        assert error.message.isprintable()
        return
    sent = json.loads(asked.wire("12345678"))
    for name, text in flags.items():
        if name != "request_id":
            assert str(sent[name]) == text


# ── codes ────────────────────────────────────────────────────────────────────────────────────


def test_codes_are_masked_in_the_record_and_cut_out_of_answers() -> None:
    """Both code fields are treated alike, and sameness does not look at them."""
    one = order({"channel_account": "283456789012345678", "alipay_account": "286086843311281758"})
    wire = one.wire("12345678")
    assert codes_of(wire) == one.codes == ("283456789012345678", "286086843311281758")
    for code in one.codes:
        assert code not in masked(wire)
        assert code not in repr(one)
        assert code not in without_codes(f"code {code} used", one.codes)
    assert intent(wire) == intent(order().wire("other-id"))
    assert intent(wire) != intent(order({"pay_fee": "101"}).wire("12345678"))


def test_yuan() -> None:
    """Fen as yuan, to the fen."""
    assert [yuan(f) for f in (0, 1, 99, 100, 12345, -5)] == [
        "0.00", "0.01", "0.99", "1.00", "123.45", "-0.05",
    ]  # fmt: skip
