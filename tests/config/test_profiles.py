"""The configuration: read strictly, guarded, with one precedence, and no secret in any word."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Shop
from hypothesis import given
from hypothesis import strategies as st

from posctl.config.profile import Loaded, Profile
from posctl.config.profiles import load, read
from posctl.errors import ConfigError
from posctl.shell import as_text

EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"
SECRET = "s3cr3t-canary"
CONTRACT = f"""\
default_profile: store-1
journal: /var/lib/posctl/journal.db
profiles:
  store-1:
    gateway: https://eco.taobao.com/router/rest
    app_key: "12345678"
    secret: {SECRET}
    sign_method: hmac-sha256
    session: null
    timeout: {{connect: 5, read: 15, total: 30}}
    max_fee: 500000
    defaults: {{shop_id: "1", operator_id: 0123456, machine_id: 001, buyer_id: 1, source: no}}
"""


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """A configuration file with the given text, mode 0600."""

    def write(text: str | bytes, mode: int = 0o600) -> Path:
        if os.name == "nt" and isinstance(text, str):
            text = text.replace("journal: /", "journal: C:/")
        path = tmp_path / "config.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        path.chmod(mode)
        return path

    return write


def store(path: Path, **environ: str) -> Profile:
    return load(str(path), "store-1", environ).profile


def refused(path: Path, *, profile: str | None = "store-1", **environ: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(str(path), profile, environ)
    assert SECRET not in f"{caught.value.message} {as_text(caught.value.hint)}"
    return caught.value


# ── what every profile has ───────────────────────────────────────────────────────────────────

SHARED = """\
defaults:
  gateway: https://eco.taobao.com/router/rest
  app_key: "1"
  secret_env: ALL
  session: s
  merchant: hema
  timeout: {connect: 2, read: 20}
  decline_codes: [LOW]
  notify_command: [tell]
  receipt: {header: all, width: 48}
  defaults: {buyer_id: 1, source: hema}
profiles:
  store-1:
    defaults: {shop_id: 1, source: other}
    timeout: {read: 7.5}
    secret_file: own
    decline_codes: []
  store-2:
  store-3: {session: null, notify_command: ~, defaults: null, receipt: {header: null}}
"""


def test_a_profile_inherits_what_it_does_not_say(written: Callable[..., Path]) -> None:
    """Keys below `defaults:` are every profile's; what a profile says wins, mappings key by key,
    a secret as a whole; null takes a key back.
    """
    one, two, three, training = read(str(written(SHARED)), {}).profiles.values()
    assert (one.gateway, one.app_key, one.session) == (two.gateway, "1", "s")
    assert dict(one.defaults) == {"shop_id": "1", "source": "other", "buyer_id": "1"}
    assert (one.timeout.connect_s, one.timeout.read_s, one.timeout.total_s) == (2, 7.5, 30)
    assert (one.secret.kept_in, two.secret.kept_in) == ("secret_file", "secret_env")
    assert (one.decline_codes, two.decline_codes) == ((), ("LOW",))
    assert dict(two.defaults) == {"source": "hema", "buyer_id": "1"}
    assert (three.session, three.notify_command, dict(three.defaults)) == (None, (), {})
    assert (three.receipt.header, three.receipt.width) == ((), 48)
    assert (two.merchant.name, two.notify_command) == ("hema", ("tell",))
    assert (training.receipt.width, training.notify_command) == (48, ())
    assert training.merchant.name == "training"
    assert (training.defaults["source"], training.defaults["shop_id"]) == ("hema", "1")


@pytest.mark.parametrize("own", ["session: t", 'app_key: "2"'])
def test_a_seller_of_his_own_is_not_the_shared_merchant(
    written: Callable[..., Path], own: str
) -> None:
    """Or one seller's open payment would be sent with another's session: the file is refused until
    the profile with a session says whose it is.
    """
    text = SHARED.replace("  store-2:\n", f"  store-2: {{{own}}}\n")
    assert text != SHARED
    assert refused(written(text), profile="store-2").code == "no_merchant"
    named = text.replace(f"{{{own}}}", f"{{{own}, merchant: mine}}")
    assert read(str(written(named)), {}).profiles["store-2"].merchant.name == "mine"


def test_what_was_inherited_is_known(written: Callable[..., Path]) -> None:
    """Each profile knows which of its keys the file says for all."""
    one, two, three, training = read(str(written(SHARED)), {}).profiles.values()
    rest = ("gateway", "app_key", "session", "merchant")
    assert one.inherited == (
        *(*rest, "timeout.connect", "notify_command", "receipt.header", "receipt.width"),
        "defaults.buyer_id",
    )
    assert {"secret_env", "timeout.read", "decline_codes", "defaults.source"} <= {*two.inherited}
    assert "receipt.header" not in three.inherited
    assert {name.partition(".")[0] for name in training.inherited} == {
        *("timeout", "decline_codes", "receipt", "defaults")
    }


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("  gatway: x", "line 2: unknown key gatway"),
        ("  shop_id: 1", "line 2: shop_id belongs one level deeper"),
        ("  max_fee: 0", "line 2: max_fee is a whole number"),
        ("  timeout: {reed: 1}", "line 2: unknown key reed"),
        ("  secret_file: B\n  secret_env: A", "line 3: a profile needs exactly one of"),
        ("  session: s", "line 2: a profile with a session needs merchant"),
        ("  - a", "line 2: a list is not allowed here"),
    ],
)
def test_what_is_wrong_for_every_profile_names_its_line(
    line: str, words: str, written: Callable[..., Path]
) -> None:
    """The block is read as strictly as a profile, and an error names the line where it stands."""
    secret = "" if "secret" in line else ", secret_env: A"
    own = f'profiles:\n  store-1: {{gateway: "https://a.invalid/", app_key: 1{secret}}}\n'
    assert words in refused(written(f"defaults:\n{line}\n{own}")).message


STORE = """\
default_profile: store-1
profiles:
  store-1:
    gateway: https://a.invalid/
