"""The protocol: what is signed, what travels, how answers are read."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posctl.gateway import top

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "harness" / "data" / "sign_vectors.json").read_text()
)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["name"])
def test_sign_vector(vector: dict[str, Any]) -> None:
    """Every published or captured signature vector comes out to the letter."""
    params = vector["params"]
    assert top.string_to_sign(params) == vector["string_to_sign"]
    assert top.sign(params, vector["secret"], params["sign_method"]) == vector["sign"]


def test_timestamp_is_gmt8_whatever_the_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A till in New York signs with China's time."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    assert top.timestamp(1451620800) == "2016-01-01 12:00:00"
    monkeypatch.undo()
    time.tzset()


def test_everything_travels_in_the_body_and_is_what_was_signed() -> None:
    """The form decodes to exactly the signed parameters, non-ASCII as raw UTF-8."""
    form = top.signed_form(
        top.PAY_METHOD,
        {"shop_id": "1", "pay_request": '{"order_id":"订单 1"}'},
        app_key="k",
        secret="s",
        sign_method="hmac-sha256",
        session=None,
        now_s=0.0,
    )
    params = dict(parse_qsl(form.decode(), strict_parsing=True))
    assert params["pay_request"] == '{"order_id":"订单 1"}'
    assert "session" not in params
    assert top.sign(params, "s", "hmac-sha256") == params["sign"]


MODEL = {"result_status": 1, "remaining_fee": 23, "payment_order_id": "9", "is_success": True}


def _json(model: Any = MODEL, **result: Any) -> bytes:
    inner = {"model": model, "is_success": True, "msg_code": "SUCCESS"} | result
    return json.dumps({"alibaba_pos_order_pay_response": {"result": inner}}).encode()


def _answer(body: bytes) -> top.Answer:
    reply = top.read_reply(body, top.PAY_METHOD)
    assert isinstance(reply, top.Answer), reply
    return reply


@pytest.mark.parametrize(
    "body",
    [
        _json(),
        b"\xef\xbb\xbf  " + _json(),
        json.dumps({"result": {"model": MODEL, "is_success": True}}).encode(),
        json.dumps({"result": {"model": MODEL, "success": "true"}, "request_id": "t"}).encode(),
        _json(MODEL | {"result_status": "1", "remaining_fee": '"23"', "is_success": "TRUE"}),
        b"""<?xml version="1.0" encoding="utf-8"?><alibaba_pos_order_pay_response><result><model>
        <payment_order_id>&quot;9&quot;</payment_order_id><remaining_fee>23</remaining_fee>
        <result_status>1</result_status><is_success>true</is_success></model>
        <is_success>true</is_success></result></alibaba_pos_order_pay_response>""",
    ],
    ids=["json", "bom", "simplified", "success", "text", "xml"],
)
def test_lenient_reading(body: bytes) -> None:
    """The same answer in every spelling TOP and its sibling pages use reads the same."""
    answer = _answer(body)
    assert answer.number("result_status") == 1
    assert answer.number("remaining_fee") == 23
    assert answer.text("payment_order_id") == "9"
    assert answer.outer_success is True


def test_the_pages_own_samples_read() -> None:
    """The API page's samples, literal quotes and all, are a success with ￥0.23 to go."""
    page = (Path(__file__).parents[1] / "harness" / "data" / "page_sample.xml").read_bytes()
    answer = _answer(page)
    assert (answer.number("result_status"), answer.number("remaining_fee")) == (1, 23)
    assert answer.text("result_code") == "OPERATION_SUCCESS"
    assert answer.text("channel_order_id") is None
    error = top.read_reply(
        (Path(__file__).parents[1] / "harness" / "data" / "page_error.xml").read_bytes(), "x"
    )
    assert error == top.ErrorAnswer(
        50, "Remote service error", "isv.invalid-parameter", "非法参数", None
    )


def test_big_integers_stay_whole() -> None:
    """An id beyond 2^53 is not rounded, and one beyond 64 bits is not taken for a number."""
    answer = _answer(_json({"payment_order_id": 9007199254740993, "remaining_fee": 10**30}))
    assert answer.text("payment_order_id") == "9007199254740993"
    assert answer.number("remaining_fee") is None


