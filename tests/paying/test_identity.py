"""A payment belongs to its merchant, shop and checkout; how the merchant is reached may change."""

from __future__ import annotations

import json
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from conftest import Shop
from merciless import Merciless, paid
from pty_run import pty_run
from test_report import close as close_shift
from test_report import take

from posctl.journal import Journal
from posctl.journal import postgres_link as link_module
from posctl.journal import sqlite_file as sqlite_module
from posctl.journal.open import open_journal
from posctl.journal.sqlite import SqliteJournal
from posctl.money.record import Checkout, Filter, Merchant
from posctl.office.report import check

if TYPE_CHECKING:
    from pgserver import Database

DEFAULTS = (
    '{shop_id: "1", operator_id: "123", machine_id: "001", buyer_id: 1, source: hema, '
    "merchant_code: HM}"
)
OLD, NEW = "https://gw.api.taobao.com/router/rest", "https://eco.taobao.com/router/rest"


@pytest.fixture
def gateway() -> Iterator[Merciless]:
    with Merciless() as one:
        yield one


def profiles(shop: Shop, url: str, **of: dict[str, Any]) -> None:
    """A configuration with these profiles; the first is the default."""
    text = f"default_profile: {next(iter(of))}\nprofiles:\n"
    for name, keys in of.items():
        lines = {"gateway": url, "app_key": '"12345678"', "secret": "helloworld"} | keys
        lines |= {"timeout": "{connect: 2, read: 1, total: 3}", "defaults": DEFAULTS}
        text += f"  {name}:\n" + "".join(f"    {key}: {value}\n" for key, value in lines.items())
    path = shop.home / "config.yaml"
    path.write_text(text)
    path.chmod(0o600)
    shop.env["POSCTL_CONFIG"] = str(path)


PAY = ("pay", "--fee", "100", "--checkout", "777", "--json")
EDITS: dict[str, tuple[str, dict[str, Any]]] = {
    "the gateway's address": ("store", {"gateway": "ANOTHER"}),
    "the profile's name": ("shop-7", {}),
    "a renewed session": ("store", {"session": "renewed"}),
    "the sign method": ("store", {"sign_method": "md5"}),
    "the secret": ("store", {"secret": "another-secret"}),
}


@pytest.mark.parametrize(("name", "keys"), EDITS.values(), ids=EDITS)
def test_an_edit_between_two_tries_resumes_the_same_payment(
    shop: Shop, gateway: Merciless, name: str, keys: dict[str, Any]
) -> None:
    """Whatever changes of the way to the merchant, the customer is charged once."""
    before = {"merchant": "hema-hangzhou", "session": "first"}
    profiles(shop, gateway.url, store=before)
    shop.run("journal", "create")
    gateway.answer = lambda _members: None
    first = shop.run(*PAY)
    assert first.code == 21
    gateway.answer = paid
    if keys.get("gateway") == "ANOTHER":
        keys = {"gateway": gateway.url.replace("127.0.0.1", "localhost")}
    profiles(shop, gateway.url, **{name: before | keys})
    again = shop.run(*PAY)
    assert (again.code, again.json["resumed"]) == (0, True)
    assert again.json["request_id"] == first.json["request_id"]
    assert {one["request_id"] for one in gateway.requests} == {first.json["request_id"]}


def test_two_sellers_of_one_app_never_meet(shop: Shop, gateway: Merciless) -> None:
    """One app_key, two sessions: lists, retries and sums of one seller leave the other's alone."""
    seller = {"session": "SESSION-A", "merchant": "a"}, {"session": "SESSION-B", "merchant": "b"}
    profiles(shop, gateway.url, a=seller[0], b=seller[1])
    shop.run("journal", "create")
    gateway.answer = lambda _members: None
    lost = shop.run("--profile", "b", *PAY)
    assert lost.code == 21
    gateway.answer = paid
    sent = len(gateway.requests)
    assert shop.run("--profile", "a", "pending", "--json").json["payments"] == []
    assert shop.run("--profile", "a", "retry", "--all", "--json").code == 0
    refused = shop.run("--profile", "a", "retry", lost.json["request_id"], "--json")
    assert (refused.code, refused.json["error"]["code"]) == (30, "other_profile")
    assert len(gateway.requests) == sent
    assert shop.run("--profile", "a", *PAY).code == 0
    assert shop.run("--profile", "b", "retry", "--all", "--json").code == 0
    for name in ("a", "b"):
        assert shop.run("--profile", name, "report", "--json").json["paid"] == 1