"""


@pytest.mark.parametrize(
    ("rows", "line", "words", "typed"),
    [
        ("    app_key：1\n    secret_env: X", 5, "the colon is full-width", "Type : and a space"),
        ("    timeout：\n      read: 5", 5, "the colon is full-width", "Type : and a space"),
        (
            "    app_key: 1\n    secret_env: X\n    till: {amount： yuan}",
            7,
            "the colon is full-width",
            "Type : and a space",
        ),
        ('    app_key:"1"\n    secret_env: X', 5, "no space follows", "Type a space behind"),
        (
            "    app_key: 1\n    secret_env: X\n    timeout: {read:5}",
            7,
            "no space follows",
            "Type a space behind",
        ),
        ("\tapp_key: 1", 5, "a tab stands before", "Type spaces instead"),
        ("    \tapp_key: 1", 5, "a tab stands before", "Type spaces instead"),
        ("\xa0   app_key: 1", 5, "a space of another kind", "Type plain spaces"),
        ("　　app_key: 1", 5, "a space of another kind", "Type plain spaces"),
        ("    app_key:\xa01\n    secret_env: X", 5, "a space of another kind", "Type plain spaces"),
        (
            "    app_key:\u30001\n    secret_env: X",
            5,
            "a space of another kind",
            "Type plain spaces",
        ),
        ("    app_key: 1\xa0\n    secret_env: X", 5, "app_key has a space of", "Type plain spaces"),
        ('    app_key: "1\n    secret_env: X', 5, "a quote is not closed", "Type the same"),
        ("    app_key: 1\n    secret: 'x", 6, "a quote is not closed", "Type the same"),
        ("    secret: @x\n    app_key: 1", 5, "the value needs quotes", "Put it in single"),
        ("    secret: %x\n    app_key: 1", 5, "the value needs quotes", "Put it in single"),
        ("    secret: a: b\n    app_key: 1", 5, "the value needs quotes", "Put it in single"),
        ("    defaults: {shop_id: 1， source: a}", 5, "comma or bracket is full-width", "Type ,"),
        ("    timeout: ｛read: 5｝", 5, "comma or bracket is full-width", "Type ,"),
        ('    app_key: "1”\n    secret_env: X', 5, "quotes are Chinese", 'Type "'),
        ("    app_key: ‘1’\n    secret_env: X", 5, "app_key stands in Chinese quotes", 'Type "'),
        ("    “app_key”: 1", 5, "quotes are Chinese", 'Type "'),
        (
            *("    app_key: 1\n    secret_env: X\n    defaults: {merchant_code: “HM”}", 7),
            *("merchant_code stands in Chinese quotes", 'Type "'),
        ),
    ],
)
def test_what_an_input_method_leaves_is_named(
    rows: str, line: int, words: str, typed: str, written: Callable[..., Path]
) -> None:
    """Full-width signs, tabs, other blanks, a missing blank, quotes that are Chinese, not closed or
    missing are named with their line, not with the one where YAML notices, and with what to type.
    """
    error = refused(written(f"{STORE}{rows}\n"))
    assert f", line {line}: " in error.message
    assert words in error.message
    assert as_text(error.hint).startswith(typed)


def test_such_signs_in_texts_and_comments_are_right(written: Callable[..., Path]) -> None:
    """A receipt's own words and a comment may hold any of them."""
    text = f"""{STORE}    app_key: 1  # 密钥：“…”
    secret_env: X
    receipt:
      header: |
        「云朵」：电话：123，周一至周五
        Tel：123
"""
    assert store(written(text)).receipt.header[1] == "Tel：123"


