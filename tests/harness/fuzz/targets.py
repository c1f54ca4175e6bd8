"""What must hold of the four parsers, for any bytes at all.

Each target takes bytes and lets a refusal of posctl's own pass; anything else that is raised, an
AssertionError among it, is a finding. `fuzz.py` looks for such bytes, `test_fuzz_corpus.py` replays
those that were found interesting.
"""

from __future__ import annotations

import atexit
import io
import json
import os
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

from posctl.cli import app as cli
from posctl.cli.run import one_code
from posctl.config.keys import DEFAULT_KEYS
from posctl.config.profile import TRAINING, Config
from posctl.config.profiles import read
from posctl.errors import ConfigError, UsageError
from posctl.gateway.exchange import Exchange
from posctl.gateway.judge import read_event
from posctl.gateway.top import PAY_METHOD, SIGN_METHODS, Answer, read_reply
from posctl.money import advice
from posctl.money.codes import CODE_FIELDS, codes_of, masked
from posctl.money.order import FIELDS, Limits, PayRequest, check, check_value, intent, read_file
from posctl.money.outcome import EXIT_OF, Event, Standing, State, advance, outcome_of
from posctl.money.record import Checkout, Payment, Verdict
from posctl.money.result import payment_json, problem_json
from posctl.paying.answer import MAX_RAW, read_exchange
from posctl.screen.contract import plain
from posctl.shell import as_text

CANARY = "CANARY0123456789abcdef0123456789abcdef"  # longer than any key that is shown whole
MAX_WORDS = 2000  # characters of one complaint
# What a terminal would obey, and what nobody sees.
OBEYED = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069"
CODE = "283456789012345678"
DEFAULTS = {
    "shop_id": "1",
    "operator_id": "123",
    "machine_id": "001",
    "buyer_id": "1",
    "source": "hema",
    "merchant_code": "HM",
}


# ── the configuration ────────────────────────────────────────────────────────────────────────


def config(raw: bytes) -> None:
    """Read or refused with words that tell no secret; what is read is in bounds."""
    path = _scratch() / "config.yaml"
    with os.fdopen(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
        file.write(raw)
    try:
        found = read(str(path), {"HOME": str(path.parent)})
    except ConfigError as error:
        _check_words(error.message, as_text(error.hint))
        assert CANARY not in f"{error.message} {as_text(error.hint)}"
        return
    _check_config(found)


def _check_config(found: Config) -> None:
    assert TRAINING in found.profiles
    for name, profile in found.profiles.items():
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name)
        assert profile.sign_method in SIGN_METHODS
        assert 1 <= profile.max_fee < 10**12
        assert all(0 < seconds < 1000 for seconds in profile.timeout)
        assert set(profile.defaults) <= set(DEFAULT_KEYS) | set(DEFAULTS)
        for key, text in profile.defaults.items():
            check_value(key, text, key, allow_card_numbers=profile.allow_card_numbers)
        if name == TRAINING:
            assert profile.gateway == TRAINING
            assert not profile.live
            continue
        url = profile.gateway
        assert url.isascii()
        assert url.isprintable()
        assert re.match(r"https://[^/@?#]+/|http://(localhost|127[0-9.]+|\[[0-9a-f:.]+\])[:/]", url)
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", profile.app_key)
        for secret in (profile.secret.value, profile.session):
            assert not secret or len(secret) < 16 or secret not in repr(profile)


# ── the request file ─────────────────────────────────────────────────────────────────────────


def request_file(raw: bytes) -> None:
    """Refused with words, or a payment that reads the same when its own text is read again."""
    limits = Limits(500_000)
    flags = {} if raw[:1] == b"\n" else {"pay_fee": "100", "checkout_id": "111"}
    try:
        asked = check(flags, read_file(raw, "order.json"), DEFAULTS, limits)
    except UsageError as error:
        _check_words(error.message, as_text(error.hint))
        assert CANARY not in f"{error.message} {as_text(error.hint)}"
        return
    _check_order(asked, limits)


def _check_order(asked: PayRequest, limits: Limits) -> None:
    assert re.fullmatch(r"[1-9][0-9]{0,11}", str(asked.pay_fee))
    assert asked.pay_fee <= limits.max_fee
    for name, value in asked.members.items():
        kind = FIELDS[name].kind
        if kind in ("number", "fee"):
            assert type(value) is int
            assert 0 <= value < 1 << 63
        else:
            _check_text(str(value), spaces=kind == "free")
    assert asked.shop_id.isascii()
    assert asked.shop_id.isdecimal()
    wire = asked.wire(asked.request_id or "12345678")
    again = check({}, read_file(wire.encode(), "again"), {}, limits)
    assert again.wire(str(again.request_id)) == wire
    for code in codes_of(wire):
        assert len(code) < 6 or code in asked.members.values()
        shown = {**json.loads(masked(wire))}
        assert len(code) < 6 or code not in (shown[name] for name in CODE_FIELDS if name in shown)
    assert not set(intent(wire)) & {"request_id", *CODE_FIELDS}


def _check_text(text: str, *, spaces: bool) -> None:
    for character in text:
        assert (spaces and character == " ") or unicodedata.category(character)[0] not in "CZ"


# ── the gateway's answer ─────────────────────────────────────────────────────────────────────

STATUSES = (200, 201, 204, 301, 307, 400, 404, 500, 502)


