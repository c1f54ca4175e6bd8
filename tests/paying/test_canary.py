"""Canaries: a secret, codes, a card number, a session and a proxy's password that nobody may meet.

Every command and every way to fail is run with them; then every byte of stdout, stderr, the process
list, the home folder, the journal and the temporary folder is searched, in any spelling.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from conftest import Ran, Shop
from faultserver import (
    HTML,
    PAID,
    Behaviour,
    FaultServer,
    Talk,
    answer,
    cut_after_reading,
    garbage_status,
    gzip_bomb,
    hang,
    http,
    oversized,
    redirect,
    refusing_port,
    reset_after_reading,
    truncated_length,
)
from forks import REAL
from pty_run import pty_run

from posctl.cli.app import COMMANDS
from posctl.config.profiles import load
from posctl.money.order import Limits, check

PAY = ("pay", "--fee", "100", "--checkout")


def luhn(digits: str) -> str:
    """`digits` and the check digit that makes a card number of them."""
    total = sum(sum(divmod(int(d) * (2 - i % 2), 10)) for i, d in enumerate(reversed(digits)))
    return digits + str(-total % 10)


def digits(count: int) -> str:
    return "".join(secrets.choice("0123456789") for _i in range(count))


class Canary:
    """The values, everything that was said, and the search. `watched`: what the machine sees of a
    process is looked at, too, for which each has an interpreter of its own.
    """

    def __init__(self, shop: Shop, *, watched: bool = False) -> None:
        self.shop = shop
        unique = secrets.token_hex(12)
        self.secret = f's3cr3t"+/&%<{unique}'
        self.session = f"s3ss10n+/&%<{unique}"
        self.password = f"pr0xy-{unique}"
        self.code = "28" + digits(16)
        self.codes = [self.code]
        self.card = luhn("411111" + digits(9))
        self.said: list[tuple[str, bytes]] = []
        self.holders: set[Path] = set()  # files that are there to hold them
        self.tmp = shop.home / "tmp"
        self.tmp.mkdir(parents=True)
        shop.env["TMPDIR"] = str(self.tmp)
        self._watching = threading.Event()
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch_processes, daemon=True)
        if watched:
            shop.env |= REAL
            self._watcher.start()

    def profile(self, url: str, **keys: Any) -> None:
        kept = self.shop.home / "store.secret"
        kept.write_text(self.secret)
        kept.chmod(0o600)
        secret = {"secret": None, "secret_file": str(kept)}
        self.shop.profile(
            url, **(secret | {"session": f"'{self.session}'", "merchant": "hema"} | keys)
        )
        self.holders |= {kept, self.shop.home / "config.yaml"}

    def file(self, name: str, text: str) -> str:
        """An input file that holds them by nature."""
        path = self.shop.home / name
        path.write_text(text)
        path.chmod(0o600)
        self.holders.add(path)
        return name

    def run(self, *args: str, stdin: str = "") -> Ran:
        self._watching.set()
        ran = self.shop.run(*args, stdin=stdin)
        self._watching.clear()
        self.said.append((" ".join(args[:3]), (ran.out + ran.err).encode()))
        assert ran.code != 1 or "--debug" in args, ran  # 1 is a bug
        return ran

    def fresh_code(self) -> None:
        """Another customer's: a code pays once."""
        self.code = "28" + digits(16)
        self.codes.append(self.code)

    def pay(self, checkout: str, *args: str) -> Ran:
        return self.run(*PAY, checkout, "--code-stdin", *args, stdin=self.code)

    def terminal(self, *args: str, answers: tuple[tuple[str, str], ...] = (), code: int) -> None:
        """On a terminal, where what is typed could be echoed."""
        self._watching.set()
        shown = pty_run([*self.shop.command, *args], env=self.shop.env, answers=answers)
        self._watching.clear()
        assert shown.exit_code == code, shown.text
        self.said.append((f"terminal: {' '.join(args[:3])}", shown.raw))

    def _watch_processes(self) -> None:
        seen: set[bytes] = set()
        while not self._stop.is_set():
            if not self._watching.wait(0.1):
                continue
            for process in os.listdir("/proc"):  # noqa: PTH208  names, while processes come and go
                with suppress(OSError):  # it has gone, or is none
                    seen.add(Path("/proc", process, "cmdline").read_bytes())
            self._stop.wait(0.03)  # of the 200 ms that a command lives
        self.said.append(("the process list", b"\n".join(seen)))

    def search(self) -> None:
        """Nothing of them anywhere. Payments must be closed by now."""
        self._stop.set()
        if self._watcher.is_alive():
            self._watcher.join()
        places = list(self.said)
        files = [path for path in self.shop.home.rglob("*") if path.is_file()]
        places += [(str(path), path.read_bytes()) for path in files if path not in self.holders]
        assert len(places) > 3
        needles = [
            *spellings(self.secret),
            *spellings(self.session),
            *spellings(self.password),
            *(code[i : i + 12] for code in self.codes for i in range(7)),
            *(spelt for code in self.codes for spelt in spellings(code)),
            *(self.card[i : i + 11] for i in range(6)),
            *spellings(self.card),
        ]
        found = [
            (place, needle)
            for place, text in places
            for needle in needles
            if needle.encode() in text
        ]
        assert found == []


