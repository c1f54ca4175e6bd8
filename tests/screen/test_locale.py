"""The Chinese catalogue says everything that the code says, and nothing else."""

from __future__ import annotations

import ast
import gettext
import io
import shutil
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

import posctl
from posctl import messages

PACKAGE = Path(posctl.__file__).parent
PO = PACKAGE / "locale/zh/LC_MESSAGES/posctl.po"
MO = PO.with_suffix(".mo")


def catalogue() -> Catalog:
    with PO.open("rb") as file:
        return read_po(file)


def said() -> dict[str, str]:
    """English → Chinese."""
    return {str(message.id): str(message.string) for message in catalogue() if message.id}


def marked() -> dict[str, str]:
    """Every literal inside `_()` or `N_()`, and where it stands."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Name(id="_" | "N_"), args=[ast.Constant(value=str() as text)]
                ):
                    found[text] = f"{path}:{node.lineno}"
    return found


def placeholders(text: str) -> set[tuple[str, str | None]]:
    return {(name, spec) for _before, name, spec, _how in string.Formatter().parse(text) if name}


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    yield
    messages.use_language("en")


def test_every_string_of_the_code_is_in_the_catalogue() -> None:
    """Nobody reads English because a sentence was forgotten."""
    known = said()
    missing = [text for text in marked() if text not in known]
    assert not missing, "run `nox -s words`, translate: " + " · ".join(missing)


def test_nothing_in_the_catalogue_is_left_over() -> None:
    """A sentence that the code no longer says is gone from the catalogue too."""
    assert said().keys() - marked().keys() == set()
    assert catalogue().obsolete == {}


def test_babel_finds_all_that_the_code_says(tmp_path: Path) -> None:
    """`nox -s words` loses no string, such as one inside an f-string."""
    pot = tmp_path / "posctl.pot"
    pybabel = [sys.executable, "-m", "babel.messages.frontend", "-q", "extract"]
    subprocess.run([*pybabel, "-o", str(pot), str(PACKAGE)], check=True)
    with pot.open("rb") as file:
        extracted = {message.id for message in read_po(file) if message.id}
    assert extracted == marked().keys()


def test_every_translation_is_there_and_sure() -> None:
    """No translation is empty or marked as doubtful."""
    assert [english for english, chinese in said().items() if not chinese.strip()] == []
    assert [message.id for message in catalogue() if message.id and message.fuzzy] == []


def test_both_sides_have_the_same_placeholders() -> None:
    """A translation can be filled in wherever the English can, and drops no amount and no id."""
    wrong = {
        english: chinese
        for english, chinese in said().items()
        if placeholders(english) != placeholders(chinese)
    }
    assert wrong == {}


def test_names_of_the_api_commands_and_options_stay_as_they_are() -> None:
    """What must be typed is typed the same in every language; a name alone is a label."""
    words = ("posctl", "request_id", "checkout_id", "remaining_fee", "REQUEST_ID", "POSCTL_")
    wrong = []
    for english, chinese in said().items():
        if english in words:
            continue
        typed = {word for word in english.replace(":", " ").split() if word.startswith("--")}
        typed = {word.rstrip(".,;()") for word in typed}
        typed |= {word for word in words if word in english and word != english}
        wrong += [(english, chinese) for word in typed if word not in chinese]
    assert wrong == []


def spoken(compiled: bytes) -> dict[object, str]:
    """What a compiled catalogue translates, without its header."""
    # `_catalog` is the only way to list it; plural forms are keyed by (message, number).
    translations = vars(gettext.GNUTranslations(io.BytesIO(compiled)))["_catalog"]
    return {message: text for message, text in translations.items() if message}


def test_the_compiled_catalogue_is_that_of_the_source() -> None:
    """posctl.mo is what posctl.po compiles to."""
    compiled = io.BytesIO()
    write_mo(compiled, catalogue())
    # By meaning: the header ("") names the version of Babel that wrote it, and says nothing else.
    assert spoken(MO.read_bytes()) == spoken(compiled.getvalue())


def test_every_sentence_fits_a_chinese_console() -> None:
    """Each Chinese word can be written in cp936, the encoding of a Chinese Windows console."""
    # U+FFE5 and the glyphs of the verdicts are in it; what is not would come out as an escape.
    assert [
        text
        for text in said().values()
        if text.encode("gbk", "replace").count(b"?") > text.count("?")
    ] == []


def test_every_translation_can_be_spoken() -> None:
    """The catalogue that is shipped answers with the translation of its source."""
    messages.use_language("zh")
    assert messages.language() == "zh"
    assert {english: messages._(english) for english in said()} == said()


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "garbage"])
def test_without_a_catalogue_posctl_speaks_english(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A catalogue that is missing or broken costs the Chinese words, never a payment."""
    copy = tmp_path / "zh/LC_MESSAGES/posctl.mo"
    copy.parent.mkdir(parents=True)
    whole = MO.read_bytes()
    broken = {"empty": b"", "cut": whole[: len(whole) // 2], "garbage": b"\0" * 64}
    if damage in broken:
        copy.write_bytes(broken[damage])
    monkeypatch.setattr(messages, "LOCALE_DIR", tmp_path)
    messages.use_language("zh")
    assert messages.language() == "en"
    assert messages._("PAID") == "PAID"


def test_english_opens_no_catalogue(tmp_path: Path) -> None:
    """Without any locale folder, posctl starts, and helps, in English."""
    copy = tmp_path / "posctl"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("locale", "__pycache__"))
    for lang in ("en", "zh"):
        ran = subprocess.run(
            [sys.executable, "-m", "posctl", "--lang", lang, "-h"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        assert "Take one payment." in ran.stdout
