"""A hostile world: whatever is typed, scanned, written or set is refused by name, before sending.

Every row runs posctl as a process, in English and in Chinese, against a gateway that counts its
connections.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import Ran, Shop
from faultserver import Certificates, FaultServer, answer

from posctl.money.order import FIELDS
from posctl.text import one_line

UUID = "75626abc-452d-486e-970d-e65e12fc1456"
CODE = "283456789012345678"
CARD = "4111111111111111"  # a test number; it passes Luhn's check
LIMIT_S = 20  # a run that takes longer hangs
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


class Row(NamedTuple):
    """One bad input: the words after `posctl`, and what the complaint must name."""

    args: tuple[str | bytes, ...]
    names: str
    code: int = 2
    stdin: bytes = b""
    env: Mapping[str, str] = {}
    prepare: Callable[[Shop], object] = lambda shop: None


def pay(*more: str | bytes) -> tuple[str | bytes, ...]:
    return ("pay", "--fee", "100", "--checkout", "111", *more)


def fee(value: str) -> Row:
    return Row(("pay", "--checkout", "111", "--fee", value), "--fee")


def file(raw: bytes, names: str) -> Row:
    """A request file, beside flags that are right unless the file is about them."""
    return Row(
        ("pay", "--checkout", "1", "--file", "order.json"),
        names,
        prepare=lambda shop: (shop.home / "order.json").write_bytes(raw),
    )


def scanned(raw: bytes, names: str = "payment code") -> Row:
    return Row(pay("--code-stdin"), names, stdin=raw)


def sparse(name: str, size: int) -> Callable[[Shop], object]:
    """A file of `size` zero bytes that takes no room."""

    def make(shop: Shop) -> None:
        with (shop.home / name).open("wb") as opened:
            opened.truncate(size)

    return make


FEES = {
    **{repr(v): fee(v) for v in ("0", "-5", "+5", "1_000", " 100", "100 ", "1.5", "1e3", "", "00")},
    **{ascii(v): fee(v) for v in ("１００", "٣", "￥100", "1,000", "100元", "²", "0x10", "100\n")},
    "20 digits": fee("9" * 20),
    "5,000 digits": fee("9" * 5000),
    "over max_fee": fee("500001"),
    "twice": Row(pay("--fee", "100"), "--fee"),
    "twice, with =": Row(pay("--fee=200"), "--fee"),
    "no value": Row(("pay", "--checkout", "111", "--fee"), "--fee"),
    "missing": Row(("pay", "--checkout", "111"), "pay_fee"),
    "a flag for a value": Row(("pay", "--fee", "--checkout", "111"), "--fee"),
}

BAD_IDS: dict[str, str | bytes] = {
    "empty": "",
    "blank": "   ",
    "space": "a b",
    "newline": "11\n1",
    "CR": "111\r",
    "tab": "1\t1",
    "escape": "\x1b]0;owned\x07",
    "C1": "\x9b31m",
    "zero width": "11\u200b1",
    "joiner": "a\u200db",
    "bidi": "\u202e111",
    "isolate": "\u2066x",
    "no-break space": "\xa0",
    "filler": "\u3164",
    "variation": "1\ufe0f",
    "tag": "1\U000e0041",
    "10 KB": "x" * 10_240,
    "129": "x" * 129,
    "lone surrogate": b"\xed\xa0\x80",
    "not UTF-8": b"\xff",
}
IDENTIFIERS = {
    **{
        f"{flag} {name}": Row(
            ("pay", "--fee", "100", "--checkout", "1", flag, text),
            "payment code" if flag == "--code" else flag,
        )
        for flag in ("--order", "--operator", "--code")
        for name, text in BAD_IDS.items()
    },
    **{
        f"--checkout {name}": Row(("pay", "--fee", "100", "--checkout", text), "--checkout")
        for name, text in BAD_IDS.items()
    },
    "a flag for an id": Row(("pay", "--fee", "100", "--checkout", "--another"), "--checkout"),
    "missing": Row(("pay", "--fee", "100"), "checkout_id"),
    "attributes": Row(pay("--attributes", "a\nb"), "--attributes"),
    "attributes long": Row(pay("--attributes", "x" * 1025), "--attributes"),
    **{
        f"{field.flag} not UTF-8": Row(pay(field.flag, b"\xff"), field.flag)
        for field in FIELDS.values()
        if field.flag not in ("--fee", "--checkout", "--scan")
    },
    **{
        f"{flag} {text[:8]!r}": Row(pay(flag, text), flag)
        for flag in ("--shop", "--buyer", "--payer", "--payment-channel")
        for text in ("01", "-1", "1.0", "１", "", "9" * 19, "9" * 5000)
    },
}

REQUEST_IDS = {
    repr(text)[:40]: Row(pay("--request-id", text), "--request-id")
    for text in (
        "",
        "short",
        "x" * 65,
        "with space",
        "￥" * 8,
        "0" * 32,
        "00000000-0000-0000-0000-000000000000",
        "{00000000-0000-0000-0000-000000000000}",
        "urn:uuid:00000000-0000-0000-0000-000000000000",
        UUID[:-1] + "g,",
        UUID.replace("7", "７"),
        UUID + "\n",
        "-" * 5,
    )
}

CODES = {
    "none": scanned(b"", "payment code"),
    "line ends only": scanned(b"\r\n\r\n", "payment code"),
    "twice on one line": scanned(CODE.encode() * 2),
    "twice on two lines": scanned(f"{CODE}\r\n{CODE}\r\n".encode(), "payment code"),
    "full-width": scanned("".join(chr(ord(c) + 0xFEE0) for c in CODE).encode()),
    "one full-width digit": scanned(f"{CODE[:-1]}８".encode()),
    "Arabic digits": scanned("".join(chr(ord(c) + 0x630) for c in CODE).encode()),
    "NUL inside": scanned(CODE[:9].encode() + b"\0" + CODE[9:].encode()),
    "not UTF-8": scanned(b"\xff\xfe"),
    "not UTF-8, strict": Row(
        pay("--code-stdin"), "payment code", stdin=b"\xff\xfe", env={"PYTHONIOENCODING": "utf-8"}
    ),
    "2 MB": scanned(b"2" * 2_000_000, "payment code"),
    "129": scanned(b"2" * 129),
    "card number": scanned(CARD.encode()),
    "track 1": scanned(f"%B{CARD}^DOE/JO^2512101?".encode()),
    "track 2": scanned(f";{CARD}=25121010000000000000?".encode()),
    "track 2 without sentinels": scanned(f"{CARD}=2512101".encode()),
    "option without a value": Row(("retry", "--wait"), "posctl retry -h"),
    "two ways": Row(pay("--scan", "--code-stdin"), "--scan"),
    "stdin twice": Row(pay("--code-stdin", "--file", "-"), "--file"),
    "no terminal": Row(pay("--scan"), "--scan"),
    "as a word": Row(pay(CODE), "283456******5678"),
    "as a command": Row((CODE,), "283456******5678"),
    "as an option": Row(pay(f"--{CODE}"), "283456******5678"),
}

FILES = {
    "no JSON": file(b"pay_fee=1", "order.json"),
    "empty": file(b"", "order.json"),
    "duplicate": file(b'{"pay_fee":1,"pay_fee":2}', "pay_fee"),
    "duplicate inside": file(b'{"pay_request":{"pay_fee":1,"pay_fee":2}}', "pay_fee"),
    "NaN": file(b'{"pay_fee":NaN}', "NaN"),
    "Infinity": file(b'{"pay_fee":-Infinity}', "Infinity"),
    "1e400": file(b'{"pay_fee":1e400}', "pay_fee"),
    "1e2": file(b'{"pay_fee":1e2}', "pay_fee"),
    "1.0": file(b'{"pay_fee":1.0}', "pay_fee"),
    "0": file(b'{"pay_fee":0}', "pay_fee"),
    "-5": file(b'{"pay_fee":-5}', "pay_fee"),
    "20 digits": file(b'{"pay_fee":' + b"9" * 20 + b"}", "pay_fee"),
    "5,000 digits": file(b'{"pay_fee":' + b"9" * 5000 + b"}", "order.json"),
    "deep": file(b"[" * 100_000, "order.json"),
    "deep objects": file(b'{"a":' * 50_000, "order.json"),
    "BOM": file(b'\xef\xbb\xbf{"pay_fee":1}', "order.json"),
    "UTF-16": file('{"pay_fee":1}'.encode("utf-16"), "order.json"),
    "UTF-16 without BOM": file('{"pay_fee":1}'.encode("utf-16-le"), "order.json"),
    "UTF-32": file('{"pay_fee":1}'.encode("utf-32-be"), "order.json"),
    "Latin-1": file('{"order_id":"é"}'.encode("latin-1"), "order.json"),
    "GBK": file('{"order_id":"订单"}'.encode("gbk"), "order.json"),
    "100 MB": file(b"", "order.json")._replace(prepare=sparse("order.json", 100_000_000)),
    "2 MB on stdin": Row(("pay", "--file", "-"), "-", stdin=b" " * 2_000_000),
    "unknown": file(b'{"tip":1}', "tip"),
    "misspelt": file(b'{"chekout_id":"1"}', "checkout_id"),
    "unknown and long": file(b'{"' + b"x" * 9000 + b'":1}', "order.json"),
    "unknown, hostile": file(b'{"\\u001b]0;x":1}', "order.json"),
    "string for a number": file(b'{"pay_fee":"1"}', "pay_fee"),
    "number for a string": file(b'{"pay_fee":1,"checkout_id":1}', "checkout_id"),
    "boolean": file(b'{"pay_fee":true}', "pay_fee"),
    "list": file(b'{"pay_fee":[1]}', "pay_fee"),
    "null": file(b'{"pay_fee":null}', "pay_fee"),
    "NUL": file(b'{"pay_fee":1,"order_id":"a\\u0000"}', "order_id"),
    "lone surrogate": file(b'{"pay_fee":1,"order_id":"\\ud800"}', "order_id"),
    "array": file(b"[]", "order.json"),
    "two objects": file(b"{}{}", "order.json"),
    "two shops": file(b'{"shop_id":1,"pay_request":{"shop_id":"2"}}', "shop_id"),
    "beside pay_request": file(b'{"pay_request":{},"pay_fee":1}', "pay_request"),
    "code in full width": file(
        '{"pay_fee":1,"channel_account":"２８"}'.encode(), "channel_account"
    ),
    "missing": Row(pay("--file", "none.json"), "none.json"),
    "folder": Row(pay("--file", "."), "."),
    "device": Row(pay("--file", "/dev/zero"), "/dev/zero"),
    "FIFO": file(b"", "order.json")._replace(
        prepare=lambda shop: os.mkfifo(shop.home / "order.json")
    ),
    "dangling link": file(b"", "order.json")._replace(
        prepare=lambda shop: (shop.home / "order.json").symlink_to("nowhere")
    ),
    "name not UTF-8": Row(pay("--file", b"x\xff\x01"), "x"),
}


# ── configuration and environment ────────────────────────────────────────────────────────────


def written(change: Callable[[str], str | bytes]) -> Callable[[Shop], object]:
    """The right configuration, changed."""

    def make(shop: Shop) -> None:
        text = change((shop.home / "config.yaml").read_text())
        (shop.home / "config.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())

    return make


def config(change: Callable[[str], str | bytes], names: str = "config.yaml") -> Row:
    return Row(pay(), names, 3, prepare=written(change))


def instead(make: Callable[[Path], object]) -> Row:
    """Something else in the configuration's place."""

    def prepare(shop: Shop) -> None:
        path = shop.home / "config.yaml"
        path.unlink()
        make(path)

    return Row(pay(), "config.yaml", 3, prepare=prepare)


