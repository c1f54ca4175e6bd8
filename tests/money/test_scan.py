"""What a scanner really types, in one table: what it is, and what the till makes of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import Ran, Shop
from pty_run import pty_run

from posctl.cli.run import one_code
from posctl.config.profile import TillKeys
from posctl.config.profiles import read as read_config
from posctl.errors import UsageError
from posctl.money.order import Limits, check_scanned, check_value
from posctl.money.scan import Scan, plain_amount, unframed, what_else, what_is
from posctl.till.entry import Entry, Prompt
from posctl.till.wishes import Sale

CODE, OTHER = "281234567890123456", "289999999999999999"  # Alipay's; WeChat's and UnionPay's below

# The same code, as scanners that were set up differently send it.
FRAMES = {
    "CR": f"{CODE}\r",
    "LF": f"{CODE}\n",
    "CR LF": f"{CODE}\r\n",
    "LF CR": f"{CODE}\n\r",
    "Tab": f"{CODE}\t",
    "Tab CR": f"{CODE}\t\r",
    "nothing": CODE,
    "blanks behind": f"{CODE}  \r",
    "a blank before": f" {CODE}\r",
    "STX ETX": f"\x02{CODE}\x03",
    "STX ETX CR": f"\x02{CODE}\x03\r",
    "STX ETX CR LF": f"\x02{CODE}\x03\r\n",
    "STX CR": f"\x02{CODE}\r",
    "ETX": f"{CODE}\x03",
    "AIM, Code 128": f"]C0{CODE}\r",
    "AIM, GS1-128": f"]C1{CODE}\r",
    "AIM, QR": f"]Q1{CODE}\r",
    "AIM, QR with ECI": f"]Q3{CODE}\r",
    "AIM, Data Matrix": f"]d2{CODE}\r",
    "AIM, EAN": f"]E0{CODE}\r",
    "STX AIM ETX": f"\x02]C0{CODE}\x03",
    "STX AIM Tab": f"\x02]Q1{CODE}\t",
    "a byte order mark": f"\ufeff{CODE}\r",
}

WHAT = {
    CODE: Scan.CODE,
    "2512345678901234": Scan.CODE,  # the shortest
    "301234567890123456789012": Scan.CODE,  # the longest
    "134567890123456789": Scan.CODE,  # WeChat
    "6212345678901234567": Scan.CODE,  # UnionPay
    CODE + CODE: Scan.SEVERAL,
    CODE + OTHER: Scan.SEVERAL,
    f"{CODE} {OTHER}": Scan.SEVERAL,
    f"{CODE}\t{OTHER}": Scan.SEVERAL,
    CODE * 3: Scan.SEVERAL,
    "134567890123456789" + CODE: Scan.SEVERAL,
    "6901028075831" + CODE: Scan.SEVERAL,  # a bottle, then the customer
    f"A{CODE}": Scan.SEVERAL,
    f"{CODE}#": Scan.SEVERAL,
    "6901028075831": Scan.GOODS,
    "6901234567892": Scan.GOODS,  # passes a card's check, too
    "96385074": Scan.GOODS,
    "036000291452": Scan.GOODS,
    "16901028075838": Scan.GOODS,
    "https://qr.alipay.com/fkx12345": Scan.LINK,
    "HTTPS://QR.ALIPAY.COM/FKX12345": Scan.LINK,
    "wxp://f2f0abcdefghijklmnop": Scan.LINK,
    "www.example.com": Scan.LINK,
    "u.wechat.com/abcdefghijk": Scan.LINK,
    "302": Scan.SHORT,
    "S14": Scan.SHORT,
    "6901028075832": Scan.SHORT,  # a wrong check digit: still no code
    "001-20261127-225620": Scan.NUMBER,
    "001-20261127-225620-3fa9c1": Scan.NUMBER,
    "customer@example.com": Scan.ACCOUNT,
    "20261127225620001": Scan.OTHER,
    "99999999999999999999": Scan.OTHER,
    "28OOOOOOOOOOOOOOO1": Scan.OTHER,
    'éèà&éé"(è_çàéèà&éé': Scan.OTHER,
}


@pytest.mark.parametrize("typed", FRAMES.values(), ids=FRAMES)
def test_a_frame_is_cut_off(typed: str) -> None:
    """Whatever a scanner puts around a code is no part of it, at the till, with --scan and with
    --code-stdin.
    """
    assert unframed(typed) == CODE
    assert one_code(typed) == CODE
    one = at_the_scan()
    found = list(one.take(typed, 10.0)) or list(one.take("", one.scan_end_s))
    assert [wish for wish in found if isinstance(wish, Sale)] == [Sale(100, "111", CODE)]
    one.watch()
    assert list(one.take("", 11.0)) == []
    assert one.prompt is Prompt.WATCH, "nothing of the end is left for the next customer"


@pytest.mark.parametrize("typed", FRAMES.values(), ids=FRAMES)
def test_key_by_key_it_is_the_same(typed: str) -> None:
    """A slow scanner's code comes key by key, and its frame is the same frame."""
    if typed == FRAMES["ETX"]:
        pytest.skip("ETX alone, by itself, is Ctrl-C")
    one = at_the_scan()
    found = [wish for n, key in enumerate(typed) for wish in one.take(key, 10 + n * 0.02)]
    found = found or list(one.take("", one.scan_end_s))
    assert [wish for wish in found if isinstance(wish, Sale)] == [Sale(100, "111", CODE)]


