"""`posctl explain`: every word that posctl or the platform answers with, and its remedy."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Shop
from hypothesis import given
from hypothesis import strategies as st
from pty_run import pty_run

from posctl import errors
from posctl.errors import AfterSending, PosctlError
from posctl.help import own_codes
from posctl.help.explain import Entry, everything, explain
from posctl.hint import said
from posctl.messages import use_language
from posctl.money import advice
from posctl.money.admit import Block
from posctl.money.outcome import EVENT_TABLE, EXIT_OF, Event, Exit, Outcome
from posctl.money.refusal import DECLINES, Decline
from posctl.shell import as_text

PROTOCOL = Path(__file__).parents[2] / "docs/protocol.md"
CODES = PROTOCOL.read_text().split("## 6. Error codes")[1].split("## 7.")[0]

languages = pytest.mark.parametrize("lang", ["en", "zh"])


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    yield
    use_language("en")


def test_a_closed_window_has_its_code() -> None:
    """What Windows ends a program with whose window was closed promises nothing, as 1."""
    (entry,) = explain("3221225786")
    assert entry.money == of("exit_code", 1).money


def numbers_of_the_protocol() -> list[str]:
    """Every code in the first column of section 6's table."""
    cells = [line.split("|")[1] for line in CODES.splitlines() if re.match(r"\| [0-9]", line)]
    return [number for cell in cells for number in re.findall(r"[0-9]+", cell)]


def sub_codes_of_the_protocol() -> list[str]:
    """Every sub code in section 6, with what the page leaves out of `…-by-x` and `x[:name]`."""
    left_out = {"…-by": "accesscontrol.limited-by", "[:name]": ":shop_id", ":…": ":shop_id"}
    text = CODES
    for short, whole in left_out.items():
        text = text.replace(short, whole)
    return re.findall(r"`((?:isv|isp|accesscontrol)\.[^` …]*)`", text)


def of(kind: str, code: object) -> Entry:
    """The one meaning of `code` among its kind."""
    (entry,) = [one for one in explain(str(code)) if one.kind == kind]
    return entry


WORDS = [
    *(("exit_code", str(int(code))) for code in Exit),
    *(("outcome", outcome.value) for outcome in Outcome),
    *(("result_status", str(status)) for status in (1, 2, 3)),
    ("task", "refund"),
    *(("event", event.value) for event in Event),
    *(("block", block.value) for block in Block),
    *(("error", code) for code in (*own_codes.ERRORS, *own_codes.AS_EXIT)),
    *(("error", code) for code in ("bad_request_id", "missing_note", "journal_corrupt")),
    *(("warning", code) for code in advice.WARNINGS),
    *(("top_code", number) for number in numbers_of_the_protocol()),
    *(("top_code", "101"), ("top_code", "900000001")),
    *(("sub_code", sub_code) for sub_code in sub_codes_of_the_protocol()),
    *(("result_code", "OPERATION_SUCCESS"), ("msg_code", "SUCCESS")),
]


def test_the_protocol_page_was_read() -> None:
    """The codes these tests go through are those of the page, from 3 to 53, sub codes as well."""
    numbers = {int(number) for number in numbers_of_the_protocol()}
    assert {3, 4, 7, 13, 21, 31, 44, 50, 53} <= numbers
    assert len(sub_codes_of_the_protocol()) > 20


@languages
@pytest.mark.parametrize(("kind", "word"), WORDS)
def test_every_word_is_explained(kind: str, word: str, lang: str) -> None:
    """Every word says what it is, what it means for the money, and the remedy."""
    use_language("en")
    english = of(kind, word)
    use_language(lang)
    entry = of(kind, word)
    for text, in_english in zip(entry[2:], english[2:], strict=True):
        if isinstance(text, Outcome) or text is None:
            continue
        words = as_text(said(text))
        assert words.strip()
        assert "{" not in words
        assert (text == in_english) == (lang == "en")
    if kind == "event":
        assert entry.outcome is EVENT_TABLE[Event(word)]


