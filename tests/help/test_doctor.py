"""`posctl doctor`: what it finds on real files and sockets, and that it touches no money."""

from __future__ import annotations

import io
import os
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest
from conftest import Ran, Shop
from faultserver import (
    HTML,
    NO_SUCH_NAME,
    PAID,
    Behaviour,
    Certificates,
    FaultServer,
    Talk,
    answer,
    cut_after_reading,
    handshake_cut,
    hang,
    proxy_refuses,
    proxy_tunnels,
    redirect,
    refusing_port,
)
from hypothesis import given
from hypothesis import strategies as st
from pty_run import pty_run

from posctl.config.profiles import load
from posctl.help import certificate, doctor
from posctl.help.doctor import (
    Check,
    Doctor,
    by_lists,
    disk,
    files,
    journal_check,
    shared_journal,
    terminal,
    worst,
    zone,
)
from posctl.help.screen import NAMES
from posctl.journal.open import open_journal
from posctl.journal.sqlite import SqliteJournal
from posctl.journal.sqlite_file import MIGRATIONS
from posctl.money.outcome import Exit
from posctl.sddl import Others, inherits_list, others_in, private_list
from posctl.shell import as_text

if TYPE_CHECKING:
    from pgserver import Database

REFUSED = b'{"error_response":{"code":21,"msg":"Missing Method","request_id":"t-1"}}'
NOON_S = 1_900_000_000  # a time of day in 2030, for certificates and clocks
DAY_S = 86_400


@pytest.mark.parametrize(
    ("tz", "warned"),
    [
        *((name, True) for name in ("Asia/Shanghai", ":Asia/Shanghai", "PRC", "Etc/GMT-8")),
        *((name, False) for name in ("", "UTC", "CST-8", "CST-08:00", "IST-5:30", "EST5EDT")),
    ],
)
def test_a_time_zone_that_windows_does_not_know(tz: str, *, warned: bool) -> None:
    """On Windows a TZ with a city or a country in it is UTC, and doctor says so; nowhere else."""
    environ = {"TZ": tz} if tz else {}
    assert zone(environ, "nt").status == ("warn" if warned else "good")
    assert zone(environ, "posix").status == "good"


@pytest.mark.parametrize(
    "tz", ["UTC+8", "GMT+08:00", "Asia/Shanghai", "Asia/Shanghi", "CST", "北京"]
)
def test_a_wrong_time_zone_on_windows(tz: str) -> None:
    """What is no zone to Windows, or turned, is told there with what Windows understands."""
    found = zone({"TZ": tz}, "nt")
    assert found.status == "warn"
    assert ("the sign is the other way round" in found.message) == ("+" in tz)
    assert "TZ=CST-8" in as_text(found.hint)


@pytest.mark.parametrize(
    ("tz", "said", "typed"),
    [
        ("Asia/Shanghi", "names no time zone", "Set TZ=Asia/Shanghai"),
        (":Asia/Shangai", "names no time zone", "Set TZ=Asia/Shanghai"),
        ("CST", "names no time zone", "Set TZ="),
        ("北京", "names no time zone", "Set TZ=Asia/Shanghai"),
        ("zone.tab", "names no time zone", "Set TZ="),
        ("UTC+8", "the sign is the other way round", "Set TZ=Asia/Shanghai"),
        ("GMT+08:00", "the sign is the other way round", "Set TZ="),
    ],
)
def test_a_time_zone_that_is_none(shop: Shop, tz: str, said: str, typed: str) -> None:
    """A TZ that the C library takes for another zone is told by doctor, and by report on stderr."""
    found = zone({"TZ": tz}, "posix")
    assert found.status == "warn"
    assert said in found.message
    assert typed in as_text(found.hint)
    shop.env["TZ"] = tz
    ran = shop.run("--profile", "training", "report", "--day", "today")
    assert ran.code == 0
    assert said in ran.err