def chmod(mode: int) -> Row:
    return Row(
        pay(), "config.yaml", 3, prepare=lambda shop: (shop.home / "config.yaml").chmod(mode)
    )


def fifo(path: Path) -> None:
    os.mkfifo(path)


def secret_in_a_fifo(shop: Shop) -> None:
    fifo(shop.home / "pipe")
    written(lambda text: text.replace("secret: helloworld", "secret_file: pipe"))(shop)


def no_config(shop: Shop) -> None:
    del shop.env["POSCTL_CONFIG"]


BOMB = "a: &a [x, x]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(30))
CONFIGS = {
    "folder": instead(Path.mkdir),
    "FIFO": instead(fifo),
    "missing": instead(lambda path: None),
    "dangling link": instead(lambda path: path.symlink_to("nowhere")),
    "device": Row(pay("--config", "/dev/zero"), "/dev/zero", 3),
    "a loop of links": instead(lambda path: path.symlink_to("config.yaml")),
    "others may write it": chmod(0o602),
    "others may read the secret": chmod(0o604),
    "empty name": Row(pay("--config", ""), "--config", 3),
    "name with a newline": Row(pay("--config", "a\nb"), "a", 3),
    "name not UTF-8": Row(pay("--config", b"\xff"), "", 3),
    "bomb": config(lambda text: BOMB),
    "alias": config(lambda text: text.replace("HM}", "*x}")),
    "anchor": config(lambda text: text.replace("HM}", "&x HM}")),
    "tag": config(lambda text: text.replace("HM}", "!!python/object/apply:os.system [id]}")),
    "tab": config(lambda text: text.replace("    secret", "\tsecret")),
    "two documents": config(lambda text: f"{text}---\n{text}"),
    "scalar root": config(lambda text: "secret"),
    "list root": config(lambda text: "- a\n"),
    "number root": config(lambda text: "12"),
    "deep": config(lambda text: "a: " + "{a: " * 5000),
    "deep lists": config(lambda text: "[" * 5000),
    "UTF-16": config(lambda text: text.encode("utf-16")),
    "NUL": config(lambda text: text + "\0"),
    "escape": config(lambda text: text.replace("HM}", '"\\e]0;x"}')),
    "300 KB": config(lambda text: text + "#" * 300_000),
    "repeated key": config(lambda text: text + "default_profile: x\n", "default_profile"),
    "unknown key": config(lambda text: text + "    gatway: x\n", "gateway"),
    "http to elsewhere": config(lambda text: text.replace("127.0.0.1", "192.0.2.1"), "http"),
    "looks like loopback": config(lambda text: text.replace("127.0.0.1", "127.0.0.1.x"), "http"),
    "is loopback's neighbour": config(lambda text: text.replace("127.0.0.1", "0.0.0.0"), "http"),
    "default": config(lambda text: text.replace("buyer_id: 1", "buyer_id: one"), "buyer_id"),
    "card as default": config(
        lambda text: text.replace("HM}", f"HM, channel_account: '{CARD}'}}"), "channel_account"
    ),
    "secret of two lines": config(lambda text: text.replace("helloworld", '"a\\nb"'), "secret"),
    "secret in full width": config(
        lambda text: text.replace("helloworld", "ｓｅｃｒｅｔ"), "secret"
    ),
    "unknown profile": Row(pay("--profile", "store-2"), "store-2", 3),
    "hostile profile": Row(pay("--profile", "\x1b]0;x\x07\u202e"), "config.yaml", 3),
    "empty profile": Row(pay("--profile", ""), "--profile", 3),
    "two profiles": Row(("--profile", "a", *pay("--profile", "b")), "--profile"),
    "POSCTL_CONFIG missing": Row(pay(), "none.yaml", 3, env={"POSCTL_CONFIG": "none.yaml"}),
    "POSCTL_PROFILE unknown": Row(pay(), "nobody", 3, env={"POSCTL_PROFILE": "nobody"}),
    "POSCTL_JOURNAL is a folder": Row(pay(), "/usr", 31, env={"POSCTL_JOURNAL": "/usr"}),
    "POSCTL_JOURNAL is relative": Row(pay(), "sub/j", 3, env={"POSCTL_JOURNAL": "sub/j"}),
    "HOME empty": Row(pay(), "HOME", 3, env={"HOME": ""}, prepare=no_config),
    "everything empty": Row(
        pay(),
        "HOME",
        3,
        env=dict.fromkeys(("HOME", "POSCTL_CONFIG", "POSCTL_JOURNAL", "POSCTL_PROFILE"), ""),
    ),
    "secret_env empty": config(
        lambda text: text.replace("secret: helloworld", "secret_env: SHOP_SECRET"), "SHOP_SECRET"
    )._replace(env={"SHOP_SECRET": ""}),
    "secret_command fails": config(
        lambda text: text.replace("secret: helloworld", "secret_command: 'false'"), "secret_command"
    ),
    "secret_command is a shell line": config(
        lambda text: text.replace("secret: helloworld", "secret_command: 'false || echo x'"),
        "secret_command",
    ),
    "secret_file is a FIFO": Row(pay(), "pipe", 3, prepare=secret_in_a_fifo),
    "proxy": config(lambda text: text + "    proxy: socks5://127.0.0.1:1\n", "proxy"),
}