@pytest.mark.parametrize("outcome", Outcome)
def test_an_exit_code_and_its_outcome_say_the_same(outcome: Outcome) -> None:
    """What an exit code means for the money is what its outcome means."""
    by_code, by_word = of("exit_code", int(EXIT_OF[outcome])), of("outcome", outcome)
    if outcome is not Outcome.SUCCESS:  # exit code 0 is every command's
        assert by_code[2:] == by_word[2:]
    assert by_code.remedy == by_word.remedy


def test_what_may_have_charged_is_never_called_safe() -> None:
    """No word whose outcome is open says "not charged", and all of them forbid to charge again."""
    for entry in everything():
        if entry.outcome in (Outcome.PENDING, Outcome.UNKNOWN, Outcome.CONFLICT):
            assert "not charged" not in entry.money, entry
            assert "Do not charge again." in as_text(entry.remedy), entry


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("isv.invalid-parameter:pay_fee", Outcome.REJECTED),
        ("isv.checkout-already-paid", Outcome.CONFLICT),
        ("isv.payment-code-expired:channel_account", Outcome.REJECTED),
        ("isv.order-duplicate", Outcome.UNKNOWN),
        ("isv.shop-not-exist:shop_id", Outcome.REJECTED),
        ("isp.something-new", Outcome.UNKNOWN),
        ("isp.top-mapping-parse-error", Outcome.REJECTED),
        ("accesscontrol.limited-by-the-moon", Outcome.REJECTED),
    ],
)
def test_a_sub_code_that_nobody_listed_is_read_as_a_payment_would(
    word: str, outcome: Outcome
) -> None:
    """A sub code of a known family is explained as the event table reads it."""
    assert of("sub_code", word).outcome is outcome


def test_a_definite_failure_says_what_it_does_not_prove() -> None:
    """A refusal closes nothing after an earlier try without an answer, and its words say so."""
    assert "stays open" in of("top_code", 25).money
    assert "stays open" in of("event", Event.DNS_FAILED).money
    assert "stays open" in of("event", Event.FAILED_AS_USED).money
    assert "stays open" in of("event", Event.FAILED).money
    assert "stays open" not in of("event", Event.DECLINED).money


@pytest.mark.parametrize("one", DECLINES, ids=lambda one: one.code)
def test_every_known_decline_is_explained(one: Decline) -> None:
    """With and without its prefix: nobody was charged, whatever was before, and what to do."""
    for word in (one.code, one.code.removeprefix("ACQ.").lower()):
        (entry,) = explain(word)
        assert (entry.kind, entry.outcome) == ("result_code", Outcome.FAIL)
        assert one.words in entry.title
        assert one.wallet in entry.title
        assert "stays open" not in entry.money
        assert "pay again" in as_text(said(entry.remedy))


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("ACQ.PAYMENT_AUTH_CODE_INVALID", Outcome.FAIL),
        ("ACQ.TRADE_HAS_SUCCESS", Outcome.CONFLICT),
        ("USERPAYING", Outcome.UNKNOWN),
        ("OUT_TRADE_NO_USED", Outcome.UNKNOWN),
        ("ACQ.PAYMENT_FAIL", Outcome.FAIL),
    ],
)
def test_what_a_wallet_says_is_explained_by_its_words(word: str, outcome: Outcome) -> None:
    """A code that is no known decline leaves a doubtful payment open, and the words say so."""
    (entry,) = explain(word)
    assert entry.outcome is outcome
    assert ("pay again" in as_text(said(entry.remedy))) is (outcome is Outcome.FAIL)
    assert ("stays open" in entry.money) is (outcome is not Outcome.UNKNOWN)


@given(st.text(max_size=60))
def test_no_word_breaks_it(word: str) -> None:
    """Whatever is asked for, the answer is a list."""
    assert isinstance(explain(word), list)


@given(st.sampled_from(WORDS))
def test_capitals_do_not_matter(one: tuple[str, str]) -> None:
    """A word that was read off a screen in capitals is found."""
    kind, word = one
    assert of(kind, word.upper())[3:] == of(kind, word)[3:]