@pytest.mark.parametrize(
    ("tz", "told"),
    [("Asia/Shanghai", "UTC+08:00"), ("IST-5:30", "UTC+05:30"), ("UTC+8", "UTC-08:00")],
)
def test_the_zone_is_said(trained: Callable[..., Ran], tz: str, told: str) -> None:
    """doctor, a report, its page and a receipt say of which zone their days and times are."""
    env = {"TZ": tz}
    trained("pay", "--fee", "100", "--checkout", "1", env=env)
    assert told in checks(trained("doctor", "--json", env=env))["zone"]["message"]
    asked = ("report", "--day", "today")
    assert f"· {told}" in trained(*asked, "--format", "text", "--html", "r.html", env=env).out
    assert trained(*asked, "--field", "zone", env=env).out == f"{told}\n"
    assert told in trained("receipt", "--last", env=env).out


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


def refusing(body: bytes = REFUSED, clock_s: float | None = None) -> Behaviour:
    """TOP as it answers a call without a method, at `clock_s`, else now."""

    def behave(talk: Talk) -> None:
        date = formatdate(time.time() if clock_s is None else clock_s, usegmt=True)
        answer(body, headers={"Date": date})(talk)

    return behave


def checks(ran: Ran) -> dict[str, dict[str, str]]:
    """The checks of a run by name."""
    assert ran.json["command"] == "doctor"
    assert ran.json["exit_code"] == ran.code
    return {check["name"]: check for check in ran.json["checks"]}


def examined(shop: Shop, now_s: float) -> dict[str, Check]:
    """The checks at a time of the test's choice, in this process."""
    found = Doctor(shop.env, lambda: now_s, time.monotonic, None).examine(
        lambda: load(None, None, shop.env)
    )
    return {check.name: check for check in found}


# ── all is well ──────────────────────────────────────────────────────────────────────────────


def test_a_healthy_till_is_told_so(shop: Shop) -> None:
    """With everything in place each check is good, and the exit code is 0."""
    with FaultServer(refusing()) as server:
        shop.profile(server.url)
        ran = shop.run("doctor", "--json")
    assert ran.code == 0, ran
    assert {check["status"] for check in ran.json["checks"]} == {"good"}
    assert list(checks(ran)) == [
        *("config", "secret", "place", "files", "journal", "disk"),
        *("dns", "tcp", "gateway", "clock", "terminal", "zone"),
    ]
    assert ran.json["profile"] == "store-1"
    assert ran.json["error"] is None


def test_a_profile_that_cannot_pay_alone_is_told_so(shop: Shop) -> None:
    """What each payment needs and the profile does not give is named, with its flags."""
    with FaultServer(refusing()) as server:
        shop.profile(server.url, defaults='{shop_id: "1", machine_id: "001", source: hema}')
        ran = shop.run("doctor", "--json")
    check = checks(ran)["config"]
    assert (ran.code, check["status"]) == (0, "warn")
    assert "Not in its defaults: operator_id, buyer_id, merchant_code." in check["message"]
    assert "--operator --buyer --merchant" in check["hint"]


def test_it_touches_no_money_and_tells_no_secret(shop: Shop) -> None:
    """What travels names no method, no key and no signature; nothing is recorded."""
    with FaultServer(refusing()) as server:
        shop.profile(server.url)
        ran = shop.run("doctor")
        (body,) = server.bodies()
        (request,) = server.requests
    assert ran.code == 0
    assert parse_qs(body.decode()) == {"v": ["2.0"], "format": ["json"]}
    assert b"helloworld" not in request
    assert b"12345678" not in request
    assert "helloworld" not in ran.out + ran.err
    assert not shop.recorded


def test_the_training_gateway_needs_no_network(trained: Callable[..., Ran], shop: Shop) -> None:
    """For profile training there is nothing to reach, and nothing is left behind."""
    before = sorted(shop.home.iterdir())
    ran = trained("doctor", "--json")
    assert ran.code == 0, ran
    assert "dns" not in checks(ran)
    assert sorted(shop.home.iterdir()) == before