def spellings(value: str) -> set[str]:
    """As it is, in URLs, in JSON, in base64 at any offset, in hexadecimal, reversed."""
    inner = {base64.b64encode(b"x" * i + value.encode())[4:-4].decode() for i in range(3)}
    plain = {value, quote(value), quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1]}
    plain |= {one.lower() for one in plain} | {value.replace("/", "\\/"), repr(value)[1:-1]}
    return plain | inner | {value.encode().hex(), value[::-1]}


@pytest.fixture
def canary(shop: Shop) -> Iterator[Canary]:
    made = Canary(shop)
    yield made
    made.search()


@pytest.fixture
def watched(shop: Shop) -> Iterator[Canary]:
    """The processes' command lines are searched, too."""
    made = Canary(shop, watched=True)
    yield made
    made.search()
    assert any(where == "the process list" and b"posctl" in seen for where, seen in made.said)


def close_all(canary: Canary) -> None:
    """A person closes whatever is open: from then on no file of the journal may hold a code."""
    for payment in json.loads(canary.shop.run("pending", "--json").out)["payments"]:
        ran = canary.run("resolve", payment["request_id"], "--as", "not-paid", "--note", "test")
        assert ran.code == 0
    assert json.loads(canary.shop.run("pending", "--json").out)["payments"] == []


# ── every event ──────────────────────────────────────────────────────────────────────────────


def echo(talk: Talk) -> None:
    """A debugging page between here and the gateway that shows what it got."""
    body = talk.read_request().partition(b"\r\n\r\n")[2]
    page = b"<pre>" + body + b"</pre>"
    talk.send(http("500 Oops", f"Content-Length: {len(page)}", body=page))
    talk.close()


def said_back(**members: str) -> Callable[[Canary], Behaviour]:
    """An answer whose texts hold the code and the session."""

    def behaviour(canary: Canary) -> Behaviour:
        words = f"{canary.code} {canary.session}"
        tree = {name: value.replace("ALL", words) for name, value in members.items()}
        return answer(json.dumps({"error_response": tree}).encode())

    return behaviour


def verdict(status: int) -> Callable[[Canary], Behaviour]:
    """An answer of the business that repeats the code in each of its texts."""

    def behaviour(canary: Canary) -> Behaviour:
        model = {
            "result_status": status,
            "result_code": canary.code,
            "result_message": f"code {canary.code} of {canary.session}",
            "payment_order_id": canary.code,
            "channel_order_id": canary.code,
        }
        result = {"model": model, "msg_code": canary.code, "msg_info": canary.session}
        tree = {"alibaba_pos_order_pay_response": {"result": result, "request_id": canary.code}}
        return answer(json.dumps(tree).encode())

    return behaviour