def answer(raw: bytes) -> None:
    """Whatever comes back is an event, is paid only when it says so, and can be kept and shown.

    The first byte chooses the HTTP status and whether a voucher is known; the rest is the body.
    """
    how, body = raw[0] if raw else 0, raw[1:]
    status = STATUSES[how % len(STATUSES)]
    payment = _payment("p-1" if how & 0x80 else None)
    reply = read_reply(body, PAY_METHOD)
    event = read_event(reply, status, payment.verdict.payment_order_id)
    if event is Event.PAID:
        _check_paid(reply, payment)
    reading = read_exchange(payment, Exchange(None, True, status, body), 1_767_250_800_000)
    end, verdict = reading.end, reading.verdict
    assert end.event is event
    for text in (*end, *verdict):
        if isinstance(text, str):
            text.encode()  # it can be stored
            assert len(text) <= MAX_RAW
            assert CODE not in text
        elif isinstance(text, int):
            assert abs(text) < 1 << 63
            assert str(text) != CODE
    standing = advance(payment.standing, event)
    after = payment._replace(standing=standing, verdict=verdict)
    EXIT_OF[outcome_of(standing)]
    data = payment_json(after) | {"error": problem_json(advice.problem_of(after, end))}
    assert json.loads(json.dumps(data)) is not None
    for name, value in plain(data):
        assert not re.search(f"[\\n\\t{OBEYED}]", value), name


def _check_paid(reply: object, payment: Payment) -> None:
    assert isinstance(reply, Answer)
    assert reply.model is not None
    said = reply.model["result_status"]
    assert said == 1 or str(said).strip().strip('"').lstrip("0") == "1"
    assert said is not True
    assert reply.outer_success is not False
    assert reply.model_success is not False
    known, voucher = payment.verdict.payment_order_id, reply.text("payment_order_id")
    assert not known or not voucher or voucher == known


@cache
def _payment(voucher: str | None) -> Payment:
    flags = DEFAULTS | {"pay_fee": "100", "checkout_id": "111", "channel_account": CODE}
    asked = check(flags, {}, {}, Limits(500_000))
    return Payment(
        seq=1,
        request_id="12345678",
        profile="store-1",
        gateway="https://gw",
        app_key="12345678",
        checkout=Checkout(True, "12345678", "1", "111"),
        order_id="111",
        operator_id="123",
        machine_id="001",
        pay_channel="alipay_facepay_v2",
        pay_fee=100,
        pay_request=asked.wire("12345678"),
        standing=Standing(State.SENDING),
        verdict=Verdict(payment_order_id=voucher),
        warnings=(),
        tries=1,
        created_ms=1_767_250_800_000,
        updated_ms=1_767_250_800_000,
        closed_ms=None,
        told=False,
    )


# ── what is typed and scanned ────────────────────────────────────────────────────────────────


def typed(raw: bytes) -> None:
    """A value, a scan or a command line is taken as it is or refused (2, 3); never sent changed.

    The first byte chooses: a member of pay_request, what a scanner typed, or whole command lines,
    their words parted by line ends.
    """
    how, text = raw[0] if raw else 0, raw[1:].decode("utf-8", "surrogateescape")
    if how < len(FIELDS):
        _check_member(list(FIELDS)[how], text)
    elif how < 64:
        try:
            code = one_code(text)
        except UsageError as error:
            _check_words(error.message, as_text(error.hint))
            return
        assert code
        assert not re.search(r"[\r\n]", code)
        assert code in text
    else:
        _check_command_line(text.split("\n") if text else [])


def _check_member(name: str, text: str) -> None:
    try:
        value = check_value(name, text, "here")
    except UsageError as error:
        _check_words(error.message, as_text(error.hint))
        return
    kind = FIELDS[name].kind
    if kind != "request_id":  # a UUID has one spelling, whatever was typed
        assert str(value) == text
    if kind == "fee":
        assert re.fullmatch(r"[1-9][0-9]{0,11}", text)
    _check_text(str(value), spaces=kind == "free")
    str(value).encode()


def _check_command_line(words: list[str]) -> None:
    out, err = _stream(), _stream()
    argv = ["--profile", "training", "pay", "--dry-run", "--json", *words]
    home = {"HOME": str(_scratch()), "POSCTL_CONFIG": str(_scratch() / "none.yaml")}
    with redirect_stdout(out):  # the help goes there by itself
        code = cli.run(argv, home, _stream(), out, err)
    said = _text(out)
    assert code in (0, 2, 3), _text(err)
    assert "Internal error" not in _text(err)
    assert not re.search(f"[{OBEYED}]", said + _text(err))
    if said.startswith("{"):
        data: dict[str, Any] = json.loads(said)
        assert data["exit_code"] == code
        assert code != 0 or data["call"]["pay_request"]["pay_fee"] > 0


def _stream() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict", newline="")


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()


# ── shared ───────────────────────────────────────────────────────────────────────────────────


@cache
def _scratch() -> Path:
    """A private folder, in memory where the system has such a place."""
    shared = Path("/dev/shm")
    made = tempfile.mkdtemp(prefix="posctl-fuzz-", dir=shared if shared.is_dir() else None)
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)


def _check_words(*texts: str) -> None:
    """A complaint is short, and there is one."""
    assert texts[0]
    assert sum(map(len, texts)) <= MAX_WORDS, texts


TARGETS: dict[str, Callable[[bytes], None]] = {
    "config": config,
    "request_file": request_file,
    "answer": answer,
    "typed": typed,
}