# ── configuration and secret ─────────────────────────────────────────────────────────────────


def test_without_a_configuration_it_says_what_to_type(shop: Shop) -> None:
    """On a fresh machine the one thing to do is to make a configuration."""
    ran = shop.run("doctor", "--json")
    assert ran.code == 3
    assert checks(ran)["config"]["status"] == "bad"
    assert checks(ran)["config"]["hint"]
    assert ran.json["error"]["code"] == "config"


def test_a_secret_that_others_can_read_is_bad(shop: Shop) -> None:
    """A secret file with a loose mode is refused as a payment would refuse it."""
    kept = shop.home / "s.secret"
    kept.write_text("helloworld\n")
    kept.chmod(0o644)
    with FaultServer(refusing()) as server:
        shop.profile(server.url, secret=None, secret_file=kept)
        ran = shop.run("doctor", "--json")
    assert ran.code == 3
    assert checks(ran)["secret"]["status"] == "bad"
    typed = "icacls" if sys.platform == "win32" else "chmod 600"
    assert typed in checks(ran)["secret"]["hint"]
    assert checks(ran)["gateway"]["status"] == "good"  # the rest is looked at all the same


def test_a_proxy_that_cannot_be_used_is_the_configurations_fault(shop: Shop) -> None:
    """What the gateway refuses before it sends anything is exit 3, not 11."""
    shop.profile("https://eco.invalid/router/rest")
    ran = shop.run("doctor", "--json", env={"ALL_PROXY": "socks5://127.0.0.1:1"})
    assert ran.code == 3
    assert checks(ran)["proxy"]["status"] == "bad"


def test_certificates_that_cannot_be_read_are_the_configurations_fault(shop: Shop) -> None:
    """A `ca` that holds no certificates is exit 3, and named."""
    broken = shop.home / "ca.pem"
    broken.write_text("no certificate")
    shop.profile("https://127.0.0.1:9/router/rest", ca=broken)
    ran = shop.run("doctor", "--json")
    assert ran.code == 3
    assert str(broken) in checks(ran)["tls"]["message"]


# ── the way to the gateway ───────────────────────────────────────────────────────────────────


def test_a_name_that_does_not_resolve(shop: Shop) -> None:
    """DNS is named as the step that fails, and nothing behind it is guessed at."""
    shop.profile(f"https://{NO_SUCH_NAME}/router/rest")
    ran = shop.run("doctor", "--json")
    assert ran.code == 11
    assert checks(ran)["dns"]["status"] == "bad"
    assert not {"tcp", "tls", "gateway", "clock"} & checks(ran).keys()


def test_a_port_that_refuses(shop: Shop) -> None:
    """A closed port is TCP's line; the name before it was good."""
    with refusing_port() as port:
        shop.profile(f"http://127.0.0.1:{port}/router/rest")
        ran = shop.run("doctor", "--json")
    assert ran.code == 11
    assert checks(ran)["dns"]["status"] == "good"
    assert checks(ran)["tcp"]["status"] == "bad"
    assert ran.json["error"]["code"] == "tcp"


@pytest.mark.parametrize(
    "behaviour",
    [
        answer(HTML),
        answer(b"", status="502 Bad Gateway"),
        answer(PAID),
        answer(b'{"error_response":{"msg":"no code"}}'),
        redirect("302 Found", "https://login.example/"),
        cut_after_reading,
        hang,
    ],
    ids=["login-page", "502", "paid", "no-code", "redirect", "cut", "hang"],
)
def test_what_is_no_answer_of_top_is_bad(behaviour: Behaviour, shop: Shop) -> None:
    """A login page, a proxy's error or silence is not taken for the gateway."""
    with FaultServer(behaviour) as server:
        shop.profile(server.url, timeout="{connect: 2, read: 0.3, total: 2}")
        ran = shop.run("doctor", "--json")
    assert ran.code == 11
    assert checks(ran)["tcp"]["status"] == "good"
    assert checks(ran)["gateway"]["status"] == "bad"
    assert "clock" not in checks(ran)
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", [9, 21, 22, 24, 28, 40])
def test_any_refusal_of_top_proves_that_it_is_there(code: int, shop: Shop) -> None:
    """Whichever of its codes TOP refuses an empty call with, it is TOP."""
    with FaultServer(refusing(b'{"error_response":{"code":%d,"msg":"no"}}' % code)) as server:
        shop.profile(server.url)
        ran = shop.run("doctor", "--json")
    assert ran.code == 0
    assert str(code) in checks(ran)["gateway"]["message"]


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────