@pytest.mark.parametrize("typed", FRAMES.values(), ids=FRAMES)
def test_out_of_turn_it_is_a_code_all_the_same(typed: str) -> None:
    """Before the amount and at the checkout prompt it is told what to type first, never shown."""
    one = entry()
    assert "That was a code" in str(list(one.take(typed, 10.0)))
    assert one.echo == ""
    list(one.take("1\r", 20.0))
    assert "First the checkout's number" in str(list(one.take(typed, 30.0)))
    assert one.prompt is Prompt.CHECKOUT
    assert CODE not in one.label + one.echo


@pytest.mark.parametrize(("typed", "what"), WHAT.items())
def test_what_is_scanned_is_known(typed: str, what: Scan) -> None:
    """Codes of wallets, several in one, goods, addresses, numbers; what is none of them is asked
    about, and only a wallet's code is sent without a question.
    """
    assert what_is(typed) is what
    one = at_the_scan()
    sold = [wish for wish in one.take(f"{typed}\r", 10.0) if isinstance(wish, Sale)]
    assert sold == ([Sale(100, "111", typed)] if what is Scan.CODE else [])
    assert one.prompt is (Prompt.CONFIRM if what in (Scan.ACCOUNT, Scan.OTHER) else Prompt.CODE)


# What is scanned or typed where a checkout's number belongs, and what it looks like instead.
ELSE = {
    **dict.fromkeys(("6901028075831", "036000291452", "96385074", "16901028075838"), Scan.GOODS),
    **dict.fromkeys(("https://x.cn/1", "www.example.com", "u.wechat.com/abc"), Scan.LINK),
    **dict.fromkeys(("12.5O", "12.50", "￥12", "12元", "l2.50", "1.5", "12,50"), Scan.AMOUNT),
    **dict.fromkeys(("没付", "顾客走了"), Scan.WORDS),
    **dict.fromkeys(("111", "c1", "A12", "2026112700012", "001-20261127-225620", "1.2.3"), None),
    **dict.fromkeys(("6901028075832", "T-12", "O12", "lot7", "A座12", "桌（外）A-101"), None),
}


@pytest.mark.parametrize(("typed", "what"), ELSE.items())
def test_what_is_hardly_a_checkout_is_asked_about(typed: str, what: Scan | None) -> None:
    """It is the checkout after a yes; a no asks for the number again."""
    assert what_else(typed) is what
    for answer, prompt in (("n", Prompt.CHECKOUT), ("y", Prompt.CODE)):
        one = entry()
        list(one.take("1\r", 1.0))
        list(one.take(f"{typed}\r", 10.0))
        assert one.prompt is (Prompt.CODE if what is None else Prompt.CONFIRM)
        if what is not None:
            assert one.about
            list(one.take(f"{answer}\r", 20.0))
            assert one.prompt is prompt