def test_a_session_needs_the_sellers_name(shop: Shop, gateway: Merciless) -> None:
    """An app with a session works for several sellers: without `merchant` nothing is sent (3)."""
    profiles(shop, gateway.url, store={"session": "SESSION-A"})
    ran = shop.run(*PAY)
    assert (ran.code, ran.json["error"]["code"]) == (3, "no_merchant")
    assert gateway.requests == []


SENDS = (
    ("pay", "--fee", "100", "--checkout", "777"),
    ("retry", "--all"),
    ("retry", "--due"),
    ("batch", "orders.jsonl"),
    ("status", "--checkout", "777"),
    ("report", "--close", "--note", "n"),
)


@pytest.mark.parametrize("words", SENDS, ids=" ".join)
def test_an_app_key_that_was_issued_anew_sends_and_seals_nothing(
    shop: Shop, gateway: Merciless, words: tuple[str, ...]
) -> None:
    """The profile's name means another merchant now: refused (3) with both ways out, and the one
    of them finds the open payment again.
    """
    profiles(shop, gateway.url, store={})
    shop.run("journal", "create")
    gateway.answer = lambda _members: None
    lost = shop.run(*PAY)
    assert lost.code == 21
    (shop.home / "orders.jsonl").write_text('{"checkout_id": "777", "pay_fee": 100}\n')
    sent = len(gateway.requests)
    profiles(shop, gateway.url, store={"app_key": '"87654321"'})
    ran = shop.run(*words, "--json")
    assert (ran.code, ran.json["error"]["code"]) == (3, "other_merchant")
    assert "merchant: 12345678" in ran.json["error"]["hint"]
    assert len(gateway.requests) == sent
    gateway.answer = paid
    profiles(shop, gateway.url, store={"app_key": '"87654321"', "merchant": '"12345678"'})
    assert shop.run(*PAY).json["request_id"] == lost.json["request_id"]


# ── the way to another merchant's payment ────────────────────────────────────────────────────

ASKED = {"retry": 30, "status": 2, "receipt": 2}


def of_a_name_that_moved(shop: Shop, gateway: Merciless, command: str) -> str:
    """The id of a payment of merchant a, begun by a profile whose name means merchant b by now;
    merchant c is asked. For a receipt it is paid, else open.
    """
    profiles(shop, gateway.url, store={"merchant": "a"})
    shop.run("journal", "create")
    gateway.answer = paid if command == "receipt" else lambda _members: None
    begun = shop.run(*PAY)
    assert begun.code == (0 if command == "receipt" else 21)
    gateway.answer = paid
    return str(begun.json["request_id"])


def typed(hint: str) -> list[list[str]]:
    """The commands of a hint, as a shell would read them."""
    lines = (line.strip() for line in hint.splitlines())
    return [shlex.split(line)[1:] for line in lines if line.startswith("posctl ")]


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("command", ASKED)
def test_a_payment_is_told_with_the_profile_that_reaches_it_today(
    shop: Shop, gateway: Merciless, command: str, lang: str
) -> None:
    """Not the name that it was begun under, which leads elsewhere by now: what is printed, typed as
    it stands, works.
    """
    request_id = of_a_name_that_moved(shop, gateway, command)
    others = {"other": {"merchant": "c"}, "store": {"merchant": "b"}}
    profiles(shop, gateway.url, **others, x={"merchant": "a"})
    sent = len(gateway.requests)
    refused = shop.run("--lang", lang, command, request_id, "--json")
    assert (refused.code, refused.json["error"]["code"]) == (ASKED[command], "other_profile")
    assert len(gateway.requests) == sent
    named = {"en": "profile x reaches it", "zh": "请用配置方案 x 处理"}
    assert named[lang] in refused.json["error"]["message"]
    (words,) = typed(refused.json["error"]["hint"])
    assert words == ["--profile", "x", command, request_id]
    done = shop.run(*words, "--json")
    if command == "status":  # a gateway that knows one method only; but it was asked
        assert done.json["payment"]["request_id"] == request_id
    else:
        assert done.code == 0
    assert "other_profile" not in done.out


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("command", ASKED)
def test_a_payment_that_no_profile_reaches_is_told_with_the_way_out(
    shop: Shop, gateway: Merciless, command: str, lang: str
) -> None:
    """No command leads to a profile that is there and is another merchant's: what to write is
    said, and once it is written, the command works.
    """
    request_id = of_a_name_that_moved(shop, gateway, command)
    others = {"other": {"merchant": "c"}, "store": {"merchant": "b"}}
    profiles(shop, gateway.url, **others)
    refused = shop.run("--lang", lang, command, request_id, "--json")
    assert (refused.code, refused.json["error"]["code"]) == (ASKED[command], "other_profile")
    none = {"en": "merchant a, which no profile reaches", "zh": "没有配置方案"}
    assert none[lang] in refused.json["error"]["message"]
    hint = refused.json["error"]["hint"]
    assert typed(hint) == [["--profile", "NAME", command, request_id]]
    (line,) = [one.strip() for one in hint.splitlines() if "merchant: " in one]
    key, value = line.split(": ")
    profiles(shop, gateway.url, **others, again={key: value})
    done = shop.run("--profile", "again", command, request_id, "--json")
    assert done.code == 0 or command == "status"
    assert "other_profile" not in done.out


