"""The first configuration: composed of answers, checked by its reader, written in one step."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from posctl.config.profile import Config, Profile
from posctl.config.profiles import meaning
from posctl.config.secret import KeptIn
from posctl.config.yamltext import Bad
from posctl.errors import ConfigError
from posctl.files import delete, make_folder, may_be_in_use, place_file, replace, write_draft
from posctl.messages import _
from posctl.text import reason

GATEWAY = "https://eco.taobao.com/router/rest"


class Draft(NamedTuple):
    """One profile as it was answered, all of it text. What is None was not asked yet."""

    name: str = "store-1"
    gateway: str = GATEWAY
    app_key: str = "1"
    kept_in: KeptIn = "secret_env"
    secret: str = "-"  # where it is, as `kept_in` says; never the secret itself
    max_fee: str = "500000"
    defaults: Mapping[str, str] = {}
    journal: str = "~/journal.db"  # absolute, or a database's URL

    def profile(self, path: Path) -> Profile:
        """The profile that the file at `path` would hold. Raises Bad, as reading it would."""
        return meaning(self.text(), path).profiles[self.name]

    def text(self) -> str:
        """The whole file, commented in the user's language."""
        lines = [
            _comment(_("The configuration of posctl, made by posctl init. After a change, type:")),
            _comment("    posctl config check"),
            _comment(_("Every value is text: 001 stays 001. Unknown keys are refused.")),
            "",
            _comment(_("The profile that is used without --profile.")),
            f"default_profile: {_quoted(self.name)}",
            "",
            _comment(_("Where payments are recorded; this journal alone knows what was charged.")),
            _comment(_("Another place is another journal: move it with posctl journal copy.")),
            f"journal: {_quoted(self.journal)}",
            "",
            "profiles:",
            f"  {_quoted(self.name)}:",
            f"    gateway: {_quoted(self.gateway)}",
            f"    app_key: {_quoted(self.app_key)}",
            "",
            "    " + _comment(_("Where the AppSecret is; nobody else may be able to read it.")),
            f"    {self.kept_in}: {_quoted(self.secret)}",
            "",
            "    " + _comment(_("The largest amount of one payment, in fen: 500000 is ￥5000.00.")),
            f"    max_fee: {_quoted(self.max_fee)}",
        ]
        if self.defaults:
            words = _("What does not change from payment to payment; flags win over these.")
            lines += ["", "    " + _comment(words), "    defaults:"]
            lines += [f"      {name}: {_quoted(value)}" for name, value in self.defaults.items()]
        return "\n".join(lines) + "\n"


def _comment(words: str) -> str:
    return f"# {words}"


def _quoted(text: str) -> str:
    """`text` as YAML, which takes JSON's strings, and nothing in it as anything but text."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


class NewFile(NamedTuple):
    """A file to be written. `replaces` an older one, or refuses to."""

    path: Path
    text: str
    replaces: bool = False

    def __repr__(self) -> str:
        return f"NewFile({self.path})"  # it may be the secret


def write(files: Sequence[NewFile]) -> None:
    """All of `files`, each whole and 0600, in a folder that is made 0700; or none of them.

    Raises ConfigError. Signals are the caller's to hold back.
    """
    drafts: list[Path] = []
    placed: list[Path] = []
    try:
        for file in files:
            make_folder(file.path.parent)
            drafts.append(write_draft(file.path, [file.text.encode()]))
        # What replaces comes last: when anything fails, the older file is still there.
        pairs = zip(files, drafts, strict=True)
        for file, draft in sorted(pairs, key=lambda pair: pair[0].replaces):
            if file.replaces:
                replace(file.path, draft)
            else:
                place_file(draft, file.path)
                placed.append(file.path)
    except OSError as error:
        for path in placed:
            delete(path)
        raise ConfigError(
            "config_unwritable",
            _("{path} cannot be written: {why}.").format(path=files[-1].path, why=reason(error)),
            _("If another program has it open, close that first. Then run the same command again.")
            if may_be_in_use(error)
            else _("Check the folder, or name another file with --config."),
        ) from None
    finally:
        for draft in drafts:
            with suppress(OSError):
                delete(draft)


def with_default(text: str, name: str) -> str:
    """`text` of a configuration with another default_profile, and nothing else changed. Raises
    ValueError for one that says it in a way that cannot be exchanged in its line.
    """
    line = f"default_profile: {_quoted(name)}"
    text = text.removeprefix("\ufeff")
    found = re.findall(r"(?m)^default_profile[ \t]*:", text)
    if not found:
        return f"{line}\n{text}"
    changed, count = re.subn(
        r"(?m)^default_profile[ \t]*:[ \t]*[^\s#]*[ \t]*(?=#|\r?$)", f"{line}  ", text
    )
    if count != 1:
        raise ValueError("default_profile")
    return re.sub(r"(?m)^(default_profile: \S+) +(\r?)$", r"\1\2", changed)


def _refuse_other(wanted: Config, found: Config) -> None:
    """The new text must say the wanted and no more. Raises ValueError."""
    if found != wanted:
        raise ValueError("default_profile")


def choose_default(path: Path, name: str) -> None:
    """Write `name` as default_profile into the configuration at `path`, whole or not at all; its
    mode stays. Raises ConfigError.
    """
    place = path.resolve()  # a link to it stays one
    try:
        before = place.read_bytes().decode()
        text = with_default(before, name)
        was, now = meaning(before, path), meaning(text, path)
        _refuse_other(was._replace(default_profile=name), now)
        draft = write_draft(place, [text.encode()])
        with suppress(OSError):
            draft.chmod(stat.S_IMODE(place.stat().st_mode))
        try:
            replace(place, draft)
        finally:
            delete(draft)
    except (ValueError, Bad):
        raise ConfigError(
            "config_odd",
            _("default_profile stands in {path} in a way that posctl does not change.").format(
                path=path
            ),
            _("Change that line by hand."),
        ) from None
    except OSError as error:
        raise ConfigError(
            "config_unwritable",
            _("{path} cannot be written: {why}.").format(path=path, why=reason(error)),
            "",
        ) from None