def test_a_shop_whose_numbers_look_like_barcodes_is_asked_once() -> None:
    """After a yes numbers as long are taken without a question."""
    one = entry()
    for number, keys in (("20000004", "y\r"), ("20000011", "")):
        assert what_else(number) is Scan.GOODS
        list(one.take("1\r", 1.0))
        list(one.take(f"{number}\r", 10.0))
        list(one.take(keys, 20.0))
        assert one.prompt is Prompt.CODE
        one.fresh()


CERTAIN = (Scan.SEVERAL, Scan.GOODS, Scan.LINK, Scan.NUMBER)


@pytest.mark.parametrize("typed", [typed for typed, what in WHAT.items() if what in CERTAIN])
def test_no_way_in_takes_them(typed: str) -> None:
    """What is no payment code for certain is refused wherever a code comes from."""
    with pytest.raises(UsageError):
        check_value("channel_account", unframed(typed), "the code")


@pytest.mark.parametrize(("typed", "what"), WHAT.items())
def test_what_a_scanner_reads_is_sure_asked_about_or_refused(typed: str, what: Scan) -> None:
    """At the till and with `pay --scan` and `--code-stdin`, by one rule; the checkout's own number
    is no code, however long it is.
    """
    limits = Limits(max_fee=100)
    if what in (Scan.CODE, Scan.ACCOUNT, Scan.OTHER):
        assert check_scanned(typed, "111", "the code", limits) is what
        with pytest.raises(UsageError):
            check_scanned(typed, typed, "the code", limits)
    else:
        with pytest.raises(UsageError) as refused:
            check_scanned(typed, "111", "the code", limits)
        assert typed not in refused.value.message


ONE_OF_EACH = {what: typed for typed, what in reversed(WHAT.items())}


@pytest.mark.parametrize("what", ONE_OF_EACH)
def test_what_pay_is_given(what: Scan, trained: Callable[..., Ran]) -> None:
    """What a scanner read in passing is not sent: 2, nothing recorded, and what to do. A person's
    --yes sends what is not known here; what a program names with --code is meant, unless it is no
    payment code for certain.
    """
    typed = ONE_OF_EACH[what]
    goes = {
        "--code-stdin": what in (Scan.CODE, Scan.ACCOUNT),
        "--code-stdin --yes": what in (Scan.CODE, Scan.ACCOUNT, Scan.OTHER),
        "--code": what not in CERTAIN,
    }
    for n, (how, sent) in enumerate(goes.items()):
        words = [*how.split(), *([typed] if how == "--code" else [])]
        given = "" if how == "--code" else f"]C0{typed}\r\n"
        pay = ("pay", "--fee", "100", "--checkout", f"c{n}", "--another", "--json")
        ran = trained(*pay, *words, stdin=given)
        recorded = trained("checkout", f"c{n}", "--json").json["payments"]
        if sent:
            assert ran.code != 2
        else:
            assert (ran.code, recorded) == (2, [])
            assert ran.json["error"]["code"] == "bad_channel_account"
            assert ran.json["error"]["hint"].startswith("Scan ")


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 2), ("", 2)])
def test_pay_asks_about_an_unknown_code(shop: Shop, answer: str, code: int) -> None:
    """On a terminal `--scan` asks before it sends what does not look like a payment code, and
    shows it masked; anything but yes sends nothing.
    """
    pay = ("--profile", "training", "pay", "--fee", "100", "--checkout", "111", "--scan")
    unknown = "99999999999999990001"
    answers = [("payment code:", f"{unknown}\n"), ("[y/N]", f"{answer}\n")]
    shown = pty_run([*shop.command, *pay], env=shop.env, answers=answers)
    assert shown.exit_code == code
    assert "999999******0001 does not look like a payment code." in shown.flow
    assert unknown not in shown.flow
    assert ("Nothing was sent." in shown.flow) == (code == 2)