EVENTS: dict[str, Callable[[Canary], Behaviour]] = {
    "paid": lambda canary: answer(PAID),
    "paid, repeated": verdict(1),
    "failed, repeated": verdict(2),
    "pending, repeated": verdict(3),
    "no verdict, repeated": verdict(9),
    "refused": said_back(code="25", msg="ALL", sub_code="isv.ALL", sub_msg="ALL", request_id="ALL"),
    "by the business": said_back(code="15", msg="x", sub_code="isv.x", sub_msg="code ALL used"),
    "system error": said_back(code="15", msg="ALL", sub_code="isp.x", sub_msg="ALL"),
    "echo": lambda canary: echo,
    "echo of JSON": lambda canary: answer(json.dumps({"sent": [canary.code] * 3}).encode()),
    "redirect": lambda canary: redirect("302 Found", f"http://127.0.0.1:1/?code={canary.code}"),
    "login page": lambda canary: answer(HTML + canary.code.encode()),
    "cut": lambda canary: cut_after_reading,
    "reset": lambda canary: reset_after_reading,
    "hang": lambda canary: hang,
    "garbage": lambda canary: garbage_status,
    "truncated": lambda canary: truncated_length,
    "oversized": lambda canary: oversized,
    "gzip bomb": lambda canary: gzip_bomb(),
}


@pytest.mark.parametrize("event", EVENTS)
def test_every_event(canary: Canary, event: str) -> None:
    """However the gateway answers, or does not: nothing of them is said or kept."""
    with FaultServer(EVENTS[event](canary)) as server:
        canary.profile(server.url, timeout="{connect: 1, read: 1, total: 2}")
        canary.pay("1", "--debug")
        canary.pay("2", "--json", "--debug")
        canary.pay("2", "--debug", "--lang", "zh")
        canary.run("retry", "--all", "--debug", "--json")
        one, *_others = json.loads(canary.shop.run("history", "--json").out)["payments"]
        canary.run("show", one["request_id"], "--json")
        canary.run("show", one["request_id"])
        if one["closed_at"] is None:
            canary.run("status", one["request_id"], "--json")
        canary.run("pending")
        close_all(canary)
        assert server.requests


def test_no_connection(canary: Canary, tmp_path: Path) -> None:
    """Refused, unknown, untrusted, or a proxy with a password that refuses."""
    with refusing_port() as port:
        canary.profile(f"http://127.0.0.1:{port}/")
        canary.pay("1", "--debug", "--json")
        canary.profile("https://gateway.invalid/", proxy="none")
        canary.pay("2", "--debug")
        proxy = f"http://user:{canary.password}@127.0.0.1:{port}"
        canary.profile("https://gateway.invalid/", proxy=proxy)
        canary.pay("3", "--debug", "--json")
        canary.run("config", "show")
        canary.run("config", "check", "--json")
        canary.run("doctor", "--json")
        canary.run("doctor")
    with FaultServer(answer(status="407 Proxy Authentication Required")) as server:
        proxy = f"http://user:{canary.password}@127.0.0.1:{server.port}"
        canary.profile("https://gateway.invalid/", proxy=proxy)
        canary.pay("4", "--debug")
        canary.profile(f"https://127.0.0.1:{server.port}/")
        canary.pay("5", "--debug", "--json")
    canary.profile("https://gateway.invalid/", proxy=f"socks5://u:{canary.password}@h:1")
    canary.pay("6", "--json")
    canary.profile("https://gateway.invalid/")
    close_all(canary)


# ── every command ────────────────────────────────────────────────────────────────────────────