OTHERS = {
    "history --limit": Row(("history", "--limit", "9" * 5000), "--limit"),
    "history --limit １": Row(("history", "--limit", "１"), "--limit"),
    "history --day": Row(("history", "--day", "2026-02-30"), "2026-02-30"),
    "history --outcome": Row(("history", "--outcome", "lost"), "--outcome"),
    "training serve --port": Row(("training", "serve", "--port", "9" * 5000), "--port"),
    "training serve --port ７": Row(("training", "serve", "--port", "７"), "--port"),
    "retry nothing": Row(("retry",), "--last"),
    "retry of no id": Row(("retry", "a b"), "ID"),
    "show of an unknown id": Row(("show", UUID), UUID),
    "show of nothing": Row(("show",), "ID"),
    "resolve without evidence": Row(("resolve", UUID, "--as", "paid"), "--note"),
    "resolve with a hostile note": Row(
        ("resolve", UUID, "--as", "paid", "--note", "a\x1b[2J"), "--note"
    ),
    "status of two": Row(("status", UUID, "--checkout", "1"), "--checkout"),
    "status of a hostile checkout": Row(("status", "--checkout", "\u202e"), "--checkout"),
    "--lang": Row(pay("--lang", "fr"), "--lang"),
    "--wait": Row(pay("--wait", "1e3"), "--wait"),
    "--wait negative": Row(pay("--wait", "-1"), "--wait"),
    "--wait nan": Row(pay("--wait", "nan"), "--wait"),
    "--wait 5,000 digits": Row(pay("--wait", "9" * 5000), "--wait"),
    "value for a switch": Row(pay("--another=no"), "--another"),
    "command in capitals": Row(("PAY",), "PAY"),
    "hostile command": Row(("\x1b]0;owned\x07",), "owned"),
    "command not UTF-8": Row((b"\xff",), ""),
    "operator not UTF-8": Row(("history", "--operator", b"\xc4"), "UTF-8"),
    "checkout not UTF-8": Row(("checkout", b"\xc4"), "UTF-8"),
    "last operator not UTF-8": Row(("report", "--day", "today", "--operator", b"\xc4"), "UTF-8"),
    "half an option": Row(pay("--check", "1"), "--check"),
}