def test_an_explicit_false_wins() -> None:
    """With both names of the flag there, a false one is not overlooked."""
    assert _answer(_json(is_success=True, success=False)).outer_success is False


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"OK",
        b"[]",
        b"null",
        b"1",
        b"{}",
        b'{"result":',
        b'{"alibaba_pos_order_pay_response":[]}',
        b'{"error_response":null}',
        b'{"error_response":{},"alibaba_pos_order_pay_response":{}}',
        b'{"result":{"model":{"result_status":2,"result_status":1}}}',
        b'{"result":{"model":{"result_status":NaN}}}',
        b'{"result":{"model":{"result_status":' + b"9" * 5000 + b"}}}",
        b"[" * 100_000,
        b'{"result":' * 100_000,
        b"<html><body>login</body></html>",
        b"<a>" * 100_000,
        b'<!DOCTYPE x [<!ENTITY a "b">]><error_response><code>&a;</code></error_response>',
        b"<error_response><code>25</code><code>10</code></error_response>",
        b"<error_response><code>25</code>",
        _json().decode().encode("utf-16"),
        b"\xff\xfe\x00",
        b"\x1f\x8b\x08",
    ],
    ids=lambda body: body[:24],
)
def test_what_is_no_top_answer_is_unreadable(body: bytes) -> None:
    """Nothing that could say two things, or nothing, about the money is read as an answer."""
    assert isinstance(top.read_reply(body, top.PAY_METHOD), top.Unreadable)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_without_an_exception(body: bytes) -> None:
    """No answer can make the reader raise."""
    top.read_reply(body, top.PAY_METHOD)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["result_status", "remaining_fee", "is_success", "success", "payment_order_id", "result_code"]
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "model": st.dictionaries(NAMES, JSON) | JSON,
            "is_success": JSON,
            "msg_code": JSON,
        },
    )
)
def test_any_model_is_read_without_an_exception(result: dict[str, Any]) -> None:
    """Whatever types the members have, each reads as a number, a text, a flag or as missing."""
    body = json.dumps({"alibaba_pos_order_pay_response": {"result": result}}).encode()
    reply = top.read_reply(body, top.PAY_METHOD)
    if isinstance(reply, top.Answer):
        for name in ("result_status", "remaining_fee", "payment_order_id", "result_code"):
            number, text = reply.number(name), reply.text(name)
            assert number is None or type(number) is int
            assert text is None or text.encode()
        assert reply.outer_success in (None, True, False)


def _verdict(message: bytes, status: bytes = b"1", flag: bytes = b"true") -> bytes:
    return (
        b'{"alibaba_pos_order_pay_response":{"result":{"is_success":' + flag + b',"model":{'
        b'"result_status":'
        + status
        + b',"remaining_fee":100.0,"result_message":"'
        + message
        + b'"}}}}'
    )


@pytest.mark.parametrize(
    "message",
    [
        b"a\tb\nc\x00",
        "付款成功".encode()[:-1],
        "付款成功".encode("gbk"),
        "余".encode("gbk"),
        b"\xff",
    ],
)
@pytest.mark.parametrize("status", [b"1", b"1.0", b'"1"', b'"1.0"'])
def test_a_damaged_text_hides_no_verdict(message: bytes, status: bytes) -> None:
    """Control characters, a text cut inside a character or in GBK, and 1.0 for 1 are read."""
    answer = top.read_reply(_verdict(message, status), top.PAY_METHOD)
    assert isinstance(answer, top.Answer)
    assert answer.number("result_status") == 1
    assert answer.number("remaining_fee") == 100
    assert answer.outer_success is True


@pytest.mark.parametrize(
    ("flag", "meant"),
    [
        (b'"FAILED"', False),
        (b'"no!"', False),
        (b"0.0", False),
        (b"[]", False),
        (b"1.0", True),
        (b'""', None),
        (b'"null"', None),
        (b"null", None),
    ],
)
def test_a_flag_that_is_neither_true_nor_false_is_no_yes(flag: bytes, meant: bool | None) -> None:
    """Only what says nothing counts as missing."""
    answer = top.read_reply(_verdict(b"", flag=flag), top.PAY_METHOD)
    assert isinstance(answer, top.Answer)
    assert answer.outer_success is meant


def test_an_unknown_sign_method_signs_nothing() -> None:
    """No form leaves with a signature that nobody asked for."""
    with pytest.raises(ValueError, match="sha1"):
        top.sign({"a": "1"}, "s", "sha1")


def test_a_session_travels_signed() -> None:
    """The seller's session is in the form, and in what was signed."""
    form = top.signed_form(
        "m", {}, app_key="k", secret="s", sign_method="md5", session="seller-1", now_s=0.0
    )
    params = dict(parse_qsl(form.decode(), strict_parsing=True))
    assert params["session"] == "seller-1"
    assert top.sign(params, "s", "md5") == params["sign"]