# ── posctl's own words ───────────────────────────────────────────────────────────────────────

POSCTL = Path(errors.__file__).parent
# What carries a code, and the place of it among its arguments. AfterSending has one code alone.
CARRIERS = {
    **{
        one.__name__: 0
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, PosctlError) and one is not AfterSending
    },
    "Bad": 0,
    "Problem": 1,
}
# A code that its place does not spell: which ones it may be, by file and expression.
ELSEWHERE: dict[tuple[str, str], tuple[str, ...]] = {
    # Passed on as another error: found where that is made.
    ("batch/send.py", "error.code"): (),
    ("config/keys.py", "error.code"): (),
    ("config/profiles.py", "bad.code"): (),
    # Of which kind of file it is.
    ("table.py", "code"): ("bad_file", "bad_statement"),
    ("config/secret.py", "what"): ("config", "secret_file"),
    ("config/secret.py", "self._what"): ("config", "secret_file"),
    # The event of a try, a block, or the platform's own: of tables that are gone through above.
    ("money/advice.py", "block.value"): (),
    ("money/advice.py", "end.code if end and end.code else event.value"): (),
    ("cli/commands/status.py", "asked.end.code or asked.end.event"): (),
    # The name of a check of `doctor`, which stands in its list with what to do.
    ("cli/commands/doctor.py", "bad.name"): (),
}


def spelled(node: ast.expr) -> str | None:
    """The code that an expression spells, with `x` for a part of it that it does not."""
    match node:
        case ast.Constant(value=str(code)):
            return code
        case ast.JoinedStr(values=[ast.Constant(value=str(begin)), *_rest]):
            return f"{begin}x"
        case ast.BinOp(left=ast.Constant(value=str(begin)), op=ast.Add()):
            return f"{begin}x"
    return None


def codes_of_the_source() -> Iterator[tuple[str, str, tuple[str, ...] | None]]:
    """Where a code is given, how, and which ones it may be; None when nobody knows."""
    for path in sorted(POSCTL.rglob("*.py")):
        where = path.relative_to(POSCTL).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if (place := CARRIERS.get(node.func.id)) is None:
                continue
            named = [one.value for one in node.keywords if one.arg == "code"]
            given = [*node.args[place : place + 1], *named]
            for one in given:
                code = spelled(one)
                words = ast.unparse(one)
                yield where, words, ELSEWHERE.get((where, words)) if code is None else (code,)


OWN = list(codes_of_the_source())


def test_every_code_of_an_error_is_explained() -> None:
    """Whatever `error.code` an error of posctl's own carries, `explain` knows it."""
    assert [(where, how) for where, how, codes in OWN if codes is None] == []
    codes = {code for _where, _how, found in OWN for code in found or ()}
    codes.add(AfterSending("", "", "").code)
    assert {"bad_lines", "request_id_taken", "results_unwritable", "journal_full"} <= codes
    kinds = {"error", "block", "event"}
    unknown = {code for code in codes if not kinds & {one.kind for one in explain(code)}}
    assert unknown == set()


def test_no_code_is_explained_that_no_error_carries() -> None:
    """What is taken out of the source leaves the list, too."""
    codes = {code for _where, _how, found in OWN for code in found or ()}
    assert set(own_codes.ERRORS) - codes == set()


# ── the command ──────────────────────────────────────────────────────────────────────────────


def test_an_exit_code_comes_before_a_code_of_the_gateway(shop: Shop) -> None:
    """21 is an exit code and a code of TOP's: both are told, the exit code first."""
    ran = shop.run("explain", "21", "--json")
    assert ran.code == 0
    assert ran.json["command"] == "explain"
    assert ran.json["code"] == "21"
    assert [entry["kind"] for entry in ran.json["entries"]] == ["exit_code", "top_code"]
    assert ran.json["error"] is None
    assert not shop.recorded