ROWS: dict[str, Row] = {
    f"{group}: {name}": row
    for group, rows in {
        "fee": FEES,
        "identifier": IDENTIFIERS,
        "request_id": REQUEST_IDS,
        "code": CODES,
        "file": FILES,
        "config": CONFIGS,
        "others": OTHERS,
    }.items()
    for name, row in rows.items()
}


@pytest.fixture(scope="module")
def gateway() -> Iterator[FaultServer]:
    with FaultServer(answer()) as server:
        yield server


@pytest.fixture
def store(shop: Shop, gateway: FaultServer) -> Shop:
    """A shop whose default profile leads to the gateway."""
    shop.profile(gateway.url)
    return shop


def run(shop: Shop, *args: str | bytes, stdin: bytes = b"", env: Mapping[str, str] = {}) -> Ran:
    if all(isinstance(word, str) for word in args):
        return shop.run(*map(str, args), stdin=stdin, env=env, limit_s=LIMIT_S)
    words: Any = [word.encode() if isinstance(word, str) else word for word in args]
    try:
        process = shop.start(*words, env=env, stdin=-1)
    except UnicodeDecodeError:
        pytest.skip("a command line of Windows holds no bytes")
    told = [said.decode() for said in process.communicate(stdin, timeout=LIMIT_S)]
    return Ran(process.returncode, *(said.replace(os.linesep, "\n") for said in told))


