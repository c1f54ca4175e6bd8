"""Which journal every profile uses, what chose it, and whether it is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from posctl.config.profile import ChosenBy, Loaded
from posctl.journal.place import is_database, masked_url
from posctl.messages import N_, _

_CHOSEN_BY: dict[ChosenBy, str] = {
    "environment": "$POSCTL_JOURNAL",
    "configuration": N_("journal: in the configuration"),
    "default": N_("the default place"),
}


def place_json(loaded: Loaded) -> dict[str, Any]:
    """The journal's place, without a password; `exists` is null where nobody looked."""
    return {
        "place": masked_url(loaded.journal),
        "source": loaded.chosen_by,
        "exists": _exists(loaded.journal),
    }


def place_words(loaded: Loaded) -> str:
    """The same for people, but for the place itself."""
    chosen = _(_CHOSEN_BY[loaded.chosen_by])
    parts = [_("every profile"), _("chosen by: {what}").format(what=chosen)]
    exists = _exists(loaded.journal)
    if exists is not None:
        parts.append(_("it is there") if exists else _("it is not there"))
    return " · ".join(parts)


def _exists(journal: str) -> bool | None:
    """None for a database, which is not asked, and for a folder that may not be entered."""
    if is_database(journal):
        return None
    try:
        Path(journal).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return None
    return True