WHYS = {
    b"OK": "not_json",
    b'{"result":': "not_json",
    b"[]": "not_an_object",
    b"{}": "no_top_answer",
    b'{"result":{},"error_response":{}}': "two_answers_in_one",
    b'{"alibaba_pos_order_pay_response":[]}': "empty_answer",
    b'{"error_response":[]}': "empty_error",
    b'{"result":{"a":1,"a":1}}': "repeated_member",
    b'{"result":-Infinity}': "constant_infinity",
    b"<result><a>1</a><a>1</a></result>": "repeated_member",
    b"<result>1</result": "not_xml",
    b"<result><model></result>": "not_xml",
    b"<!DOCTYPE x><result/>": "doctype",
    b"<a>" * 17 + b"</a>" * 17: "no_top_answer",
    b"<a>" * 18 + b"</a>" * 18: "deep_xml",
    b"\xd6": "not_json",
}


@pytest.mark.parametrize(("body", "why"), WHYS.items())
def test_why_it_is_no_answer(body: bytes, why: str) -> None:
    """An unreadable body says what is wrong with it."""
    assert top.read_reply(body, top.PAY_METHOD) == top.Unreadable(why)


@pytest.mark.parametrize("result", [b"null", b"[]", b'"PAID"', b"1"])
def test_an_answer_without_a_result_says_nothing(result: bytes) -> None:
    """It is TOP's all the same, and known by its trace id; nothing in it is a verdict."""
    body = b'{"alibaba_pos_order_pay_response":{"request_id":"t1","result":' + result + b"}}"
    assert _answer(body) == top.Answer(model=None, trace_id="t1")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("付款成功".encode("gbk"), "付款成功"),
        ("余".encode("gbk"), "\ufffd\ufffd"),  # GBK, too; so little is taken for damage
        (b"ok \xd3\xe0\xd3", "ok \ufffd\ufffd\ufffd"),  # half a character of GBK is none
        ("付款成功".encode()[:-1], "付款成\ufffd"),
    ],
)
def test_a_text_in_another_encoding(text: bytes, read: str) -> None:
    """GBK reads as it was meant; one or two bad bytes are a cut text, and the rest of it stays."""
    assert _answer(_verdict(text)).text("result_message") == read


NUMBERS: list[tuple[object, int | None]] = [
    (1 << 53, 1 << 53),
    (float((1 << 53) - 1), (1 << 53) - 1),
    (float(1 << 53), None),
    (-float(1 << 53), None),
    (1.5, None),
    ((1 << 63) - 1, (1 << 63) - 1),
    (1 << 63, None),
    (-(1 << 63), None),
    (True, None),
    (None, None),
    ("-5", -5),
    (' "7.00" ', 7),
    ("7.000", None),
    ("7.5", None),
    ("9" * 18, 10**18 - 1),
    ("9" * 19, None),
    ("", None),
    ("1 2", None),
    ("１", None),
]


@pytest.mark.parametrize(("value", "number"), NUMBERS)
def test_what_is_a_number(value: object, number: int | None) -> None:
    """Whole, exact and within 64 bits, or none: an amount is never rounded or guessed at."""
    assert _answer(_json({"remaining_fee": value})).number("remaining_fee") == number


TEXTS: list[tuple[object, str | None]] = [
    (True, "true"),
    (False, "false"),
    ((1 << 63) - 1, "9223372036854775807"),
    (1 << 63, None),
    (-(1 << 63), None),
    (1.0, None),
    (None, None),
    ([], None),
    ("", None),
    (" a ", "a"),
    ('"a"', "a"),
    ('""', None),
    ('"', '"'),
    ('"a', '"a'),
    ('a"', 'a"'),
    ('""a""', '"a"'),
    ("\ud800", "?"),
    ("a\0b", "a\ufffdb"),
    ("x" * 1025, "x" * 1024),
]


@pytest.mark.parametrize(("value", "text"), TEXTS)
def test_what_is_a_text(value: object, text: str | None) -> None:
    """One pair of quotes is the sample pages' own; what is no text, or too long, is cut or none."""
    assert _answer(_json({"result_code": value})).text("result_code") == text


def test_a_model_that_is_none() -> None:
    """Of an answer without a model nothing is read, and no flag of it."""
    answer = _answer(_json(model=[]))
    assert (answer.model, answer.model_success, answer.outer_success) == (None, None, True)
    assert (answer.number("remaining_fee"), answer.text("result_code")) == (None, None)
    assert answer.msg_code == "SUCCESS"