@pytest.mark.parametrize(
    "text", [f"{CODE}\r{OTHER}\r", f"{CODE}\t{OTHER}", f"\x02{CODE}\x03\x02{OTHER}\x03"]
)
def test_two_scans_are_no_code(text: str) -> None:
    """Two codes, each with its end, are one too many; the same one twice was read twice."""
    one = at_the_scan()
    assert "More than one" in str(list(one.take(text, 10.0)))
    twice = list(one.take(text.replace(OTHER, CODE), 10.0))
    assert [wish for wish in twice if isinstance(wish, Sale)] == [Sale(100, "111", CODE)]
    with pytest.raises(UsageError) as refused:
        one_code(text)
    assert refused.value.code == "many_codes"


def test_a_card_where_cards_are_taken() -> None:
    """A card's number is asked about unless the profile allows cards."""
    assert what_is("4111111111111111") is Scan.OTHER
    assert what_is("4111111111111111", allow_card_numbers=True) is Scan.CODE


@pytest.mark.parametrize(
    "typed",
    [
        *(
            "12.50",
            "12.5",
            "１２．５０",
            "12。50",
            "12,50",
            "12，50",
            "￥12.50",
            "¥12.50",
            "12.50元",
        ),
        *("￥１２。５０元", " 12.50 ", "　12.50", "12.50块", "12、50", "RMB12.50", "12.50圆整"),
    ],
)
def test_an_amount_as_an_input_method_types_it(typed: str) -> None:
    """Full-width digits and signs, `。` and commas for the point, ￥ and 元: the same money."""
    one = entry()
    list(one.take(f"{typed}\r", 10.0))
    list(one.take("111\r", 20.0))
    assert Sale(1250, "111", CODE) in list(one.take(f"{CODE}\r", 30.0))


@pytest.mark.parametrize(
    "typed",
    [
        "1,234",
        "1，234",
        "1,234.50",
        "1.234",
        "12.",
        "1.2.3",
        "-5",
        "1e3",
        "12元50",
        "元",
        "5 30",
        "5　30",
        "12 .50",
    ],
)
def test_what_may_mean_another_amount_is_refused(typed: str) -> None:
    """A thousand is no 1.23: what can be read in two ways is asked for again."""
    one = entry()
    list(one.take(f"{typed}\r", 10.0))
    assert one.prompt is Prompt.AMOUNT
    assert plain_amount("1,234") == "1.234"


@pytest.mark.parametrize(("typed", "letter"), [("ｑ", "q"), ("？", "?"), ("＋", "+"), ("Ｏ", "o")])
def test_a_command_as_an_input_method_types_it(typed: str, letter: str) -> None:
    """Full-width letters and signs are commands, too."""
    assert f"letter='{letter}'" in str(list(entry().take(f"{typed}\r", 10.0)))


def test_a_checkout_as_an_input_method_types_it() -> None:
    """Full-width digits, letters and hyphens are the plain ones: one checkout, not two."""
    one = entry()
    list(one.take("1\r", 10.0))
    list(one.take("桌（外）Ａ－１０１\r", 20.0))
    assert Sale(100, "桌（外）A-101", CODE) in list(one.take(f"{CODE}\r", 30.0))


@pytest.mark.parametrize("id_", ["\ufffd\ufffd", "单\ufffd"])
def test_what_could_not_be_read_is_no_checkout(id_: str) -> None:
    """Bytes that are no text in the terminal's encoding would make one checkout of all."""
    with pytest.raises(UsageError):
        check_value("checkout_id", id_, "the checkout")


def entry() -> Entry:
    profile = read_config(None, {"HOME": "/nonexistent"}).profiles["training"]
    return Entry(profile._replace(till=TillKeys()))


def at_the_scan() -> Entry:
    one = entry()
    list(one.take("1\r", 0.0))
    list(one.take("111\r", 1.0))
    assert one.prompt is Prompt.CODE
    return one