@pytest.mark.parametrize("what", ROWS)
def test_refused_before_sending(what: str, store: Shop, gateway: FaultServer) -> None:
    """Exit 2 or 3, the field named in either language, nothing sent, nothing recorded."""
    row = ROWS[what]
    row.prepare(store)
    connections = gateway.connections
    said = {}
    for lang in ("en", "zh"):
        env = {**row.env, "POSCTL_LANG": lang}
        ran = run(store, *row.args, "--json", stdin=row.stdin, env=env)
        assert ran.code == row.code, ran
        error = ran.json["error"]
        words = f"{error['message']} {error['hint']}"
        if lang == "en" or row.names != "payment code":
            assert row.names in words
        assert not OBEYED.search(ran.out + ran.err)
        assert "Traceback" not in ran.err
        assert len(ran.err) < 1500
        assert one_line(error["message"]) in ran.err
        assert CODE not in ran.out + ran.err
        said[lang] = error["message"]
    assert said["en"].strip()
    assert said["zh"].strip()
    assert said["en"] != said["zh"]
    assert gateway.connections == connections
    assert not store.recorded or row.args[0] not in ("pay", "--profile")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("name", ["config.yaml", "store.secret"])
def test_files_of_another_user(store: Shop, gateway: FaultServer, name: str) -> None:
    """A configuration or a secret that somebody else owns could be changed by them: refused."""
    (store.home / "store.secret").write_text("helloworld")
    (store.home / "store.secret").chmod(0o600)
    if name == "store.secret":
        written(lambda text: text.replace("secret: helloworld", f"secret_file: {name}"))(store)
    os.chown(store.home / name, 12345, 12345)
    connections = gateway.connections
    ran = run(store, *pay("--json"))
    assert ran.code == 3
    assert name in ran.json["error"]["message"]
    assert gateway.connections == connections


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root becomes nobody")
def test_no_home_and_no_user(shop: Shop) -> None:
    """Without HOME and without a user in the system's list there is nowhere to look: exit 3."""
    script = (
        "import os, sys, platformdirs\n"
        "from posctl.cli import app as cli; from posctl.config import profiles\n"
        "os.setuid(12345)\n"
        "sys.exit(cli.run(sys.argv[1:], os.environ, sys.stdin, sys.stdout, sys.stderr))\n"
    )
    env = {
        name: value for name, value in shop.env.items() if name not in ("HOME", "POSCTL_JOURNAL")
    }
    ran = subprocess.run(
        [sys.executable, "-c", script, "pay", "--fee", "100", "--checkout", "111", "--json"],
        env=env,
        capture_output=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert ran.returncode == 3, ran
    assert "HOME" in json.loads(ran.stdout)["error"]["hint"]


# ── what is odd and right ────────────────────────────────────────────────────────────────────

SPELLINGS = (
    UUID,
    UUID.upper(),
    UUID.replace("-", ""),
    f"{{{UUID}}}",
    f"urn:uuid:{UUID}",
    f"URN:UUID:{UUID.upper()}",
)


@pytest.mark.parametrize("text", SPELLINGS)
def test_every_spelling_of_a_uuid_is_one_id(store: Shop, text: str) -> None:
    """In braces, as URN, in capitals: the same payment, so that a repeat is a repeat."""
    ran = run(store, *pay("--dry-run", "--json", "--request-id", text))
    assert (ran.code, ran.json["request_id"]) == (0, UUID)


@pytest.mark.parametrize("end", ["", "\n", "\r", "\r\n", "\r\n\r\n"])
def test_a_scanners_line_ends_are_no_part_of_the_code(store: Shop, end: str) -> None:
    """Whatever the scanner presses after the code, the code alone is taken."""
    ran = run(store, *pay("--dry-run", "--json", "--code-stdin"), stdin=(CODE + end).encode())
    assert ran.code == 0
    assert ran.json["call"]["pay_request"]["channel_account"] == "283456******5678"


@pytest.mark.parametrize("text", ["-1", "--x", "订单-7", "é"])
def test_visible_identifiers_are_taken(store: Shop, text: str) -> None:
    """Visible characters of any script, a hyphen in front too, as long as it is no option."""
    ran = run(store, "pay", "--fee", "1", "--dry-run", "--json", "--checkout", text)
    assert (ran.code, ran.json["checkout_id"]) == (0, text)


def test_empty_variables_are_unset_ones(store: Shop, gateway: FaultServer) -> None:
    """POSCTL_… set to nothing means what it means when it is not set."""
    env = dict.fromkeys(("POSCTL_PROFILE", "POSCTL_LANG", "LANG", "LC_ALL", "SSL_CERT_FILE"), "")
    ran = run(store, *pay("--json"), env=env)
    assert (ran.code, ran.json["profile"]) == (0, "store-1")


# ── proxies and .netrc ───────────────────────────────────────────────────────────────────────

PASSWORD = "n3trc-canary"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxies_and_netrc_are_left_alone(shop: Shop, scheme: str) -> None:
    """On loopback: no proxy of the environment is asked, and no password of .netrc is sent."""
    certificates = Certificates(shop.home)
    tls = certificates.good if scheme == "https" else None
    for name in (".netrc", "_netrc"):
        netrc = shop.home / name
        netrc.write_text(
            f"machine 127.0.0.1 login u password {PASSWORD}\ndefault login u password {PASSWORD}\n"
        )
        netrc.chmod(0o600)
    with FaultServer(answer()) as proxy, FaultServer(answer(), tls=tls) as server:
        shop.profile(server.url, ca=str(certificates.ca))
        where = f"http://u:{PASSWORD}@127.0.0.1:{proxy.port}"
        names = ("http_proxy", "https_proxy", "all_proxy", "ftp_proxy")
        env = dict.fromkeys((*names, *map(str.upper, names)), where)
        env["NETRC"] = str(shop.home / ".netrc")
        ran = run(shop, *pay("--json"), env=env)
        assert ran.code == 0, ran
        assert proxy.connections == 0
        (request,) = server.requests
    head = request.partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"post /router/rest http/1.1\r\n")
    assert b"authorization" not in head
    assert b"cookie" not in head
    for form in (PASSWORD.encode(), base64.b64encode(f"u:{PASSWORD}".encode())):
        assert form not in request
    assert PASSWORD not in ran.out + ran.err