def test_a_secret_for_every_profile_is_guarded(written: Callable[..., Path]) -> None:
    """A file whose `defaults:` hold a secret is refused when others can read it."""
    text = f"defaults: {{secret: {SECRET}}}\nprofiles: {{store-1: }}\n"
    assert "can be read by others" in refused(written(text, 0o644)).message


def test_config_show_marks_what_is_for_every_profile(shop: Shop) -> None:
    """`config show` marks it on the screen, and lists it as `inherited` for scripts."""
    shop.profile("https://a.invalid/")  # makes the file
    (shop.home / "config.yaml").write_text(SHARED)
    shown = shop.run("--profile", "store-1", "config", "show", "--format", "text").out
    marked = [line.split()[0] for line in shown.splitlines() if "(for every profile)" in line]
    first = ("gateway", "app_key", "merchant", "session")
    assert marked[:4] == [f"settings.{key}" for key in first]
    assert "settings.timeout.connect" in marked
    assert "settings.timeout.read" not in marked
    asked = shop.run("--profile", "store-1", "config", "show", "--json").json
    assert asked["inherited"][:2] == ["gateway", "app_key"]


# ── what is read ─────────────────────────────────────────────────────────────────────────────


def test_the_contracts_own_sample(written: Callable[..., Path]) -> None:
    """The configuration of the contract gives the profile it describes, every scalar as text."""
    loaded = load(str(written(CONTRACT)), None, {})
    profile = loaded.profile
    assert (profile.name, profile.app_key, profile.live) == ("store-1", "12345678", True)
    assert profile.gateway == "https://eco.taobao.com/router/rest"
    assert (profile.sign_method, profile.session, profile.max_fee) == ("hmac-sha256", None, 500_000)
    timeout = profile.timeout
    assert (timeout.connect_s, timeout.read_s, timeout.total_s) == (5, 15, 30)
    assert dict(profile.defaults) == {
        "shop_id": "1",
        "operator_id": "0123456",
        "machine_id": "001",
        "buyer_id": "1",
        "source": "no",
    }
    assert profile.secret.reveal({}) == SECRET
    assert SECRET not in repr(loaded)


def test_the_example_works_as_it_stands() -> None:
    """The example's default is training, and its production profile lacks nothing but a secret."""
    config = read(str(EXAMPLE), {})
    assert config.default_profile == "training"
    assert load(str(EXAMPLE), None, {}).profile.live is False
    production = config.profiles["store-1"]
    assert production.live
    assert production.secret.kept_in == "secret_file"