def test_the_rest_is_paid_with_the_profile_in_use(shop: Shop, gateway: Merciless) -> None:
    """After a part was paid by way of another profile of its merchant, the command for the rest
    names that one: the name that it was begun under may be another merchant's by now.
    """
    request_id = of_a_name_that_moved(shop, gateway, "retry")
    gateway.answer = lambda members: paid(members).replace(
        b'"remaining_fee": 0', b'"remaining_fee": 40'
    )
    profiles(shop, gateway.url, store={"merchant": "b"}, x={"merchant": "a"})
    seen = pty_run([*shop.command, "--profile", "x", "retry", request_id], env=shop.env)
    assert "--profile x pay --shop 1 --checkout 777 --fee 40" in " ".join(seen.text.split())


# ── journals of posctl 0.1 ───────────────────────────────────────────────────────────────────

ROW: dict[str, Any] = {
    "profile": "store-1",
    "live": True,
    "app_key": "12345678",
    "shop_id": "1",
    "checkout_id": "111",
    "order_id": "111",
    "operator_id": "123",
    "machine_id": "001",
    "pay_channel": "alipay_facepay_v2",
    "pay_fee": 100,
    "state": "unknown",
    "tries": 1,
    "created_ms": 1000,
    "updated_ms": 1000,
}
MERCHANT = Merchant(True, "12345678")
CHECKOUT = Checkout(*MERCHANT, "1", "111")


def rows_of_01() -> list[dict[str, Any]]:
    """Two gateways' open payments of one checkout, and a closed one."""
    rows = []
    for n, url in enumerate((OLD, NEW), start=1):
        wire = json.dumps({"request_id": f"r-000000{n}", "pay_fee": 100})
        rows.append(ROW | {"request_id": f"r-000000{n}", "gateway": url, "pay_request": wire})
    closed = {"state": "success", "paid": True, "result_status": 1, "closed_ms": 2000}
    wire = json.dumps({"request_id": "r-0000003", "pay_fee": 100})
    rows.append(
        ROW
        | closed
        | {"request_id": "r-0000003", "gateway": OLD, "pay_request": wire, "told": True}
    )
    return rows


