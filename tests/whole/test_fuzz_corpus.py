"""The four parsers, on what fuzzing found and on trees made like the real ones.

The corpus is libFuzzer's (`fuzz/fuzz.py`): each file went a way through the code that no other did,
or once broke something.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fuzz.targets import CANARY, CODE, STATUSES, TARGETS, answer, config, request_file, typed
from hypothesis import given
from hypothesis import strategies as st

from posctl.gateway.top import MAX_TEXT
from posctl.money.codes import without_codes
from posctl.money.order import FIELDS

CORPUS = Path(__file__).parents[1] / "harness" / "fuzz" / "corpus"
FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_corpus(path: Path) -> None:
    """What the fuzzer found is read or refused as the parser's properties say."""
    TARGETS[path.parent.name](path.read_bytes())


def test_the_corpus_is_small_and_whole() -> None:
    """Every parser has seeds, few and tiny enough to replay at every change."""
    assert {path.parent.name for path in FILES} == set(TARGETS)
    assert len(FILES) < 200
    assert all(path.stat().st_size <= 1024 for path in FILES)


# ── trees like the real ones ─────────────────────────────────────────────────────────────────

WORDS = st.sampled_from(
    ["", "1", '"1"', " 1", "true", "FALSE", "\u202e", "\ud800", "\x1b[31m", "[/red]", "paid", CODE]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([1, 2, 3])
    | st.floats()
    | WORDS
    | st.text(max_size=20)
)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3)
)


def some(*names: str, values: st.SearchStrategy[Any] = TREES) -> st.SearchStrategy[dict[str, Any]]:
    """An object that has some of these members."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, values))


MODEL = some(
    *("result_status", "remaining_fee", "current_pay_fee", "current_payment_channel", "success"),
    *("payment_order_id", "channel_order_id", "result_code", "result_message", "is_success"),
)
RESULT = st.fixed_dictionaries(
    {},
    optional={"model": MODEL | LEAVES, "is_success": LEAVES, "success": LEAVES, "msg_code": LEAVES},
)
ERROR = some("code", "msg", "sub_code", "sub_msg", "request_id", values=LEAVES)
ANSWER = st.one_of(
    st.fixed_dictionaries({"alibaba_pos_order_pay_response": some("result", values=RESULT)}),
    some("result", values=RESULT),
    st.fixed_dictionaries({"error_response": ERROR}),
)


@given(ANSWER, st.integers(0, 255))
def test_answers_like_the_real_ones(tree: dict[str, Any], how: int) -> None:
    """Any value in any member of an answer is read and kept; it is paid only when it says so."""
    answer(bytes([how]) + json.dumps(tree).encode())


@given(st.sampled_from(STATUSES), st.text(alphabet="<>/a&;#x![]-\"' \n", max_size=60))
def test_answers_like_xml(status: int, text: str) -> None:
    """No XML, whole or broken, raises anything."""
    answer(bytes([STATUSES.index(status)]) + f"<result>{text}</result>".encode())


@given(some(*FIELDS, "pay_request", CANARY, values=TREES | some(*FIELDS, values=LEAVES)))
def test_files_like_the_real_ones(tree: dict[str, Any]) -> None:
    """Any value in any member of a request file is refused, or reads back as it was written."""
    request_file(json.dumps(tree).encode())


SCALARS = st.sampled_from(
    [
        "5",
        "0",
        "1e3",
        "hmac",
        "true",
        "null",
        "~",
        "''",
        CANARY,
        "'\u202e'",
        '"\\0"',
        "[a]",
        "{a: b}",
    ]
)
PROFILE_KEYS = (
    *("gateway", "app_key", "secret", "secret_file", "secret_env", "session", "timeout", "max_fee"),
    *("sign_method", "proxy", "ca", "defaults", "status_words", "allow_card_numbers", CANARY),
)


@given(st.dictionaries(st.sampled_from(PROFILE_KEYS), SCALARS), st.booleans())
def test_configurations_like_the_real_ones(keys: dict[str, str], whole: bool) -> None:
    """Any value under any key of a profile is read within bounds or refused without the secret."""
    good = {"gateway": "https://gw.example/", "app_key": "'1'", "secret": CANARY} if whole else {}
    lines = "".join(f"    {key}: {value}\n" for key, value in (good | keys).items())
    config(f"profiles:\n  store-1:\n{lines}".encode())


@given(st.integers(0, 255), st.lists(st.sampled_from(["--fee", "--", "-1", CODE]) | st.text()))
def test_command_lines(how: int, words: list[str]) -> None:
    """Whatever is typed or scanned is taken as it stands or refused."""
    typed(bytes([how]) + "\n".join(words).encode("utf-8", "replace"))


def test_a_code_cut_off_at_the_end_of_a_text_is_no_code() -> None:
    """A text is kept up to a length: what is left of a code there is masked as well."""
    for left in range(7, len(CODE)):
        text = without_codes("x" * 1000 + CODE[:left], (CODE,))
        assert not text.endswith(CODE[:7])
    assert without_codes("seen 28345", (CODE,)) == "seen 28345"
    long = "x" * (MAX_TEXT - 17) + CODE
    answer(b"\0" + json.dumps({"error_response": {"code": 15, "sub_msg": long}}).encode())
