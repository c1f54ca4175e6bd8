"""`posctl init`: questions on a real terminal, and what they leave on the disk."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import Shop
from hypothesis import given
from hypothesis import strategies as st
from pty_run import Shown, pty_run

from posctl.config.keys import DEFAULT_KEYS
from posctl.config.new import Draft, NewFile, write
from posctl.config.profiles import load, read
from posctl.config.yamltext import Bad
from posctl.errors import ConfigError
from posctl.journal.open import note_of
from posctl.messages import use_language

SECRET = "s3cr3t-canary-0123456789abcdef"

# What is asked, in order, and what is typed.
NAME = ("A name for the profile [store-1]:", "\n")
GATEWAY = ("The gateway [https://eco.taobao.com/router/rest]:", "\n")
APP_KEY = ("The AppKey of the open platform's console:", "12345678\n")
WAY = ("How is it kept [1]:", "\n")
TYPED = ("The AppSecret (it is not shown):", f"{SECRET}\n")
DEFAULTS = [
    ("(shop_id), digits:", "1\n"),
    ("(operator_id):", "0123\n"),
    ("(machine_id):", "001\n"),
    ("(buyer_id), digits:", "1\n"),
    ("(source), for example hema:", "hema\n"),
    ("(merchant_code), for example HM:", "HM\n"),
]
MAX_FEE = ("in fen [500000]:", "\n")
NO_PRACTICE = ("No real money moves. [y/N]", "\n")
ALL = [NAME, GATEWAY, APP_KEY, WAY, TYPED, *DEFAULTS, MAX_FEE, NO_PRACTICE]


@pytest.fixture
def fresh(shop: Shop) -> Shop:
    """A machine without a configuration, where one would be in HOME."""
    shop.env.pop("POSCTL_CONFIG", None)
    shop.env["XDG_CONFIG_HOME"] = str(shop.home / "conf")
    return shop


def config_of(shop: Shop) -> Path:
    return shop.home / "conf" / "posctl" / "config.yaml"


def answered(shop: Shop, answers: Sequence[tuple[str, str]], *args: str) -> Shown:
    return pty_run([*shop.command, *args, "init"], env=shop.env, answers=answers, columns=200)


def instead(*changes: tuple[str, str]) -> list[tuple[str, str]]:
    """All the usual answers, but to these questions others."""
    other = dict(changes)
    return [(question, other.get(question, answer)) for question, answer in ALL]


def left_behind(shop: Shop) -> list[str]:
    return sorted(str(path.relative_to(shop.home)) for path in shop.home.rglob("*"))


# ── what is written ──────────────────────────────────────────────────────────────────────────


def test_the_usual_answers_make_a_configuration_that_works(fresh: Shop) -> None:
    """What was answered is what the strict reader reads, the secret in a file of its own."""
    shown = answered(fresh, ALL)
    assert shown.exit_code == 0, shown.text
    path = config_of(fresh)
    loaded = load(str(path), None, {})
    profile = loaded.profile
    assert (profile.name, profile.app_key, profile.live) == ("store-1", "12345678", True)
    assert profile.gateway == "https://eco.taobao.com/router/rest"
    assert profile.secret.reveal({}) == SECRET
    assert profile.max_fee == 500_000
    assert dict(profile.defaults) == {
        "shop_id": "1",
        "operator_id": "0123",
        "machine_id": "001",
        "buyer_id": "1",
        "source": "hema",
        "merchant_code": "HM",
    }
    assert path.read_text().startswith("# ")
    assert re.search(r"^ store-1 +good$", shown.text, re.MULTILINE)
    note = note_of(path, str(fresh.journal), {})
    assert note is not None
    assert left_behind(fresh) == [
        *("conf", "conf/posctl", "conf/posctl/config.yaml", f"conf/posctl/{note.name}"),
        *("conf/posctl/store-1.secret", "journal.db", "journal.db.held"),
    ]
    assert loaded.journal == str(fresh.journal), "written out whole: no HOME leads elsewhere"


def test_a_journal_that_is_there_is_kept(fresh: Shop) -> None:
    """`init` begins the journal, or keeps the one that is there with all its payments."""
    fresh.run("--profile", "training", "pay", "--fee", "100", "--checkout", "1")
    before = fresh.journal.stat().st_ino
    assert answered(fresh, ALL).exit_code == 0
    assert (fresh.journal.stat().st_ino, fresh.recorded) == (before, 1)
    assert fresh.run("pending", "--json").code == 0


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_nobody_else_can_read_it(fresh: Shop) -> None:
    """Folder 0700, files 0600, whatever the umask allows."""
    before = os.umask(0)
    try:
        answered(fresh, ALL)
    finally:
        os.umask(before)
    path = config_of(fresh)
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (path.parent, *sorted(path.parent.iterdir()))]
    assert modes == [0o700, 0o600, 0o600, 0o600]


def test_the_secret_is_never_shown(fresh: Shop) -> None:
    """Neither the screen nor the configuration holds what was typed; how much it was is said."""
    shown = answered(fresh, ALL)
    assert SECRET.encode() not in shown.raw
    assert f"{len(SECRET)} characters" in shown.text
    assert SECRET not in config_of(fresh).read_text()


def test_it_speaks_chinese(fresh: Shop) -> None:
    """Asked in Chinese, the file is commented in Chinese, and reads the same."""
    use_language("zh")
    try:
        text = Draft().text()
    finally:
        use_language("en")
    assert any("一" <= character <= "鿿" for character in text)
    assert Draft().text() != text
    path = fresh.home / "zh.yaml"
    path.write_text(text)
    assert read(str(path), {}).profiles["store-1"].max_fee == 500_000


def test_the_training_payment_is_a_real_one(fresh: Shop) -> None:
    """Yes at the end takes a payment at the training gateway, recorded like every other."""
    shown = answered(fresh, [*ALL[:-1], (NO_PRACTICE[0], "y\n")])
    assert shown.exit_code == 0, shown.text
    assert "TRAINING" in shown.text
    assert "PAID" in shown.text
    listed = fresh.run("--profile", "training", "history", "--json")
    (payment,) = listed.json["payments"]
    assert payment["outcome"] == "success"
    assert payment["live"] is False


# ── every answer is checked at once ──────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("question", "wrong", "words"),
    [
        (NAME, "store 1", "A-Z a-z 0-9"),
        (NAME, "training", "training is there already"),
        (GATEWAY, "http://eco.taobao.com/router/rest", "this machine only"),
        (GATEWAY, "eco.taobao.com", "https://"),
        (APP_KEY, "", "app_key"),
        (APP_KEY, "12 34", "app_key"),
        (DEFAULTS[0], "one", "shop_id"),
        (DEFAULTS[1], "a b", "operator_id"),
        (DEFAULTS[3], "-1", "buyer_id"),
        (MAX_FEE, "5000.00", "max_fee"),
        (MAX_FEE, "0", "max_fee"),
    ],
)
def test_a_wrong_answer_is_asked_again(
    question: tuple[str, str], wrong: str, words: str, fresh: Shop
) -> None:
    """What the reader of the configuration refuses is refused at the question, with its words."""
    at = ALL.index(question)
    answers = [*ALL[:at], (question[0], f"{wrong}\n"), (f"{words}", question[1]), *ALL[at + 1 :]]
    shown = answered(fresh, answers)
    assert shown.exit_code == 0, shown.text
    assert "× " in shown.text
    assert load(str(config_of(fresh)), None, {}).profile.name == "store-1"


def test_what_is_left_out_stays_out(fresh: Shop) -> None:
    """Enter leaves a default out; it is then given with each payment."""
    empty = {question: "\n" for question, _answer in DEFAULTS}
    shown = answered(fresh, [(q, empty.get(q, a)) for q, a in ALL])
    assert shown.exit_code == 0, shown.text
    assert dict(load(str(config_of(fresh)), None, {}).profile.defaults) == {}


def test_a_secret_that_can_be_none_is_asked_again(fresh: Shop) -> None:
    """An empty secret, or one with a space in it, is no secret."""
    at = ALL.index(TYPED)
    again = f"visible ASCII characters.\n{TYPED[0]}"  # what is typed before it asks is dropped
    answers = [*ALL[:at], (TYPED[0], "two words\n"), (again, TYPED[1])]
    shown = answered(fresh, [*answers, *ALL[at + 1 :]])
    assert shown.exit_code == 0, shown.text
    assert load(str(config_of(fresh)), None, {}).profile.secret.reveal({}) == SECRET


# ── other places for the secret ──────────────────────────────────────────────────────────────


def test_a_file_that_holds_the_secret_is_named(fresh: Shop) -> None:
    """A secret that is in a file stays there, and no other file is made."""
    kept = fresh.home / "my secret"
    kept.write_text(SECRET + "\n")
    kept.chmod(0o600)
    at = ALL.index(TYPED)
    answers = [*instead((WAY[0], "2\n"))[:at], ("The file:", f"{kept}\n"), *ALL[at + 1 :]]
    shown = answered(fresh, answers)
    assert shown.exit_code == 0, shown.text
    assert load(str(config_of(fresh)), None, {}).profile.secret.reveal({}) == SECRET
    beside = {path.name for path in config_of(fresh).parent.glob("*") if path.suffix != ".note"}
    assert beside == {"config.yaml"}


def test_a_variable_and_a_command_can_hold_it(fresh: Shop) -> None:
    """An environment variable or a command is tried out, and written down as it was named."""
    for way, question, answer, kept_in in (
        ("3", "The variable's name:", "TOP_SECRET", "secret_env"),
        ("4", "The command:", f"echo {SECRET}", "secret_command"),
    ):
        config_of(fresh).unlink(missing_ok=True)
        fresh.env["TOP_SECRET"] = SECRET
        at = ALL.index(TYPED)
        typed = [*instead((WAY[0], f"{way}\n"))[:at], (question, f"{answer}\n"), *ALL[at + 1 :]]
        assert answered(fresh, typed).exit_code == 0
        secret = load(str(config_of(fresh)), None, {}).profile.secret
        assert (secret.kept_in, secret.value) == (kept_in, answer)


@pytest.mark.parametrize(("insists", "exit_code"), [("y\n", 3), ("\n", 0)])
def test_a_secret_that_is_not_there_yet(insists: str, exit_code: int, fresh: Shop) -> None:
    """A place without a secret is told; a person may insist, or choose again."""
    at = ALL.index(TYPED)
    answers = [
        *instead((WAY[0], "3\n"))[:at],
        ("The variable's name:", "NOT_SET\n"),
        ("Use it anyway? [y/N]", insists),
    ]
    if insists == "\n":
        answers += [("anyway? [y/N]\nThe AppSecret:", "1\n"), TYPED]
    shown = answered(fresh, [*answers, *ALL[at + 1 :]])
    assert shown.exit_code == exit_code, shown.text
    kept_in = load(str(config_of(fresh)), None, {}).profile.secret.kept_in
    assert kept_in == ("secret_env" if exit_code else "secret_file")


# ── what is there already ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["file", "broken", "dangling"])
def test_an_existing_configuration_is_never_touched(kind: str, fresh: Shop) -> None:
    """Whatever stands at its place stays as it is, and the hint says how to edit it."""
    path = config_of(fresh)
    path.parent.mkdir(parents=True)
    if kind == "dangling":
        path.symlink_to(fresh.home / "elsewhere")
    else:
        path.write_text("profiles: {}\n" if kind == "file" else "\t: broken")
    before = left_behind(fresh)
    shown = answered(fresh, [])
    assert shown.exit_code == 2
    assert "posctl config path" in shown.text
    assert left_behind(fresh) == before


@pytest.mark.parametrize("overwrite", [True, False])
def test_an_older_secret_is_written_over_only_when_told_so(overwrite: bool, fresh: Shop) -> None:
    """A secret's file that is there already is asked about; without a yes it stays."""
    kept = config_of(fresh).with_name("store-1.secret")
    kept.parent.mkdir(parents=True)
    kept.write_text("older\n")
    kept.chmod(0o600)
    at = ALL.index(TYPED)
    answers = [*ALL[:at], ("Write over it? [y/N]", "y\n" if overwrite else "\n")]
    if overwrite:
        answers += [TYPED]
    else:
        answers += [("over it? [y/N]", "2\n"), ("The file:", f"{kept}\n")]
    shown = answered(fresh, [*answers, *ALL[at + 1 :]])
    assert shown.exit_code == 0, shown.text
    assert kept.read_text() == (f"{SECRET}\n" if overwrite else "older\n")
    expected = SECRET if overwrite else "older"
    assert load(str(config_of(fresh)), None, {}).profile.secret.reveal({}) == expected