def test_a_private_authority_is_said(shop: Shop, certificates: Certificates) -> None:
    """A certificate that only `ca` trusts works, and the line says whose it is: a warning."""
    with FaultServer(refusing(), tls=certificates.good) as server:
        shop.profile(server.url, ca=certificates.ca)
        ran = shop.run("doctor", "--json")
    assert ran.code == 0, ran
    tls = checks(ran)["tls"]
    assert tls["status"] == "warn"
    assert "trustme" in tls["message"]
    assert str(certificates.ca) in tls["message"]
    assert checks(ran)["gateway"]["status"] == "good"


@pytest.mark.parametrize("kind", ["unknown_ca", "expired", "other_name"])
def test_a_refused_certificate_names_its_issuer(
    kind: str, shop: Shop, certificates: Certificates
) -> None:
    """A certificate that is not accepted is told with its issuer: it shows who intercepts."""
    with FaultServer(refusing(), tls=getattr(certificates, kind)) as server:
        shop.profile(server.url, ca=certificates.ca)
        ran = shop.run("doctor", "--json")
    assert ran.code == 11
    tls = checks(ran)["tls"]
    assert tls["status"] == "bad"
    assert "trustme" in tls["message"]
    assert server.requests == []


def test_a_handshake_that_is_cut(shop: Shop, certificates: Certificates) -> None:
    """No TLS at all is the TLS line's, without an issuer."""
    with FaultServer(handshake_cut, tls=certificates.good) as server:
        shop.profile(server.url, ca=certificates.ca)
        ran = shop.run("doctor", "--json")
    assert ran.code == 11
    assert checks(ran)["tls"]["status"] == "bad"
    assert checks(ran)["tcp"]["status"] == "good"