@pytest.mark.skipif(os.name == "nt", reason="Windows' names are text")
def test_a_home_whose_name_is_not_utf_8(shop: Shop) -> None:
    """A folder named in GBK holds a journal that pays, is looked at, closed, backed up and
    restored, though its name is no text; an argument that is no path is refused (2).
    """
    home = Path(os.fsdecode(os.fsencode(shop.home) + b"/\xc4\xe3"))
    home.mkdir()
    gbk = os.fsdecode(b"\xc4\xe3")
    for name in ("POSCTL_JOURNAL", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        shop.env.pop(name, None)
    shop.env |= {"HOME": str(home), "USER": gbk, "LOGNAME": gbk}
    backup = str(home / "b.db")
    for words in (
        *(("pay", "--fee", "1", "--checkout", "1"), ("pending",), ("doctor",), ("metrics",)),
        *(("journal", "check"), ("journal", "backup", backup), ("report", "--close", "--yes")),
        ("journal", "restore", backup, "--yes"),
        *(("history",), ("history", "--csv", str(home / "h.csv")), ("config", "path")),
    ):
        ran = shop.run("--profile", "training", *words)
        assert ran.code == 0, (words, ran)
    for refused in (("checkout", gbk), ("history", "--operator", gbk), ("explain", gbk)):
        assert shop.run("--profile", "training", *refused).code == 2