def test_without_a_code_all_are_listed(shop: Shop) -> None:
    """`posctl explain` alone knows every word."""
    ran = shop.run("explain", "--json")
    listed = {(entry["kind"], entry["code"]) for entry in ran.json["entries"]}
    assert {("outcome", "unknown"), ("exit_code", "31"), ("top_code", "25")} <= listed
    assert len(ran.json["entries"]) == len(listed)


@pytest.mark.parametrize(
    ("typo", "near"),
    [("already_pid", "already_paid"), ("unknwon", "unknown"), ("isp.unknow-eror", None)],
)
def test_an_unknown_word_names_the_nearest(typo: str, near: str | None, shop: Shop) -> None:
    """A typo is a usage error that says what was probably meant; a sub code has a family."""
    ran = shop.run("explain", typo, "--json")
    if near is None:
        assert ran.code == 0
        assert ran.json["entries"][0]["kind"] == "sub_code"
        return
    assert ran.code == 2
    assert ran.json["error"]["code"] == "unknown_code"
    assert f"posctl explain {near}" in ran.json["error"]["hint"]


@pytest.mark.parametrize("word", ["refund", "REFUND", "退款", "撤销", "cancel"])
def test_who_wants_to_give_money_back_is_told_how(word: str, shop: Shop) -> None:
    """As a word to explain, and as a command that posctl has not: what to do instead."""
    (entry,) = shop.run("explain", word, "--json").json["entries"]
    assert (entry["kind"], entry["code"]) == ("task", "refund")
    assert "posctl reconcile" in entry["remedy"]
    assert "resolve ID --correct" in entry["remedy"]
    ran = shop.run(word, "--json")
    assert ran.code == 2
    assert "posctl explain refund" in ran.json["error"]["hint"]


@pytest.mark.parametrize("code", ["journal_corrupt", "journal_gone", "journal_locked"])
def test_whatever_is_wrong_with_the_journal_is_exit_31(code: str) -> None:
    """The error codes of the journal are explained as the exit code that they come with."""
    (entry,) = explain(code)
    assert entry[2:] == of("exit_code", 31)[2:]


def test_a_code_that_is_documented_nowhere_is_refused(shop: Shop) -> None:
    """A number that neither posctl nor the platform's page has is no guess's business."""
    ran = shop.run("explain", "99")
    assert ran.code == 2
    assert "posctl explain" in ran.err
    assert ran.out == ""


def test_a_number_of_two_meanings_says_so_first(shop: Shop) -> None:
    """Before either is told: that 21 is two things, and which of them comes first."""
    shown = pty_run([*shop.command, "--lang", "en", "explain", "21"], env=shop.env).flow
    words = "21 means 2 things, told in this order: exit code of posctl · error code of the gateway"
    assert " ".join(shown.split()).startswith(words)
    assert shown.index("no answer came") < shown.index("The method is missing")


@languages
def test_on_a_terminal_the_command_to_type_stands_alone(lang: str, shop: Shop) -> None:
    """A person reads what it is, what it means for the money, and a command ready to be copied."""
    shown = pty_run([*shop.command, "--lang", lang, "explain", "unknown"], env=shop.env)
    assert shown.exit_code == 0
    assert " posctl retry REQUEST_ID" in shown.text.splitlines()
    use_language(lang)
    entry = of("outcome", "unknown")
    assert entry.title.replace(" ", "") in shown.flow.replace(" ", "")
    assert entry.money.replace(" ", "") in shown.flow.replace(" ", "")
    assert shown.widest <= 80


@languages
def test_the_whole_list_fits_a_terminal(lang: str, shop: Shop) -> None:
    """`posctl explain` alone is readable on 80 columns, and every code is on it."""
    shown = pty_run([*shop.command, "--lang", lang, "explain"], env=shop.env, rows=600)
    assert shown.exit_code == 0
    assert shown.widest <= 80
    for entry in everything():
        assert re.search(rf"^ {re.escape(entry.code)}(\s|$)", shown.text, re.MULTILINE), entry.code
