"""Another usual profile, or one more: `config list`, `config use` and `init --add`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import Shop
from private import who_may
from pty_run import pty_run

from posctl.config.new import Draft, with_default, with_profile
from posctl.config.profiles import meaning

ONE = """  store-1:
    gateway: https://gateway.invalid/
    app_key: "1"
    secret_env: X
"""
TWO = ONE.replace("store-1", "store-2").replace('"1"', '"2"')


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("default_profile: store-1\n", 'default_profile: "store-2"\n'),
        ("default_profile: store-1", 'default_profile: "store-2"'),
        ("default_profile: 'store-1'\n", 'default_profile: "store-2"\n'),
        ("default_profile:   store-1   # usual\n", 'default_profile: "store-2"  # usual\n'),
        ("default_profile:\n", 'default_profile: "store-2"\n'),
        ("default_profile: a\r\nx: y\r\n", 'default_profile: "store-2"\r\nx: y\r\n'),
        ("# top\nprofiles:\n", 'default_profile: "store-2"\n# top\nprofiles:\n'),
        ("\ufeffprofiles:\n", 'default_profile: "store-2"\nprofiles:\n'),
        ("x:\n  default_profile: b\n", 'default_profile: "store-2"\nx:\n  default_profile: b\n'),
    ],
)
def test_one_line_is_changed(before: str, after: str) -> None:
    """The key's value is exchanged, comments and line ends stay; where there is no such key it
    comes first.
    """
    assert with_default(before, "store-2") == after


@pytest.mark.parametrize(
    "text", ["default_profile: a b\n", "default_profile: a\ndefault_profile: b\n"]
)
def test_what_is_said_in_an_odd_way_stays(text: str) -> None:
    """A value of several words, or the key given twice, is for a person to change."""
    with pytest.raises(ValueError, match="default_profile"):
        with_default(text, "store-2")


def test_the_usual_profile_is_chosen_and_listed(shop: Shop) -> None:
    """`config use` writes the file whole for those who could read it, `config list` marks the
    profile, and an unknown one changes nothing (3).
    """
    path = shop.home / "config.yaml"
    path.write_text(f"default_profile: store-1  # usual\nprofiles:\n{ONE}{TWO}")
    path.chmod(0o640)
    readers = who_may(path)
    shop.env["POSCTL_CONFIG"] = str(path)
    assert shop.run("config", "use", "store-3").code == 3
    assert "default_profile: store-1  # usual" in path.read_text()
    assert shop.run("config", "use", "store-2").code == 0
    assert who_may(path) == readers
    listed = shop.run("config", "list", "--json").json
    assert listed["default_profile"] == "store-2"
    usual = {name: one["default"] for name, one in listed["profiles"].items()}
    assert usual == {"store-1": False, "store-2": True, "training": False}
    assert sorted(one.name for one in shop.home.iterdir()) == ["config.yaml"]


def test_a_link_to_the_configuration_stays_a_link(shop: Shop) -> None:
    """A configuration that is kept elsewhere is changed there."""
    real = shop.home / "kept.yaml"
    real.write_text(f"profiles:\n{ONE}{TWO}")
    real.chmod(0o600)
    link = shop.home / "config.yaml"
    link.symlink_to(real)
    shop.env["POSCTL_CONFIG"] = str(link)
    assert shop.run("config", "use", "store-2").code == 0
    assert link.is_symlink()
    assert real.read_text().startswith('default_profile: "store-2"\n')


@pytest.mark.parametrize(
    "text",
    [
        f"default_profile: store-1\nprofiles:\n{ONE}",
        f"profiles:   # ours\n\n  # the first\n{ONE}",
        f"profiles:\n{ONE}".replace("\n", "\r\n"),
        "profiles:\n" + "".join(f"    {line}\n" for line in ONE.splitlines()),
        "default_profile: training\n",
        "profiles:",
    ],
)
def test_one_more_profile_leaves_the_others_as_they_are(text: str) -> None:
    """Whatever the indentation and the line ends, the file then holds what it held and the new."""
    path = Path("/nowhere/config.yaml")
    draft = Draft(name="store-9", app_key="9", kept_in="secret_env", secret="Y")
    before, after = meaning(text, path), meaning(with_profile(text, draft), path)
    assert dict(after.profiles) == dict(before.profiles) | {"store-9": draft.profile(path)}


def test_profiles_in_one_line_are_for_a_person_to_change() -> None:
    """A mapping in braces is left alone."""
    with pytest.raises(ValueError, match="profiles"):
        with_profile("profiles: {}\n", Draft(name="b"))


ANSWERS = [
    ("The gateway [https://eco.taobao.com/router/rest]:", "\n"),
    ("The AppKey of the open platform's console:", "9\n"),
    ("How is it kept [1]:", "\n"),
    ("The AppSecret (it is not shown):", "s3cr3t\n"),
    ("(shop_id), digits:", "9\n"),
    *((f"({name})", "\n") for name in ("operator_id", "machine_id", "buyer_id")),
    *((f"({name})", "\n") for name in ("source", "merchant_code")),
    ("in fen [500000]:", "\n"),
]


def test_what_cannot_be_added_is_refused_before_anything_is_asked(shop: Shop) -> None:
    """Profiles in braces are for a person (3); no secret is typed for nothing and left behind."""
    path = shop.home / "config.yaml"
    path.write_text("profiles: {training: {}}\n")
    path.chmod(0o600)
    shop.env["POSCTL_CONFIG"] = str(path)
    shown = pty_run([*shop.command, "init", "--add", "store-9"], env=shop.env, answers=[])
    assert shown.exit_code == 3, shown.text
    assert [one.name for one in shop.home.iterdir()] == ["config.yaml"]


def test_whoever_could_read_the_configuration_still_can(shop: Shop) -> None:
    """The tills of the file's group read it after a change as before."""
    other = next((one for one in (*os.getgroups(), 1) if one != os.getegid()), 1)
    path = shop.home / "config.yaml"
    path.write_text(f"profiles:\n{ONE}{TWO}")
    path.chmod(0o640)
    try:
        os.chown(path, -1, other)
    except PermissionError:
        pytest.skip("this user is of one group alone")
    shop.env["POSCTL_CONFIG"] = str(path)
    assert shop.run("config", "use", "store-2").code == 0
    assert (path.stat().st_gid, path.stat().st_mode & 0o777) == (other, 0o640)


def test_init_adds_a_profile(shop: Shop) -> None:
    """`init --add` asks as `init` does, writes the secret into a file of its own, and the profile
    into the configuration; a name that is there is refused (2), and so is a file in one line (3).
    """
    path = shop.home / "config.yaml"
    path.write_text(f"default_profile: store-1  # usual\nprofiles:\n{ONE}")
    path.chmod(0o600)
    shop.env["POSCTL_CONFIG"] = str(path)
    assert shop.run("init", "--add", "store-1").code == 2
    assert shop.run("init", "--add", "a b").code == 2
    assert shop.run("init", "--add", "store-9").code == 2  # nobody to ask
    shown = pty_run(
        [*shop.command, "init", "--add", "store-9"], env=shop.env, answers=ANSWERS, columns=200
    )
    assert shown.exit_code == 0, shown.text
    assert (shop.home / "store-9.secret").read_text() == "s3cr3t\n"
    text = path.read_text()
    assert "default_profile: store-1  # usual" in text
    assert ONE in text
    listed = shop.run("config", "list", "--json").json["profiles"]
    assert listed["store-9"]["shop_id"] == "9"
    assert listed["store-1"]["default"]