ANY = "REQUEST_ID"
RUNS: tuple[tuple[str, ...], ...] = (
    ("pay", "--dry-run", "--fee", "1", "--checkout", "1", "--file", "order.json"),
    ("pay", "--dry-run", "--fee", "1", "--checkout", "1", "--file", "order.json", "--json"),
    ("pay", "--fee", "1", "--checkout", "file", "--file", "order.json", "--debug"),
    ("pay", "--fee", "1", "--checkout", "file", "--field", "call"),
    ("retry", "--all", "--debug"),
    ("retry", "--due", "--json"),
    ("metrics",),
    ("metrics", "--json"),
    ("retry", ANY, "--json"),
    ("pending", "--check"),
    ("pending", "--json"),
    ("show", ANY),
    ("show", ANY, "--json"),
    ("show", ANY, "--field", "tries.1.raw"),
    ("checkout", "111"),
    ("history", "--json"),
    ("history", "--day", "today"),
    ("status", ANY, "--debug"),
    ("resolve", ANY, "--as", "paid", "--note", "seen"),
    ("report", "--day", "today"),
    ("report", "--json"),
    ("report", "--close"),
    ("report", "--verify"),
    ("receipt", "--last"),
    ("receipt", "--last", "--copy", "store"),
    ("till",),
    ("batch", "orders.jsonl", "--debug"),
    ("batch", "orders.csv", "--json"),
    ("batch", "orders.jsonl"),
    ("init",),
    ("reconcile", "statement.csv"),
    ("config", "show"),
    ("config", "show", "--json"),
    ("config", "check"),
    ("config", "path"),
    ("config", "example"),
    ("journal", "check"),
    ("journal", "backup", "b.db"),
    ("journal", "restore", "b.db", "--json"),
    ("journal", "prune", "--older-than", "7", "--export", "e.jsonl"),
    ("doctor",),
    ("doctor", "--json"),
    ("explain", "25"),
    ("help", "pay"),
    ("completion", "bash"),
    ("training", "reset"),
    ("training", "serve", "--port", "99999"),
)


def test_every_command_is_run() -> None:
    """No command is added without its canaries."""
    assert {words[0] for words in RUNS} == set(COMMANDS)


def test_every_command(watched: Canary) -> None:
    """Each command, with its help, on a journal full of payments made with them."""
    order = {"channel_account": watched.code, "alipay_account": watched.card, "attributes": "a"}
    watched.file("order.json", json.dumps(order))
    line = {"pay_fee": 1, "checkout_id": "b1", "channel_account": watched.code}
    watched.file("orders.jsonl", json.dumps(line) + "\n" + json.dumps(line | {"checkout_id": "b2"}))
    watched.file("orders.csv", f"pay_fee,checkout_id,channel_account\n1,b3,{watched.code}\n")
    (watched.shop.home / "statement.csv").write_text("payment_order_id,amount\np-1,1.00\n")
    pending = PAID.replace(b'"result_status":1', b'"result_status":3')
    with FaultServer(answer(PAID)) as server:
        card = {"allow_card_numbers": "true", "max_fee": "1000"}
        watched.profile(server.url, **card)
        watched.pay("111")
        watched.fresh_code()
        server.then(answer(pending))
        some = json.loads(watched.pay("112", "--json").out)["request_id"]
        watched.fresh_code()
        watched.pay("113", "--wait", "0.1")
        server.then(answer(PAID))
        for words in RUNS:
            watched.run(*(some if word == ANY else word for word in words))
        for name in COMMANDS:
            watched.run(name, "-h")
        watched.run("--version")
        watched.run("-h", "--lang", "zh")
        server.then(cut_after_reading)
        watched.run(*PAY, "card", "--code-stdin", stdin=watched.card)
        server.then(answer(PAID))
        watched.run("retry", "--last")
        close_all(watched)
        watched.run("journal", "backup", "after.db")
        form = server.requests[0]
        assert quote_plus(watched.session).encode() in form  # they did travel
        assert any(code.encode() in form for code in watched.codes)


# ── usage, configuration, journal ────────────────────────────────────────────────────────────


