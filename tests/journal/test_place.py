"""Which journal: one for real money is begun by a person, and no other is ever taken for it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Ran, Shop
from faultserver import FaultServer, answer
from pgserver import Database
from pty_run import pty_run

PAY = ("pay", "--shop", "1", "--fee", "100", "--checkout", "111", "--json")


@pytest.fixture
def platform() -> Iterator[FaultServer]:
    """A gateway that charges whatever reaches it."""
    with FaultServer(answer()) as server:
        yield server


@pytest.fixture
def new(shop: Shop, platform: FaultServer) -> Shop:
    """A machine with a live profile and no journal, as on its first day."""
    shop.begun = True
    shop.profile(platform.url)
    return shop


def refused(ran: Ran, exit_code: int, code: str) -> None:
    assert (ran.code, ran.json["error"]["code"]) == (exit_code, code), ran


# ── begun by a person ────────────────────────────────────────────────────────────────────────

ID = "75626abc-452d-486e-970d-e65e12fc1456"
NEEDING = (
    PAY,
    ("retry", "--due", "--json"),
    ("retry", "--all", "--json"),
    ("retry", ID, "--json"),
    ("pending", "--json"),
    ("pending", "--check", "--json"),
    ("history", "--json"),
    ("show", ID, "--json"),
    ("checkout", "111", "--json"),
    ("resolve", ID, "--as", "paid", "--note", "seen", "--json"),
    ("status", "--checkout", "111", "--json"),
    ("report", "--json"),
    ("report", "--close", "--json"),
    ("report", "--verify", "--json"),
    ("receipt", "--last", "--json"),
    ("batch", "orders.jsonl", "--json"),
    ("reconcile", "statement.csv", "--day", "today", "--json"),
)


@pytest.mark.parametrize("words", NEEDING, ids=lambda words: " ".join(words[:2]))
def test_without_a_journal_nothing_is_done(
    new: Shop, platform: FaultServer, words: tuple[str, ...]
) -> None:
    """Whatever records, lists, sums or resends ends with 31, names the place and what begins a
    journal, sends nothing, and makes none.
    """
    (new.home / "orders.jsonl").write_text('{"pay_fee": 100, "checkout_id": "1"}\n')
    (new.home / "statement.csv").write_text("payment_order_id,amount\n")
    ran = new.run(*words)
    refused(ran, 31, "no_journal")
    assert str(new.journal) in ran.json["error"]["message"]
    assert "posctl journal create" in ran.json["error"]["hint"]
    assert platform.connections == 0
    assert not new.journal.exists()


def test_care_of_no_journal_says_how_one_is_begun(new: Shop) -> None:
    """`journal check`, `backup` and `prune` end with 31 and name `journal create`, as called."""
    config = str(new.home / "config.yaml")
    for words in (["check"], ["backup", "b.db"]):
        ran = new.run("--config", config, "journal", *words)
        assert ran.code == 31
        assert f"posctl --config {config} journal create" in ran.err
    assert not new.journal.exists()


def test_what_records_nothing_needs_no_journal(new: Shop, platform: FaultServer) -> None:
    """`pay --dry-run`, `config`, `explain` and `completion` work without one; `doctor` says so."""
    for words in (
        [*PAY, "--dry-run"],
        ["config", "show"],
        ["config", "check"],
        ["explain", "31"],
        ["completion", "bash"],
    ):
        assert new.run(*words).code == 0, words
    told = new.run("doctor", "--json")
    (check,) = [one for one in told.json["checks"] if one["name"] == "journal"]
    assert (check["status"], "posctl journal create" in check["hint"]) == ("bad", True)
    assert not new.journal.exists()


def test_journal_create_begins_it_and_says_when_it_is_there(
    new: Shop, platform: FaultServer
) -> None:
    """Made whole, 0600 in a folder 0700; asked again it is kept, with its payments, and 0."""
    new.env["POSCTL_JOURNAL"] = str(new.home / "state" / "deep" / "journal.db")
    made = new.run("journal", "create", "--json")
    assert (made.code, made.json["created"], made.json["payments"]) == (0, True, 0)
    path = Path(made.json["path"])
    if os.name == "posix":
        modes = [stat.S_IMODE(p.stat().st_mode) for p in (path, path.parent)]
        assert modes == [0o600, 0o700]
    assert new.run(*PAY).code == 0
    again = new.run("journal", "create", "--json")
    assert (again.code, again.json["created"], again.json["payments"]) == (0, False, 1)
    refused(new.run(*PAY), 30, "already_paid")


def test_a_damaged_journal_is_not_called_sound(new: Shop) -> None:
    """`journal create` on what is no journal ends with 31 and leaves it as it is."""
    new.journal.write_bytes(b"no journal at all\n" * 300)
    assert new.run("journal", "create").code == 31
    assert new.journal.read_bytes() == b"no journal at all\n" * 300


def test_training_begins_its_journal_itself(shop: Shop, trained: Callable[..., Ran]) -> None:
    """Nobody is charged there: the first payment makes the journal."""
    assert trained(*PAY).code == 0
    assert shop.recorded == 1


def test_a_shared_journal_is_begun_by_a_person_too(
    new: Shop, platform: FaultServer, database: Database
) -> None:
    """A database without tables is no journal: 31, no tables made; `journal create` makes them."""
    url = database.url()
    new.env["POSCTL_JOURNAL"] = url
    refused(new.run(*PAY), 31, "no_journal")
    schema = url.rpartition("%3D")[2]
    tables = f"SELECT count(*) FROM pg_tables WHERE schemaname='{schema}'"
    assert database.execute(tables) == [(0,)]
    assert platform.connections == 0
    for is_new in (True, False):
        made = new.run("journal", "create", "--json")
        assert (made.code, made.json["created"]) == (0, is_new)
    assert new.run(*PAY).code == 0


# ── usage before configuration, configuration before the journal ─────────────────────────────


@pytest.mark.parametrize(
    "words",
    [
        ("show", "?"),
        ("history", "--day", "never"),
        ("history", "--limit", "0"),
        ("report", "--day", "never"),
        ("report", "--shift", "x"),
        ("retry", "?"),
        ("receipt", "?"),
        ("pay", "--fee", "0", "--checkout", "1"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_usage_is_found_first(new: Shop, words: tuple[str, ...]) -> None:
    """A word that cannot be used is 2, though there is no journal either."""
    assert new.run(*words).code == 2


def test_configuration_is_found_before_the_journal(new: Shop, platform: FaultServer) -> None:
    """A secret that cannot be read is 3, though there is no journal either."""
    new.profile(platform.url, secret=None, secret_env="NOT_SET")
    assert new.run(*PAY).code == 3


# ── nothing leads to a second journal unseen ─────────────────────────────────────────────────


def _state_home(shop: Shop) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(shop.home / "elsewhere")}


def _home(shop: Shop) -> dict[str, str]:
    return {"HOME": str(shop.home / "sudo")}


def _relative(_shop: Shop) -> dict[str, str]:
    return {"POSCTL_JOURNAL": "journal.db"}


def _other_place(shop: Shop) -> dict[str, str]:
    path = shop.home / "config.yaml"
    path.write_text(f"journal: {shop.home}/other.db\n" + path.read_text())
    return {}


def _relative_line(shop: Shop) -> dict[str, str]:
    path = shop.home / "config.yaml"
    path.write_text("journal: journal.db\n" + path.read_text())
    return {}


def _both_gone(shop: Shop) -> dict[str, str]:
    for path in shop.home.rglob("journal.db*"):
        path.unlink()
    return {}


@pytest.mark.parametrize(
    ("change", "exit_code"),
    [
        (_state_home, 31),
        (_home, 31),
        (_relative, 3),
        (_other_place, 31),
        (_relative_line, 3),
        (_both_gone, 31),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_another_journal_is_never_begun_unseen(
    new: Shop, platform: FaultServer, change: Callable[[Shop], dict[str, str]], exit_code: int
) -> None:
    """After a payment, another HOME or state folder, a relative or another path, or files that are
    gone: the same payment is refused, nothing is sent, and nothing is begun.
    """
    del new.env["POSCTL_JOURNAL"]
    assert new.run("journal", "create").code == 0
    assert new.run(*PAY).code == 0
    charged = platform.connections
    env = change(new)
    before = set(new.home.rglob("*.db"))
    assert new.run(*PAY, env=env).code == exit_code
    assert new.run("retry", "--due", env=env).code == exit_code
    assert new.run("pending", env=env).code == exit_code
    assert platform.connections == charged
    assert set(new.home.rglob("*.db")) == before


# ── which one it is ──────────────────────────────────────────────────────────────────────────


def _by_environment(shop: Shop) -> Path:
    return shop.journal


def _by_configuration(shop: Shop) -> Path:
    del shop.env["POSCTL_JOURNAL"]
    _other_place(shop)
    return shop.home / "other.db"


def _by_default(shop: Shop) -> Path:
    del shop.env["POSCTL_JOURNAL"]
    shop.env["XDG_STATE_HOME"] = str(shop.home / "state")
    return shop.home / "state" / "posctl" / "journal.db"


@pytest.mark.parametrize("words", [("config", "check"), ("doctor",)], ids=" ".join)
@pytest.mark.parametrize(
    ("choose", "source", "told"),
    [
        (_by_environment, "environment", "$POSCTL_JOURNAL"),
        (_by_configuration, "configuration", "journal: in the configuration"),
        (_by_default, "default", "the default place"),
    ],
    ids=["environment", "configuration", "default"],
)
def test_which_journal_every_profile_uses_is_told(
    new: Shop, words: tuple[str, ...], choose: Callable[[Shop], Path], source: str, told: str
) -> None:
    """Its place, what chose it, and whether it is there, before it is begun and after."""
    place = choose(new)
    for exists, there in ((False, "it is not there"), (True, "it is there")):
        found = new.run(*words, "--json").json["journal"]
        assert found == {"place": str(place), "source": source, "exists": exists}
        shown = pty_run([*new.command, *words], columns=300, env=new.env).text
        assert str(place) in shown
        assert f"every profile · chosen by: {told} · {there}\n" in shown
        new.run("journal", "create")


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("words", [("config", "check"), ("doctor",)], ids=" ".join)
def test_which_journal_is_told_in_a_narrow_terminal(
    new: Shop, words: tuple[str, ...], lang: str, columns: int
) -> None:
    """Whatever the width and the language, the place and what chose it can be read."""
    _by_configuration(new)
    shown = pty_run([*new.command, "--lang", lang, *words], columns=columns, env=new.env)
    joined = "".join(shown.text.split())
    assert str(new.home / "other.db") in joined
    every, chosen = {
        "en": ("everyprofile", "journal:intheconfiguration·itisnotthere"),
        "zh": ("所有配置方案", "配置中的journal:·不在"),
    }[lang]
    assert every in joined
    assert chosen in joined


@pytest.mark.parametrize("words", [("config", "check"), ("doctor",)], ids=" ".join)
def test_which_database_is_told_without_its_password(new: Shop, words: tuple[str, ...]) -> None:
    """The URL is masked; the place alone does not say whether the tables are there."""
    url = "postgresql://till:canary-7@127.0.0.1:1/pos"
    ran = new.run(*words, "--json", env={"POSCTL_JOURNAL": url})
    assert ran.json["journal"] == {
        "place": "postgresql://till:******@127.0.0.1:1/pos",
        "source": "environment",
        "exists": None,
    }
    shown = new.run(*words, env={"POSCTL_JOURNAL": url})
    assert "till:******@127.0.0.1" in shown.out
    assert "canary-7" not in ran.out + ran.err + shown.out + shown.err
