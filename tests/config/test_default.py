"""Another profile as the usual one: `posctl config list` and `posctl config use`."""

from __future__ import annotations

import pytest
from conftest import Shop

from posctl.config.new import with_default

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
    """`config use` writes the file whole with the mode it had, `config list` marks the profile, and
    an unknown one changes nothing (3).
    """
    path = shop.home / "config.yaml"
    path.write_text(f"default_profile: store-1  # usual\nprofiles:\n{ONE}{TWO}")
    path.chmod(0o640)
    shop.env["POSCTL_CONFIG"] = str(path)
    assert shop.run("config", "use", "store-3").code == 3
    assert "default_profile: store-1  # usual" in path.read_text()
    assert shop.run("config", "use", "store-2").code == 0
    assert path.stat().st_mode & 0o777 == 0o640
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