def sqlite_of_01(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as at:
        at.setattr(sqlite_module, "MIGRATIONS", sqlite_module.MIGRATIONS[:3])
        sqlite_module.create_file(path)
    with closing(sqlite3.connect(path)) as db, db:
        for row in rows_of_01():
            marks = ", ".join("?" * len(row))
            db.execute(
                f"INSERT INTO payments ({', '.join(row)}) VALUES ({marks})", tuple(row.values())
            )
    Path(f"{path}.held").write_bytes(bytes(4))  # as long as the highest number, and one


def postgres_of_01(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as db:
        for statement in link_module.MIGRATIONS[0].strip().split(";\n"):
            db.execute(statement.encode())
        db.execute("CREATE TABLE posctl_schema (version BIGINT, oldest BIGINT)")
        db.execute("INSERT INTO posctl_schema VALUES (1, 1)")
        for row in rows_of_01():
            nth = 2 if "closed_ms" in row else 1
            values = [*row.values(), nth]
            marks = ", ".join(["%s"] * len(values))
            names = ", ".join([*row, "nth"])
            db.execute(f"INSERT INTO payments ({names}) VALUES ({marks})".encode(), values)


@pytest.fixture(params=["sqlite", "postgres"])
def migrated(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Journal]:
    """A journal that posctl 0.1 kept under two gateways, opened by this one."""
    if request.param == "sqlite":
        place = str(tmp_path / "journal.db")
        sqlite_of_01(Path(place), monkeypatch)
    else:
        place = request.getfixturevalue("database").url()
        postgres_of_01(place)
    journal = open_journal(place, 30.0)
    yield journal
    journal.close()


def test_two_identities_that_are_one_keep_every_payment(migrated: Journal) -> None:
    """Both open payments are there, of one checkout, and it is told that they were two's."""
    found = migrated.payments_of(CHECKOUT)
    assert sorted(one.request_id for one in found) == ["r-0000001", "r-0000002", "r-0000003"]
    assert [one.open for one in found].count(True) == 2
    assert migrated.open_since(MERCHANT) == (2, 1000)
    assert OLD in migrated.gateways(MERCHANT)
    assert migrated.last_merchant("store-1") == "12345678"
    assert migrated.last_merchant("another") is None


def test_01_is_refused_by_the_database_that_this_posctl_has_opened(database: Database) -> None:
    """It knows schema 1, would read rows of today as damaged, and advise a backup; a database that
    asks for more than that, since somebody corrected a payment, goes on asking for it.
    """
    for asked, left in ((1, 2), (link_module.CORRECTING, link_module.CORRECTING)):
        url = database.url()
        postgres_of_01(url)
        database.execute(f"UPDATE posctl_schema SET oldest={asked}", url)
        open_journal(url, 30.0).close()
        found = database.execute("SELECT version, oldest FROM posctl_schema", url)
        assert found == [(len(link_module.MIGRATIONS), left)]


def test_shifts_of_two_gateways_stay_valid_and_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each chain still verifies, and the next shift follows the one that went furthest."""
    path = tmp_path / "journal.db"
    with closing(SqliteJournal(path)) as journal:
        for n in (1, 2):
            take(journal, n)
            close_shift(journal, n)
    with closing(sqlite3.connect(path)) as db, db:  # as 0.1 kept them
        db.execute("UPDATE shifts SET gateway=?", (NEW,))
        db.execute("UPDATE payments SET gateway=?, crc=NULL", (NEW,))
    with closing(SqliteJournal(path)) as journal:
        take(journal, 3)
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE payments SET gateway=?, crc=NULL WHERE shift IS NULL", (OLD,))
            (row,) = db.execute("SELECT * FROM shifts WHERE number=1").fetchall()
        taken = list(journal.history(Filter(merchant=MERCHANT, shift=0)))
        assert [one.gateway for one in taken] == [OLD]
        close_shift(journal, 3)
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE shifts SET gateway=?, number=3 WHERE number=3", ("",))
            # and a chain of one shift, over no payment, that another gateway had
            db.execute("INSERT INTO shifts VALUES (?,?,?,?,?)", (OLD, *row[1:]))
            db.execute(
                "UPDATE payments SET gateway=?, crc=NULL WHERE shift=1 AND gateway=?", (NEW, NEW)
            )
        shifts = journal.shifts(MERCHANT)
        found = check(
            shifts,
            lambda number, chain: journal.history(
                Filter(merchant=MERCHANT, shift=number, chain=chain)
            ),
            lambda _number, _chain: (),
        )
        assert [(one.number, one.fault) for one in found] == [
            (1, None),
            (2, None),
            (3, None),
            (1, "gone"),
        ]
        latest = journal.shift(MERCHANT)
        assert latest is not None
        assert (latest.number, latest.chain) == (3, "")
        assert journal.gateways(MERCHANT) == sorted((NEW, OLD))


# ── payments that no profile reaches ─────────────────────────────────────────────────────────


def left_behind(shop: Shop, gateway: Merciless) -> Merciless:
    """One open payment of a profile that the configuration has no more; the other goes on."""
    profiles(shop, gateway.url, store={"merchant": "a"}, gone={"merchant": "b"})
    shop.run("journal", "create")
    gateway.answer = lambda _members: None
    assert shop.run("--profile", "gone", *PAY).code == 21
    gateway.answer = paid
    profiles(shop, gateway.url, store={"merchant": "a"})
    return gateway


TELL = (
    ("pending",),
    ("history",),
    ("retry", "--all"),
    ("report",),
    ("report", "--day", "today"),
    ("doctor",),
)


@pytest.mark.parametrize("words", TELL, ids=" ".join)
def test_payments_that_no_profile_reaches_are_told(
    shop: Shop, gateway: Merciless, words: tuple[str, ...]
) -> None:
    """How many, of which merchant, since when and what to write: to people and to scripts."""
    left_behind(shop, gateway)
    (found,) = shop.run(*words, "--json").json["unreached"]
    assert (found["live"], found["merchant"], found["payments"]) == (True, "b", 1)
    assert found["since"].startswith("20")
    ran = shop.run(*words)
    told = ran.out + ran.err
    assert "merchant: b" in told or words[0] == "report"
    assert "unreached" in told or "No profile reaches these open payments: 1, of merchant b" in told
    profiles(shop, gateway.url, store={"merchant": "a"}, again={"merchant": "b"})
    assert shop.run(*words, "--json").json["unreached"] == []


def test_a_shift_is_not_closed_over_payments_that_no_profile_reaches(
    shop: Shop, gateway: Merciless
) -> None:
    """30 without a note; with one they stand in the Z, and --verify finds it whole."""
    left_behind(shop, gateway)
    refused = shop.run("report", "--close", "--json")
    assert (refused.code, refused.json["error"]["code"]) == (30, "unreached_payments")
    assert "merchant: b" in refused.json["error"]["hint"]
    assert shop.run("report", "--close", "--note", "b has left", "--json").code == 0
    profiles(shop, gateway.url, store={"merchant": "a"}, again={"merchant": "b"})
    (kept,) = shop.run("report", "--shift", "1", "--json").json["unreached"]
    assert kept["merchant"] == "b"
    assert shop.run("report", "--verify", "--json").code == 0
    page = shop.run("report", "--shift", "1", "--html", "-").out
    assert "of merchant b" in page


def paid_behind(shop: Shop, gateway: Merciless) -> None:
    """Two payments of a profile that is gone, in no shift of its merchant's, and one of the other's
    in a shift.
    """
    profiles(shop, gateway.url, store={"merchant": "a"}, gone={"merchant": "b"})
    shop.run("journal", "create")
    for n in ("771", "772"):
        assert shop.run("--profile", "gone", *PAY[:-2], n).code == 0
    assert shop.run(*PAY[:-2], "773").code == 0
    assert shop.run("report", "--close").code == 0
    profiles(shop, gateway.url, store={"merchant": "a"})


REPORTS = (("report",), ("report", "--day", "today"), ("report", "--since", "today"))


@pytest.mark.parametrize("words", REPORTS, ids=" ".join)
def test_paid_payments_in_no_shift_that_no_profile_reaches_are_told(
    shop: Shop, gateway: Merciless, words: tuple[str, ...]
) -> None:
    """How many, how much, of which merchant, since when; on paper and in a sheet's margin too."""
    paid_behind(shop, gateway)
    ran = shop.run(*words, "--json").json
    (found,) = ran["unreached_paid"]
    assert (found["live"], found["merchant"], found["payments"]) == (True, "b", 2)
    assert found["fee"] == 2 * 100
    assert found["since"].startswith("20")
    assert ran["unreached"] == []
    words_for_people = "no shift holds them: 2, ￥2.00, of merchant b"
    assert words_for_people in shop.run(*words, "--html", "-").out
    assert words_for_people in " ".join(shop.run(*words, "--csv", "-").err.split())
    for columns in (40, 80):
        shown = pty_run([*shop.command, *words], columns=columns, env=shop.env)
        assert "noshiftholdsthem:2,￥2.00,ofmerchantb" in "".join(
            shown.text.replace("┃", "").replace("│", "").split()
        )
        assert "--profile NAME report --close" in shown.text
    profiles(shop, gateway.url, store={"merchant": "a"}, again={"merchant": "b"})
    assert shop.run(*words, "--json").json["unreached_paid"] == []


def test_a_shift_is_not_closed_over_paid_payments_that_no_profile_reaches(
    shop: Shop, gateway: Merciless
) -> None:
    """30 without a note; with one they stand in the Z for good. Once they are in a shift of their
    merchant's, nothing is told.
    """
    paid_behind(shop, gateway)
    refused = shop.run("report", "--close", "--json")
    assert (refused.code, refused.json["error"]["code"]) == (30, "unreached_payments")
    assert "no shift holds them" in refused.json["error"]["message"]
    assert shop.run("report", "--close", "--note", "b has left", "--json").code == 0
    profiles(shop, gateway.url, store={"merchant": "a"}, again={"merchant": "b"})
    (kept,) = shop.run("report", "--shift", "2", "--json").json["unreached_paid"]
    assert (kept["merchant"], kept["payments"]) == ("b", 2)
    assert shop.run("--profile", "again", "report", "--close").code == 0
    profiles(shop, gateway.url, store={"merchant": "a"})
    assert shop.run("report", "--json").json["unreached_paid"] == []
    assert shop.run("report", "--close").code == 0
    assert shop.run("report", "--verify").code == 0


def test_on_a_terminal_the_doctor_names_what_no_profile_reaches(
    shop: Shop, gateway: Merciless
) -> None:
    """A person sees the check under a name, and below it what to write."""
    left_behind(shop, gateway)
    shown = pty_run([*shop.command, "doctor"], env=shop.env)
    assert "out of reach" in shown.text
    assert "merchant: b" in shown.text