def test_usage(canary: Canary) -> None:
    """Typed, scanned or written where they do not belong: refused without being repeated."""
    with FaultServer(answer()) as server:
        canary.profile(server.url)
        for value in (canary.code, canary.card, f"{canary.code}{canary.code}"):
            for args in (
                (value,),
                ("pay", value),
                ("pay", f"--{value}", "1"),
                (*PAY, "1", "--code", f"{value} "),
                (*PAY, "1", "--code", value, "--scan"),
                (*PAY, "1", "--fee", value),
                ("pay", "--checkout", "1", "--fee", value),
                (*PAY, "1", "--buyer", f"{value}{value}"),
                (*PAY, "1", "--wait", value),
                (*PAY, "1", "--lang", value),
                ("history", "--limit", value),
                ("history", "--outcome", value),
                ("training", "serve", "--port", value),
            ):
                ran = canary.run(*args, "--json")
                assert ran.code == 2, ran
        for raw in (
            f"{canary.code}\n{canary.code}",
            canary.code * 2,
            canary.card,
            f"%B{canary.card}^X?",
            f";{canary.card}=2512101?",
            f"{canary.code[:9]}\0{canary.code[9:]}",
        ):
            assert canary.run(*PAY, "1", "--code-stdin", stdin=raw).code == 2
        for text in (
            f'{{"channel_account":"{canary.code}"',
            f'{{"channel_account":{canary.code}}}',
            f'{{"channel_account":"{canary.card}"}}',
            f'{{"channel_account":"{canary.code}","channel_account":"{canary.code}"}}',
            f'{{"{canary.code}":1}}',
            f'{{"{canary.code}":1,"{canary.code}":2}}',
            f'["{canary.code}"]',
            canary.code,
        ):
            name = canary.file("bad.json", text)
            assert canary.run(*PAY, "1", "--file", name, "--json").code == 2
            assert canary.run("batch", canary.file("bad.jsonl", text)).code == 2
        canary.run(*PAY, "1", "--code", canary.code, "--json")
        assert server.requests
        close_all(canary)


def test_configuration(canary: Canary) -> None:
    """A secret in a place or a form that cannot be used is not shown in the complaint."""
    bad = f"'{canary.secret}\\n'"
    with FaultServer(answer()) as server:
        env = {"SHOP_SECRET": canary.secret + "\n\n"}
        printing = f"{sys.executable} -c 'print(1); print(open(\"store.secret\").read())'"
        for keys in (
            {"secret": bad},
            {"secret": f"'{canary.secret}", "secret_file": None},
            {"secret": f"{{{canary.secret}: x}}", "secret_file": None},
            {"secret": f"[{canary.secret}]", "secret_file": None},
            {"secret": f"'{canary.secret}'", "secret_env": "X"},
            {canary.secret: "x"},
            {"session": f"'{canary.session} x'"},
            {"sign_method": f"'{canary.secret}'"},
            {"gateway": f"https://u:{canary.password}@h/"},
            {"gateway": f"https://h/?x={canary.password}"},
            {"max_fee": f"'{canary.secret}'"},
            {"secret_file": None, "secret_env": "SHOP_SECRET"},
            {"secret_file": None, "secret_command": json.dumps(printing)},
            {"secret_file": None, "secret_command": json.dumps(f"false {canary.secret}")},
            {"secret_file": "config.yaml"},
            {"status_words": f"{{'{canary.secret}': x}}"},
            {"defaults": f"{{shop_id: '{canary.secret}'}}"},
            {"defaults": f"{{shop_id: '1', channel_account: '{canary.card}'}}"},
        ):
            canary.profile(server.url, **keys)
            canary.shop.env |= env
            ran = canary.pay("1", "--debug", "--json")
            assert ran.code == 3, (keys, ran)
            canary.run("config", "check")
            canary.run("config", "show", "--json")
            canary.run("doctor")
        canary.profile(server.url)
        (canary.shop.home / "store.secret").chmod(0o644)
        assert canary.pay("1", "--debug").code == 3
        assert not any(b"pay_request" in request for request in server.requests)


def test_journal_faults(canary: Canary) -> None:
    """A journal that cannot be used, before and while a payment is sent."""
    with FaultServer(answer(), on_first_byte=canary.shop.journal.unlink) as server:
        canary.profile(server.url)
        canary.pay("1", "--debug")
        canary.pay("1", "--debug", "--json")
        canary.run("journal", "check")
        (canary.shop.home / "journal.db.held").unlink(missing_ok=True)
        for tail in ("-wal", "-shm"):  # of the file that was deleted under it
            Path(f"{canary.shop.journal}{tail}").unlink(missing_ok=True)
        canary.shop.journal.write_bytes(b"no journal" * 1000)
        canary.pay("2", "--debug", "--json")


BUG = """
import os, sys
from posctl.cli import app as cli
from posctl.paying import answer, desk
from posctl.gateway import top
def broken(*args, **named):
    raise ValueError(args, named)
where = {"before": (desk, "signed_form"), "after": (answer, "read_reply")}[sys.argv.pop(1)]
setattr(*where, broken)
sys.exit(cli.run(sys.argv[1:], os.environ, sys.stdin, sys.stdout, sys.stderr))
"""