def test_another_place_can_be_named(fresh: Shop) -> None:
    """--config says where the file goes, --profile what the profile is called."""
    path = fresh.home / "till 7.yaml"
    answers = [("A name for the profile [till-7]:", "\n"), *ALL[1:]]
    shown = answered(fresh, answers, "--config", str(path), "--profile", "till-7")
    assert shown.exit_code == 0, shown.text
    assert load(str(path), None, {}).profile.name == "till-7"
    assert path.with_name("till-7.secret").exists()
    assert not config_of(fresh).exists()


# ── stopped half-way ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["ctrl-c", "ctrl-d"])
@pytest.mark.parametrize("at", range(len(ALL) - 1))
def test_who_stops_leaves_nothing_behind(at: int, key: str, fresh: Shop) -> None:
    """Ctrl-C or Ctrl-D at any question leaves the machine as it was."""
    shown = answered(fresh, [*ALL[:at], (ALL[at][0], key)])
    assert shown.exit_code == 130, shown.text
    assert "Nothing was written" in shown.text
    assert left_behind(fresh) == []


def test_a_place_that_cannot_be_written(fresh: Shop) -> None:
    """Where no file can be made, that is told after the questions, and nothing is left."""
    (fresh.home / "conf").write_text("a file, not a folder")
    shown = answered(fresh, ALL[:-1])
    assert shown.exit_code == 3, shown.text
    assert "cannot be written" in shown.text
    assert left_behind(fresh) == ["conf"]