def test_the_example_explains_every_key() -> None:
    """No key of a profile is left out of the example."""
    from posctl.config.keys import DEFAULT_KEYS  # noqa: PLC0415
    from posctl.config.profiles import _PROFILE_KEYS, _TOP_KEYS  # noqa: PLC0415

    text = EXAMPLE.read_text()
    unsaid = [
        key
        for key in (*_TOP_KEYS, *_PROFILE_KEYS, *DEFAULT_KEYS)
        if key not in text and key != "channel_account"  # a fixed payment code is for training
    ]
    assert not unsaid


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30))
def test_every_quoted_scalar_is_text(word: str) -> None:
    """Whatever stands between quotes arrives as it was written."""
    quoted = "'" + word.replace("'", "''") + "'"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.yaml")
        path.write_text(CONTRACT.replace("machine_id: 001", f"machine_id: {quoted}"))
        path.chmod(0o600)
        assert store(path).defaults["machine_id"] == word


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda t: t.encode())))
def test_no_bytes_crash_the_reader(raw: bytes) -> None:
    """Any file at all is read or refused with words."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.yaml")
        path.write_bytes(raw)
        path.chmod(0o600)
        try:
            read(str(path), {})
        except ConfigError as error:
            assert error.message


GATEWAYS = {
    "https://ECO.Taobao.com/router/rest": "https://eco.taobao.com/router/rest",
    "https://eco.taobao.com:443/router/rest": "https://eco.taobao.com/router/rest",
    "https://eco.taobao.com./router/rest": "https://eco.taobao.com/router/rest",
    "http://127.0.0.1:8800/router/rest": "http://127.0.0.1:8800/router/rest",
    "http://localhost:80/r": "http://localhost/r",
    "http://[::1]:8800/r": "http://[::1]:8800/r",
    "https://gw.example": "https://gw.example/",
}


@pytest.mark.parametrize("url", GATEWAYS)
def test_one_gateway_has_one_spelling(url: str, written: Callable[..., Path]) -> None:
    """Two spellings of one URL are one gateway: they must not hide each other's checkouts."""
    text = CONTRACT.replace("https://eco.taobao.com/router/rest", url)
    assert store(written(text)).gateway == GATEWAYS[url]


# ── what is refused, by line ─────────────────────────────────────────────────────────────────


def _with(old: str, new: str) -> str:
    assert old in CONTRACT
    return CONTRACT.replace(old, new)