@pytest.mark.parametrize(("days", "status"), [(90, "good"), (14, "good"), (13, "warn")])
def test_the_days_left_of_a_public_certificate(
    days: int,
    status: str,
    shop: Shop,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A certificate of a public authority is good until two weeks before its end."""
    monkeypatch.setattr(certificate, "DEFAULT_CA_BUNDLE_PATH", str(certificates.ca))
    with FaultServer(refusing(), tls=certificates.good) as server:
        shop.profile(server.url, ca=certificates.ca)
        profile = load(None, None, shop.env).profile
        seen = certificate.look(profile, shop.env)
        assert seen is not None
        assert seen.is_public
        found = examined(shop, seen.expires_s - days * DAY_S - 1)
    assert found["tls"].status == status
    assert str(days) in found["tls"].message


@given(st.binary(max_size=200))
def test_no_certificate_breaks_the_reading_of_its_issuer(der: bytes) -> None:
    """Whatever bytes stand where a certificate should, the issuer is read or is not."""
    try:
        for name, value in certificate.issuer_pairs(der):
            assert isinstance(name + value, str)
    except (ValueError, IndexError):
        pass


# ── proxies ──────────────────────────────────────────────────────────────────────────────────


def test_through_a_proxy_it_says_so(shop: Shop, certificates: Certificates) -> None:
    """The proxy stands where DNS and TCP stood, without its password; TLS is seen through it."""
    with (
        FaultServer(refusing(), tls=certificates.other_name) as server,
        FaultServer(proxy_tunnels(server.port)) as proxy,
    ):
        shop.profile(
            f"https://{NO_SUCH_NAME}/router/rest",
            ca=certificates.ca,
            proxy=f"http://till:pa55@127.0.0.1:{proxy.port}",
        )
        ran = shop.run("doctor", "--json")
        asked = b"".join(proxy.requests)
    found = checks(ran)
    assert ran.code == 0, ran
    assert found["proxy"]["status"] == "good"
    assert f"127.0.0.1:{proxy.port}" in found["proxy"]["message"]
    assert "pa55" not in ran.out + ran.err
    assert not {"dns", "tcp"} & found.keys()
    assert "trustme" in found["tls"]["message"]
    assert asked.count(b"Proxy-Authorization: Basic ") == asked.count(b"CONNECT ") == 3


def test_a_proxy_that_refuses(shop: Shop) -> None:
    """A proxy that wants a password is named as what to look at."""
    with FaultServer(proxy_refuses("407 Proxy Authentication Required")) as proxy:
        shop.profile("https://eco.invalid/router/rest", proxy=f"http://127.0.0.1:{proxy.port}")
        ran = shop.run("doctor", "--json")
    assert ran.code == 11
    assert checks(ran)["proxy"]["status"] == "bad"
    assert "407" in checks(ran)["proxy"]["message"]


# ── the clock ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("ahead_s", "status"),
    [(0, "good"), (60, "good"), (-60, "good"), (61, "warn"), (-600, "warn"), (601, "bad")],
)
def test_the_clock_against_the_gateways(ahead_s: int, status: str, shop: Shop) -> None:
    """A minute apart is nothing, more a warning; over ten minutes TOP refuses every call."""
    with FaultServer(refusing(clock_s=NOON_S)) as server:
        shop.profile(server.url)
        found = examined(shop, NOON_S + ahead_s)
    clock = found["clock"]
    assert clock.status == status
    assert str(abs(ahead_s)) in clock.message
    assert bool(clock.hint) == (status != "good")
    assert clock.exit_code == (Exit.CONFIG if status == "bad" else Exit.OK)


@pytest.mark.parametrize("date", ["", "noon", "Mon, 99 Nov 99999 25:61:61 GMT"])
def test_a_gateway_without_a_time(date: str, shop: Shop) -> None:
    """A Date that cannot be read is a warning: nobody checked the clock."""
    with FaultServer(answer(REFUSED, headers={"Date": date})) as server:
        shop.profile(server.url)
        ran = shop.run("doctor", "--json")
    assert ran.code == 0
    assert checks(ran)["clock"]["status"] == "warn"


# ── the journal, its files and its disk ──────────────────────────────────────────────────────


def test_a_whole_journal_is_counted(trained: Callable[..., Ran]) -> None:
    """The journal's line says how many payments there are, and how many are open."""
    trained("pay", "--fee", "100", "--checkout", "1")
    trained("pay", "--fee", "100", "--checkout", "2", "--code-stdin", stdin="280000000000000009")
    journal = checks(trained("doctor", "--json"))["journal"]
    assert journal["status"] == "good"
    assert "payments: 2, open: 1" in journal["message"]


def test_looking_changes_nothing(trained: Callable[..., Ran], shop: Shop) -> None:
    """Not a byte of the journal is another one after it was examined."""
    trained("pay", "--fee", "100", "--checkout", "1")
    before = shop.journal.read_bytes()
    assert trained("doctor").code == 0
    assert shop.journal.read_bytes() == before


def damaged(path: Path) -> None:
    SqliteJournal(path).close()
    raw = bytearray(path.read_bytes())
    raw[4096:8192] = b"\xff" * 4096
    path.write_bytes(raw)


def foreign(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE notes (text)")
    db.close()


def newer(path: Path) -> None:
    SqliteJournal(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=999")
    db.close()


def emptied(path: Path) -> None:
    path.touch()


def no_database(path: Path) -> None:
    path.write_bytes(b"no database" * 999)


def a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [damaged, foreign, newer, emptied, no_database, a_folder])
def test_a_journal_that_cannot_be_trusted(make: Callable[[Path], None], shop: Shop) -> None:
    """What would stop a payment with 31 is found, and told with what to do."""
    make(shop.journal)
    ran = shop.run("--profile", "training", "doctor", "--json")
    assert ran.code == 31
    assert checks(ran)["journal"]["status"] == "bad"
    assert checks(ran)["journal"]["hint"]
    paid = shop.run("--profile", "training", "pay", "--fee", "1", "--checkout", "1", "--json")
    assert paid.code == 31 or make is damaged  # a payment need not meet the damaged page


def test_an_older_journal_is_good_and_stays_as_it_is(tmp_path: Path) -> None:
    """A journal of an earlier posctl is brought up to date by a payment, not by looking at it."""
    path = tmp_path / "journal.db"
    SqliteJournal(path).close()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version={len(MIGRATIONS) - 1}")
    db.close()
    before = path.read_bytes()
    check = journal_check(path, live=True)
    assert check.status == "good"
    assert "older" in check.message
    assert path.read_bytes() == before


def test_a_place_where_no_journal_can_be(tmp_path: Path) -> None:
    """A file where a folder should be is found before the first payment finds it."""
    (tmp_path / "file").touch()
    check = journal_check(tmp_path / "file" / "journal.db", live=False)
    assert (check.status, check.exit_code) == ("bad", Exit.JOURNAL)


def test_a_journal_that_is_gone_is_missed(trained: Callable[..., Ran], shop: Shop) -> None:
    """A deleted journal is no fresh start: its payments are lost, and paying is refused."""
    trained("pay", "--fee", "100", "--checkout", "1")
    shop.journal.unlink()
    ran = trained("doctor", "--json")
    assert ran.code == 31
    assert "gone" in checks(ran)["journal"]["message"]
    assert trained("pay", "--fee", "100", "--checkout", "2").code == 31


def test_an_older_copy_of_the_journal_is_noticed(trained: Callable[..., Ran], shop: Shop) -> None:
    """A copy that does not know the latest payments is bad, before a payment is refused in it."""
    trained("pay", "--fee", "100", "--checkout", "1")
    copy = shop.journal.read_bytes()
    trained("pay", "--fee", "100", "--checkout", "2")
    shop.journal.write_bytes(copy)
    ran = trained("doctor", "--json")
    assert ran.code == 31
    assert "older" in checks(ran)["journal"]["message"]


def test_a_shared_journal_is_reached_and_left_alone(database: Database) -> None:
    """A database is counted like a file, made by a payment only, and its password masked."""
    url = database.url()
    fresh = shared_journal(url, live=False)
    assert fresh.status == "good"
    assert (
        database.execute("SELECT tablename FROM pg_tables WHERE schemaname=current_schema", url)
        == []
    )
    open_journal(url, 5).close()
    check = shared_journal(url, live=True)
    assert check.status == "good"
    assert "payments: 0" in check.message


def test_a_till_with_a_shared_journal(database: Database, shop: Shop) -> None:
    """Where the journal is a database, no file, folder or disk of this machine is looked at."""
    ran = shop.run(
        "--profile", "training", "doctor", "--json", env={"POSCTL_JOURNAL": database.url()}
    )
    assert ran.code == 0, ran
    names = ["config", "secret", "place", "journal", "gateway", "terminal", "zone"]
    assert list(checks(ran)) == names


def test_a_database_that_is_away(shop: Shop) -> None:
    """A database that does not answer is the journal's fault (31), told without its password."""
    with refusing_port() as port:
        check = shared_journal(f"postgresql://till:pa55@127.0.0.1:{port}/pos", live=True)
    assert (check.status, check.exit_code) == ("bad", Exit.JOURNAL)
    assert "pa55" not in check.message + as_text(check.hint)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, who may write anywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    """Where posctl may not write, there is no journal, and that is said."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with as_nobody():
        check = journal_check(folder / "journal.db", live=False)
    assert (check.status, check.exit_code) == ("bad", Exit.JOURNAL)


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
@pytest.mark.parametrize(
    ("folder_mode", "file_mode", "status"),
    [
        (0o700, 0o600, "good"),
        (0o1777, 0o600, "good"),
        (0o755, 0o644, "warn"),
        (0o770, 0o660, "warn"),
        (0o700, 0o602, "bad"),
        (0o777, 0o600, "bad"),
    ],
)
def test_who_else_can_touch_the_journal(
    folder_mode: int, file_mode: int, status: str, tmp_path: Path
) -> None:
    """Others who may read the journal are a warning, others who may change it are bad."""
    path = tmp_path / "state" / "journal.db"
    path.parent.mkdir()
    SqliteJournal(path).close()
    path.chmod(file_mode)
    path.parent.chmod(folder_mode)
    check = files(path)
    assert check.status == status
    assert ("chmod" in as_text(check.hint)) == (status != "good")


def test_a_full_disk(tmp_path: Path) -> None:
    """Less room than is needed is bad: a payment that cannot be recorded is not sent."""
    assert disk(tmp_path / "not" / "yet" / "journal.db", need_bytes=1).status == "good"
    full = disk(tmp_path / "journal.db", need_bytes=1 << 62)
    assert (full.status, full.exit_code) == ("bad", Exit.JOURNAL)


# ── the terminal, and all of it together ─────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("encoding", "status"),
    [("utf-8", "good"), ("gbk", "good"), ("ascii", "warn"), ("cp1252", "warn")],
)
def test_the_terminals_encoding(encoding: str, status: str) -> None:
    """UTF-8 and a Chinese console show every sign; what does not is a warning, never bad."""
    with io.TextIOWrapper(io.BytesIO(), encoding=encoding) as stream:
        assert terminal(stream).status == status


def test_no_terminal_at_all() -> None:
    """A closed stdout is no reason to fail."""
    assert terminal(None).status == "warn"


@given(st.lists(st.sampled_from([Exit.OK, Exit.CONFIG, Exit.JOURNAL, Exit.NOT_SENT])))
def test_the_worst_finding_speaks(codes: list[Exit]) -> None:
    """Configuration comes before the journal, the journal before the network."""
    found = [
        Check("x", "bad" if code else "warn", "", exit_code=code or Exit.CONFIG) for code in codes
    ]
    bad = worst(found)
    expected = [c for c in (Exit.CONFIG, Exit.JOURNAL, Exit.NOT_SENT) if c in codes]
    assert (bad.exit_code if bad else None) == (expected[0] if expected else None)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_on_a_terminal_each_check_is_a_line(lang: str, shop: Shop) -> None:
    """A person sees glyph, word and name of each check, and below it what to do."""
    with refusing_port() as port:
        shop.profile(f"http://127.0.0.1:{port}/router/rest")
        shown = pty_run([*shop.command, "--lang", lang, "doctor"], env=shop.env)
    assert shown.exit_code == 11
    lines = shown.text.splitlines()
    assert sum(line.startswith(" √ ") for line in lines) == 9
    (bad,) = [n for n, line in enumerate(lines) if line.startswith(" × ") and "TCP" in line]
    assert any(line.strip().startswith("→") for line in lines[bad + 1 :])
    assert shown.widest <= 80


def test_every_check_has_a_name_for_people() -> None:
    """No check is shown under its word for scripts alone, and no name is left over."""
    source = Path(doctor.__file__).read_text()
    used = set(re.findall(r'(?:Check|_failed)\(\s*"([a-z]+)"', source))
    used |= set(doctor._STEP_OF.values()) | {"proxy", "tls"}
    assert used == NAMES.keys()


def test_the_worst_finding_goes_to_stderr(shop: Shop) -> None:
    """A script gets plain lines on stdout, and the worst finding on stderr."""
    ran = shop.run("doctor")
    assert ran.code == 3
    assert "checks.1.name: config" in ran.out.splitlines()
    assert "Error:" in ran.err


ME = "S-1-5-21-1-2-3-1001"


@pytest.mark.parametrize(
    ("sddl", "readers", "writers"),
    [
        # In a user's own folder; what posctl makes; of a drive's own root; of ProgramData.
        (f"O:{ME}D:(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;FA;;;{ME})", "", ""),
        (f"O:{ME}{private_list(ME)}", "", ""),
        (
            "O:BAD:(A;ID;FA;;;BA)(A;ID;FA;;;SY)(A;ID;0x1301bf;;;AU)(A;ID;0x1200a9;;;BU)",
            "AU BU",
            "AU",
        ),
        (f"O:{ME}D:AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;0x1200a9;;;BU)S:AI(ML;;NW;;;HI)", "BU", ""),
        # Everybody by letters, by no list, by an empty one; another user's; what says no.
        (f"O:{ME}D:(A;;FR;;;WD)(A;;GW;;;AN)", "WD", "AN"),
        (f"O:{ME}D:NO_ACCESS_CONTROL", "WD", "WD"),
        (f"O:{ME}", "WD", "WD"),
        (f"O:{ME}D:", "", ""),
        ("O:S-1-5-21-1-2-3-1002D:(A;;FA;;;BA)", "", "S-1-5-21-1-2-3-1002"),
        (f"O:{ME}D:(D;;FA;;;WD)(A;OICIIO;FA;;;BU)(A;;0x120080;;;WD)", "", ""),
        (f"O:{ME}D:(A;;SDWD;;;BU)(A;;WO;;;IU)", "", "BU IU"),
    ],
)
def test_who_an_access_list_lets_in(sddl: str, readers: str, writers: str) -> None:
    """Whom a list lets read or change a file, but for its user, the system and administrators."""
    assert others_in(sddl, ME) == Others(tuple(readers.split()), tuple(writers.split()))


def test_whether_the_folders_list_goes_on() -> None:
    """A list that is protected from the folder's stays so in what takes its place."""
    assert not inherits_list(f"O:{ME}{private_list(ME)}")
    assert not inherits_list(f"O:{ME}G:S-1-5-32D:PAI(A;;FA;;;BA)S:AI(ML;;NW;;;HI)")
    assert inherits_list(f"O:{ME}D:AI(A;ID;FA;;;BA)S:P(ML;;NW;;;HI)")
    assert inherits_list(f"O:{ME}D:(A;;FR;;;WD)")


def test_the_administrator_is_no_other() -> None:
    """The machine's own Administrator, whom SDDL calls LA, is known for the user that he is."""
    mine = "S-1-5-21-1-2-3-500"
    assert others_in("O:LAD:(A;;FA;;;LA)", mine) == Others()
    assert others_in("O:LAD:(A;;FA;;;LA)", ME) == Others(("LA",), ("LA",))


def test_a_folder_for_files_of_ones_own() -> None:
    """A folder in which others can make files of their own, and delete none of ours, is good."""
    own = f"O:{ME}D:(A;OICI;FA;;;{ME})(A;CI;0x100006;;;BU)"
    assert others_in(own, ME, folder=True).writers == ()
    assert others_in(own.replace("0x100006", "0x100046"), ME, folder=True).writers == ("BU",)


def test_the_journals_lists(tmp_path: Path) -> None:
    """On Windows the journal's files are good, warned of or bad by their lists, which are named."""
    journal = tmp_path / "journal.db"
    journal.touch()

    def found(status: str, others: Others | None) -> str:
        check = by_lists(
            journal, lambda path: others if path == journal else Others(), lambda sid: f"<{sid}>"
        )
        assert check.status == status
        return check.message

    assert "journal.db" in found("good", Others())
    assert "<BU>" in found("warn", Others(readers=("BU",)))
    assert "<WD>" in found("bad", Others(writers=("WD",)))
    assert "journal.db" in found("warn", None)