def test_without_a_terminal_it_says_what_to_copy(fresh: Shop) -> None:
    """A script is told what to fill in, and where; with --json too."""
    for args in (("init",), ("init", "--json")):
        ran = fresh.run(*args, stdin="y\n" * 20)
        assert ran.code == 2
        assert "posctl config example" in ran.err
        assert str(config_of(fresh)) in ran.err
        assert left_behind(fresh) == []


# ── writing and composing ────────────────────────────────────────────────────────────────────


def test_files_are_written_all_or_none(tmp_path: Path) -> None:
    """When one file cannot be placed, none of the others is left, and the older one stays."""
    taken = tmp_path / "taken"
    taken.write_text("theirs")
    older = tmp_path / "older"
    older.write_text("older")
    files = [NewFile(tmp_path / "a", "x"), NewFile(older, "x", replaces=True), NewFile(taken, "x")]
    with pytest.raises(ConfigError):
        write(files)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["older", "taken"]
    assert taken.read_text() == "theirs"
    assert older.read_text() == "older"


def test_a_link_in_the_place_is_not_followed(tmp_path: Path) -> None:
    """A link put where the file belongs leads nobody to write elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    place = tmp_path / "config.yaml"
    place.symlink_to(elsewhere)
    with pytest.raises(ConfigError):
        write([NewFile(place, "x")])
    assert not elsewhere.exists()
    write([NewFile(place, "x", replaces=True)])
    assert not elsewhere.exists()
    assert not place.is_symlink()


def test_a_secret_to_be_written_is_in_no_repr() -> None:
    """A traceback or a log that shows a file to be written does not show what is in it."""
    assert SECRET not in repr([NewFile(Path("x"), SECRET)])


@given(
    st.sampled_from(["gateway", "app_key", "secret", "max_fee", "name"]),
    st.text(st.characters(blacklist_categories=()), min_size=1, max_size=40),
)
def test_every_answer_is_read_back_or_refused(key: str, answer: str) -> None:
    """No answer, whatever is in it, says something else in the file than was typed."""
    draft = Draft()._replace(**{key: answer})  # type: ignore[arg-type]  # all of them are text
    try:
        profile = draft.profile(Path("/config.yaml"))
    except (Bad, ConfigError):
        return
    values = {
        "app_key": profile.app_key,
        "secret": profile.secret.value,
        "max_fee": str(profile.max_fee),
        "name": profile.name,
    }
    assert values.get(key, answer) == answer


@given(st.dictionaries(st.sampled_from(DEFAULT_KEYS), st.text(max_size=30), max_size=5))
def test_defaults_are_read_back_or_refused(defaults: dict[str, str]) -> None:
    """The same for what does not change from payment to payment, through a real file."""
    draft = Draft(defaults=defaults)
    try:
        draft.profile(Path("/config.yaml"))
    except Bad:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.yaml")
        write([NewFile(path, draft.text())])
        found = dict(load(str(path), None, {}).profile.defaults)
    assert found == {name: value for name, value in defaults.items() if value}
