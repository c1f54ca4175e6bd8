"""The words of posctl in the user's language, through gettext.

English stands in the code; Chinese in `locale/zh/LC_MESSAGES/posctl.po`, compiled to the `.mo`
beside it; how to update them stands at the head of the `.po`. Text with values uses named
placeholders: `_("{path} is a folder").format(…)`, never an f-string, neither inside nor around, so
that a translation can turn the sentence round and babel finds it.
"""

from __future__ import annotations

from gettext import GNUTranslations, NullTranslations
from pathlib import Path

LANGUAGES = ("en", "zh")
LOCALE_DIR = Path(__file__).parent / "locale"


class _Words:
    """The language in use; English needs no catalogue and so no file."""

    lang = "en"
    catalogue = NullTranslations()


def use_language(lang: str) -> None:
    """Speak `lang`, one of LANGUAGES, from now on; English when its catalogue cannot be read."""
    _Words.lang, _Words.catalogue = "en", NullTranslations()
    if lang == "en":
        return
    try:
        with (LOCALE_DIR / lang / "LC_MESSAGES" / "posctl.mo").open("rb") as compiled:
            _Words.catalogue = GNUTranslations(compiled)
    except Exception:  # noqa: BLE001  whatever is wrong with a catalogue, payments go on
        return
    _Words.lang = lang


def language() -> str:
    """The language in use, "en" or "zh"."""
    return _Words.lang


def _(text: str) -> str:
    """`text` in the user's language."""
    return _Words.catalogue.gettext(text)


def N_(text: str) -> str:  # noqa: N802  gettext's own name for "translate later"
    """Mark `text` for the catalogue; it is translated where it is shown, with `_`."""
    return text