REFUSED = {
    "unknown key": (_with("app_key:", "app_keys:"), "line 6", "app_key?"),
    "unknown top key": (_with("journal:", "jurnal:"), "line 2", "journal?"),
    "unknown default": (_with("shop_id", "shop_ids"), "line 12", "shop_id?"),
    "a payment's own default": (_with("shop_id", "pay_fee"), "line 12", ""),
    "unknown timeout": (_with("connect", "conect"), "line 10", "connect?"),
    "repeated key": (_with("    session: null", "    app_key: x"), "line 9", ""),
    "alias": (_with("null", "*a"), "line 9", ""),
    "anchor": (_with("null", "&a x"), "line 9", ""),
    "tag": (_with("null", "!!python/object:os.system x"), "line 9", ""),
    "standard tag": (_with("500000", "!!int 5"), "line 11", ""),
    "list": (_with("null", "[a, b]"), "line 9", ""),
    "tab": (_with("    session", "\tsession"), "line 9", ""),
    "no YAML": (_with(f"secret: {SECRET}", f"secret: {SECRET}: x"), "line 7", ""),
    "unclosed quote": (_with(f"secret: {SECRET}", f"secret: '{SECRET}"), "", ""),
    "two documents": (CONTRACT + "---\n" + CONTRACT, "line 13", ""),
    "scalar root": ("words", "line 1", ""),
    "list root": ("- a", "line 1", ""),
    "deep": ("a: " + "{a: " * 3000, "line 1", ""),
    "deep lists": ("[" * 3000, "line 1", ""),
    "mapping as key": ("{a: b}: c", "line 1", ""),
    "http to elsewhere": (_with("https://eco", "http://eco"), "line 5", "https://"),
    "URL with a password": (_with("//eco", "//u:p@eco"), "line 5", ""),
    "URL with a query": (_with("/rest", "/rest?x=1"), "line 5", ""),
    "no URL": (_with("https://eco.taobao.com/router/rest", "eco"), "line 5", ""),
    "bad port": (_with("eco.taobao.com", "eco.taobao.com:99999"), "line 5", ""),
    "ftp": (_with("https:", "ftp:"), "line 5", ""),
    "sign method": (_with("hmac-sha256", "sha1"), "line 8", ""),
    "timeout zero": (_with("connect: 5", "connect: 0"), "line 10", ""),
    "timeout negative": (_with("connect: 5", "connect: -5"), "line 10", ""),
    "timeout as text": (_with("connect: 5", "connect: 5s"), "line 10", ""),
    "timeout full width": (_with("connect: 5", "connect: ５"), "line 10", ""),
    "timeout infinite": (_with("connect: 5", "connect: .inf"), "line 10", ""),
    "max_fee": (_with("500000", "5e5"), "line 11", ""),
    "max_fee zero": (_with("500000", "0"), "line 11", ""),
    "default's value": (_with("buyer_id: 1", "buyer_id: one"), "line 12", ""),
    "no app key": (_with('    app_key: "12345678"\n', ""), "line 5", ""),
    "empty app key": (_with('"12345678"', '""'), "line 6", ""),
    "no secret": (_with(f"    secret: {SECRET}\n", ""), "", "secret_env"),
    "two secrets": (_with("    session: null", "    secret_env: X"), "line 9", ""),
    "profile without keys": ("profiles:\n  store-1: x\n", "line 2", ""),
    "profile's name": (_with("  store-1:", "  'store 1':"), "line 4", ""),
    "proxy": (_with("session: null", "proxy: socks5://x"), "line 9", ""),
    "training's gateway": (CONTRACT + "  training:\n    gateway: https://x/\n", "line 14", ""),
    "status word": (_with("session: null", "status_words: {OK: yes}"), "line 9", ""),
    "not UTF-8": (CONTRACT.encode("utf-16"), "", ""),
    "NUL": (_with("null", '"\\0"'), "line 9", ""),
    "too large": (CONTRACT + "#" * 300_000, "", ""),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_says_where(what: str, written: Callable[..., Path]) -> None:
    """A configuration that cannot be right is refused with its line and the nearest key."""
    text, line, near = REFUSED[what]
    error = refused(written(text))
    assert line in error.message
    assert near in f"{error.message} {as_text(error.hint)}"


# ── secrets and files ────────────────────────────────────────────────────────────────────────


def _kept(written: Callable[..., Path], key: str, value: str) -> Path:
    return written(CONTRACT.replace(f"secret: {SECRET}", f"{key}: {value}"))


def test_secret_in_a_file_of_its_own(written: Callable[..., Path], tmp_path: Path) -> None:
    """secret_file is relative to the configuration, loses its line end, and must be private."""
    kept = tmp_path / "store-1.secret"
    kept.write_text(SECRET + "\r\n")
    kept.chmod(0o600)
    profile = store(_kept(written, "secret_file", "store-1.secret"))
    assert profile.secret.reveal({}) == SECRET
    for mode in (0o644, 0o604, 0o602, 0o660 if os.getgid() != os.getuid() else 0o606):
        kept.chmod(mode)
        with pytest.raises(ConfigError, match="others"):
            profile.secret.reveal({})
    kept.chmod(0o600)
    for text in ("", "\n", "two\nlines\n", "bl ank", "\0", "秘密"):
        kept.write_text(text)
        with pytest.raises(ConfigError, match="no secret"):
            profile.secret.reveal({})
    kept.unlink()
    with pytest.raises(ConfigError, match="does not exist"):
        profile.secret.reveal({})


def test_secret_in_the_environment(written: Callable[..., Path]) -> None:
    """secret_env names a variable; an empty one is as good as none."""
    secret = store(_kept(written, "secret_env", "SHOP_SECRET")).secret
    assert secret.reveal({"SHOP_SECRET": SECRET}) == SECRET
    for environ in ({}, {"SHOP_SECRET": ""}):
        with pytest.raises(ConfigError, match="SHOP_SECRET is not set"):
            secret.reveal(environ)


def test_secret_from_a_command(written: Callable[..., Path], tmp_path: Path) -> None:
    """secret_command runs without a shell; its failure quotes neither its output nor its words."""
    script = tmp_path / "keeper.py"
    script.write_text("import sys; print(sys.argv[1]); sys.exit(len(sys.argv) - 2)")
    good = store(_kept(written, "secret_command", f"{sys.executable} {script} '{SECRET};x'"))
    assert good.secret.reveal({}) == f"{SECRET};x"
    bad = store(_kept(written, "secret_command", f"{sys.executable} {script} {SECRET} {SECRET}"))
    for secret in (bad.secret, store(_kept(written, "secret_command", "/no/such")).secret):
        with pytest.raises(ConfigError) as caught:
            secret.reveal({})
        assert SECRET not in caught.value.message
        assert SECRET not in secret.describe()


@pytest.mark.parametrize("path", [r"C:\users\x.db", r"C:\pos\x.db", r"C:\new\x.db", r"C:\Local\x"])
def test_a_path_in_double_quotes(written: Callable[..., Path], path: str) -> None:
    """A path whose backslashes YAML takes for escapes is refused, and single quotes are named."""
    text = CONTRACT.replace("/var/lib/posctl/journal.db", f'"{path}"')
    assert "single quotes" in as_text(refused(written(text)).hint)


def test_an_encoding_of_notepads(written: Callable[..., Path]) -> None:
    """A file in UTF-16 is refused, and what to choose in Notepad is named."""
    assert "Notepad" in as_text(refused(written(CONTRACT.encode("utf-16"))).hint)


def test_the_command_that_is_not_there_is_named(written: Callable[..., Path]) -> None:
    """What secret_command calls is named when it is not found; what may be a secret is not."""
    secret = store(_kept(written, "secret_command", "\"'/no/such keeper' word\"")).secret
    with pytest.raises(ConfigError, match="/no/such keeper"):
        secret.reveal({})
    by_mistake = "0123456789abcdef0123456789abcdef"
    secret = store(_kept(written, "secret_command", by_mistake)).secret
    with pytest.raises(ConfigError) as caught:
        secret.reveal({})
    assert by_mistake not in caught.value.message + secret.describe()


def test_the_configuration_is_guarded(written: Callable[..., Path]) -> None:
    """With a secret in it others must not read it; with or without, others must not write it."""
    for mode in (0o644, 0o604, 0o622, 0o602):
        assert "others" in refused(written(CONTRACT, mode)).message
    without = CONTRACT.replace(f"secret: {SECRET}", "secret_env: X")
    assert store(written(without, 0o644)).secret.kept_in == "secret_env"
    for mode in (0o666, 0o646):
        assert "changed by others" in refused(written(without, mode)).message


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root to give it away")
def test_another_users_configuration(written: Callable[..., Path]) -> None:
    """A file that belongs to another user is refused: its owner can change it."""
    path = written(CONTRACT)
    os.chown(path, 12345, 12345)
    assert "another user" in refused(path).message


def test_what_is_no_file(tmp_path: Path) -> None:
    """A folder, a FIFO, a device, a dangling link or nothing at all: refused, never waited for."""
    fifo, link = tmp_path / "fifo", tmp_path / "link"
    os.mkfifo(fifo)
    link.symlink_to(tmp_path / "nowhere")
    for path in (tmp_path, fifo, Path("/dev/zero"), link, tmp_path / "missing"):
        assert str(path) in refused(path).message


# ── precedence ───────────────────────────────────────────────────────────────────────────────


def _load(*args: str | None, **environ: str) -> Loaded:
    config, profile = args
    return load(config, profile, environ)


def test_flag_beats_environment_beats_file(written: Callable[..., Path], tmp_path: Path) -> None:
    """The profile comes from the flag, else the environment, else the file; a clash is said."""
    path = str(written(CONTRACT))
    assert _load(path, None) == _load(None, None, POSCTL_CONFIG=path)
    by_env = _load(path, None, POSCTL_PROFILE="training")
    assert (by_env.profile.name, len(by_env.warnings)) == ("training", 1)
    by_flag = _load(path, "store-1", POSCTL_PROFILE="training")
    assert (by_flag.profile.name, len(by_flag.warnings)) == ("store-1", 1)
    assert _load(path, "training").warnings == ()
    other = _load(path, None, POSCTL_CONFIG="/elsewhere", POSCTL_PROFILE="", POSCTL_JOURNAL="")
    assert len(other.warnings) == 1
    assert "/elsewhere" in other.warnings[0]


def test_where_the_journal_is(written: Callable[..., Path], tmp_path: Path) -> None:
    """The environment beats `journal:`; a clash is said, two spellings of one place are none."""
    path = str(written(CONTRACT))
    assert _load(path, None).journal == "/var/lib/posctl/journal.db"
    over = _load(path, None, POSCTL_JOURNAL="/var/j.db")
    assert (over.journal, len(over.warnings)) == ("/var/j.db", 1)
    assert not _load(path, None, POSCTL_JOURNAL="/var/lib/posctl/journal.db").warnings


@pytest.mark.parametrize("place", ["journal.db", "./journal.db", "a/../journal.db"])
def test_a_journal_has_its_whole_path(written: Callable[..., Path], place: str) -> None:
    """A relative path is refused, in the file (by its line) and in the environment; ~ is whole."""
    path = written(_with("journal: /var/lib/posctl/journal.db", f"journal: {place}"))
    assert (refused(path).code, "line 2" in refused(path).message) == ("relative_journal", True)
    path = written(_with("journal: /var/lib/posctl/journal.db", "journal: ~/journal.db"))
    assert _load(str(path), None).journal == str(Path.home() / "journal.db")
    with pytest.raises(ConfigError) as told:
        _load(str(path), None, POSCTL_JOURNAL=place)
    assert told.value.code == "relative_journal"


def test_names_that_do_not_exist(written: Callable[..., Path]) -> None:
    """A wrong profile is answered with the nearest, a missing choice with all there are."""
    path = written(CONTRACT)
    assert "store-1?" in as_text(refused(path, profile="store1").hint)
    assert "store-1" in as_text(
        refused(written(_with("default_profile: store-1\n", "")), profile=None).hint
    )


def test_training_needs_no_file(shop: Shop) -> None:
    """Without a file the profile training is there, and no other is guessed."""
    env = shop.env | {"XDG_CONFIG_HOME": str(shop.home / "none"), "HOME": str(shop.home)}
    ran = shop.run("--profile", "training", "config", "show", "--json", env=env)
    assert ran.code == 0
    assert (ran.json["profile"], ran.json["live"]) == ("training", False)
    for args in (("pay", "--fee", "1"), ("--profile", "store-1", "pending")):
        ran = shop.run(*args, "--json", env=env)
        assert ran.code == 3, ran
        assert "training" in ran.json["error"]["hint"]


def test_the_file_may_add_to_training(written: Callable[..., Path]) -> None:
    """Training takes defaults, limits and timeouts from the file, and stays training."""
    path = written(CONTRACT + "  training:\n    max_fee: 7\n    defaults: {machine_id: 009}\n")
    profile = load(str(path), "training", {}).profile
    assert (profile.live, profile.gateway, profile.max_fee) == (False, "training", 7)
    assert (profile.defaults["machine_id"], profile.defaults["shop_id"]) == ("009", "1")


# ── the commands ─────────────────────────────────────────────────────────────────────────────


def test_config_show_hides_every_secret(shop: Shop) -> None:
    """`config show` names where the secret is, and shows none of it, nor codes, nor passwords."""
    shop.profile(
        "https://eco.taobao.com/router/rest",
        secret=SECRET,
        session="session-canary",
        merchant="hema-hangzhou",
        proxy="http://user:proxy-canary@proxy:3128",
        defaults="{alipay_account: alipay-canary-123456}",
    )
    for how in ((), ("--json",)):
        ran = shop.run("config", "show", *how)
        assert ran.code == 0
        assert "http://proxy:3128" in ran.out
        for canary in (SECRET, "session-canary", "proxy-canary", "alipay-canary-123456"):
            assert canary not in ran.out + ran.err


def test_config_check_tries_every_secret(shop: Shop) -> None:
    """`config check` exits 3 and names the profile whose secret cannot be had; else 0."""
    shop.profile("https://eco.taobao.com/router/rest", secret=None, secret_env="SHOP_SECRET")
    ran = shop.run("config", "check", "--json")
    assert (ran.code, ran.json["profiles"]["store-1"]["ok"]) == (3, False)
    ran = shop.run("config", "check", "--json", env={"SHOP_SECRET": SECRET})
    assert (ran.code, ran.json["profiles"]["store-1"]["ok"]) == (0, True)
    assert SECRET not in ran.out + ran.err


def test_config_path_is_one_bare_line(shop: Shop) -> None:
    """`config path` prints the place alone, whether anything is there or not."""
    ran = shop.run("config", "path", env={"POSCTL_CONFIG": "/nowhere/config.yaml"})
    assert (ran.code, ran.out) == (0, "/nowhere/config.yaml\n")


def test_no_home_is_said(shop: Shop) -> None:
    """Without a home folder posctl says so instead of writing just anywhere."""
    ran = shop.run("config", "path", env={"HOME": "", "XDG_CONFIG_HOME": ""})
    assert (ran.code, ran.out) == (3, "")
    assert "POSCTL_CONFIG" in ran.err