@pytest.mark.parametrize(("where", "code"), [("before", (1, 21)), ("after", (21,))])
def test_tracebacks(canary: Canary, where: str, code: tuple[int, ...]) -> None:
    """A bug whose exception quotes everything it got: the traceback quotes nothing."""
    with FaultServer(answer()) as server:
        canary.profile(server.url)
        for more in ((), ("--json",), ("--debug",), ("--debug", "--json")):
            done = subprocess.run(
                [sys.executable, "-c", BUG, where, *PAY, "1", "--code-stdin", *more],
                input=canary.code.encode(),
                env=canary.shop.env,
                capture_output=True,
                check=False,
            )
            canary.said.append((f"bug {where}", done.stdout + done.stderr))
            assert done.returncode in code, done
        close_all(canary)


# ── at the terminal, and interrupted ─────────────────────────────────────────────────────────


def test_scanned_at_a_terminal(canary: Canary) -> None:
    """What the scanner types is not echoed, and the screen shows its first six and last four."""
    with FaultServer(answer()) as server:
        canary.profile(server.url)
        prompt = "Scan the payment code"
        canary.terminal(*PAY, "1", "--scan", answers=((prompt, f"{canary.code}\r"),), code=0)
        canary.terminal(*PAY, "2", "--scan", answers=((prompt, f"{canary.card}\r"),), code=2)
        answers = ((prompt, f"{canary.code[:9]}\x03"),)
        canary.terminal(*PAY, "3", "--scan", answers=answers, code=130)
        answers = ((prompt, f"{canary.code}\r"),)
        canary.terminal(*PAY, "4", "--scan", "--dry-run", answers=answers, code=0)
        assert len(server.requests) == 1
        close_all(canary)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(canary: Canary, how: signal.Signals) -> None:
    """Ctrl-C while the gateway is silent: unknown (21), and nothing of them on the screen."""
    arrived = threading.Event()
    with FaultServer(hang, on_first_byte=arrived.set) as server:
        canary.profile(server.url, timeout="{connect: 5, read: 30, total: 60}")
        process = canary.shop.start(*PAY, "1", "--code-stdin", "--debug", stdin=subprocess.PIPE)
        process.stdin.write(canary.code.encode())
        process.stdin.close()
        process.stdin = None
        assert arrived.wait(30)
        process.send_signal(how)
        out, err = process.communicate(timeout=30)
        canary.said.append(("interrupted", out + err))
        assert process.returncode == 21
        close_all(canary)


# ── objects ──────────────────────────────────────────────────────────────────────────────────


def test_no_object_shows_them(canary: Canary) -> None:
    """The repr of what holds them: a log or a debugger would print it."""
    canary.profile("https://gateway.invalid/", proxy=f"http://u:{canary.password}@h:1")
    shop = canary.shop
    loaded = load(str(shop.home / "config.yaml"), None, {"POSCTL_JOURNAL": str(shop.journal)})
    given = {"pay_fee": "1", "checkout_id": "1", "channel_account": canary.code}
    order = check(given, {}, loaded.profile.defaults, Limits(100))
    wire = order.wire("12345678")
    for thing in (loaded, loaded.profile, loaded.profile.secret, order):
        canary.said.append(("repr", repr(thing).encode()))
        canary.said.append(("str", str(thing).encode()))
    assert canary.code in wire
    assert loaded.profile.secret.reveal({}) == canary.secret


def test_the_search_finds_what_is_there(shop: Shop) -> None:
    """The search itself: each canary, in each spelling, in each place."""
    for value in ("secret", "session", "password", "code", "card"):
        for spelling in (0, 1, 2):
            canary = Canary(Shop(shop.home / f"{value}{spelling}", dict(shop.env)))
            text = getattr(canary, value)
            hidden = (text, base64.b64encode(b"ab" + text.encode()).decode(), quote(text, safe=""))
            (canary.tmp / "log").write_text(f"x{hidden[spelling]}y")
            canary.said += [("a", b""), ("b", b""), ("c", b"")]
            with pytest.raises(AssertionError):
                canary.search()
