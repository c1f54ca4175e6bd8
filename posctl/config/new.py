"""The first configuration: composed of answers, checked by its reader, written in one step."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from posctl.config.profile import Config, Profile
from posctl.config.profiles import meaning
from posctl.config.secret import KeptIn
from posctl.config.yamltext import Bad
from posctl.errors import ConfigError
from posctl.files import delete, make_folder, may_be_in_use, place_file, replace, write_draft
from posctl.hint import Say, Type
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
            *self.lines("  "),
        ]
        return "\n".join(lines) + "\n"

    def lines(self, indent: str) -> list[str]:
        """The profile alone, below `profiles:`."""
        lines = [
            f"{_quoted(self.name)}:",
            f"  gateway: {_quoted(self.gateway)}",
            f"  app_key: {_quoted(self.app_key)}",
            "",
            "  " + _comment(_("Where the AppSecret is; nobody else may be able to read it.")),
            f"  {self.kept_in}: {_quoted(self.secret)}",
            "",
            "  " + _comment(_("The largest amount of one payment, in fen: 500000 is ￥5000.00.")),
            f"  max_fee: {_quoted(self.max_fee)}",
        ]
        if self.defaults:
            words = _("What does not change from payment to payment; flags win over these.")
            lines += ["", "  " + _comment(words), "  defaults:"]
            lines += [f"    {name}: {_quoted(value)}" for name, value in self.defaults.items()]
        return [f"{indent}{line}" if line else "" for line in lines]


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
        raise _unwritable(files[-1].path, error) from None
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


def choose_default(path: Path, name: str) -> None:
    """Write `name` as default_profile into the configuration at `path`. Raises ConfigError."""
    text = _changed(
        path,
        lambda text: with_default(text, name),
        lambda was, now: now == was._replace(default_profile=name),
    )
    _put(path, text)


def with_profile(text: str, draft: Draft) -> str:
    """`text` of a configuration with one more profile, before the others. Raises ValueError for one
    whose profiles do not begin in lines of their own.
    """
    text = text.removeprefix("\ufeff")
    head = re.search(r"(?m)^profiles[ \t]*:[ \t]*(?:#.*)?\r?$\n?", text)
    if head is None:
        if re.search(r"(?m)^profiles\b", text):
            raise ValueError("profiles")
        return "\n".join([text.rstrip("\n"), "", "profiles:", *draft.lines("  "), ""])
    first = re.search(r"(?m)^([ \t]+)[^\s#]", text[head.end() :])
    added = "".join(f"{line}\n" for line in draft.lines(first[1] if first else "  "))
    before = text[: head.end()]
    return f"{before}{'' if before.endswith(chr(10)) else chr(10)}{added}\n{text[head.end() :]}"


def add_profile(path: Path, draft: Draft) -> None:
    """Write one more profile into the configuration at `path`. Raises ConfigError."""
    _put(path, _with_added(path, draft))


def refuse_unless_addable(path: Path, draft: Draft) -> None:
    """Before anything is asked: a profile of this name can be written there. Raises ConfigError."""
    _with_added(path, draft)


def _with_added(path: Path, draft: Draft) -> str:
    def is_added(was: Config, now: Config) -> bool:
        others = {name: one for name, one in now.profiles.items() if name != draft.name}
        return draft.name in now.profiles and now._replace(profiles=others) == was

    return _changed(path, lambda text: with_profile(text, draft), is_added)


def _changed(
    path: Path, change: Callable[[str], str], is_wanted: Callable[[Config, Config], bool]
) -> str:
    """What a person wrote at `path`, changed, if the strict reader then reads what is wanted and no
    more. Raises ConfigError.
    """
    try:
        before = path.read_bytes().decode()
        text = change(before)
        if is_wanted(meaning(before, path), meaning(text, path)):
            return text
    except (ValueError, Bad):
        pass
    except OSError as error:
        raise _unwritable(path, error) from None
    raise ConfigError(
        "config_odd",
        _("{path} is written in a way that posctl does not change.").format(path=path),
        (Say(_("Change it by hand. Every key is explained by:")), Type(("config", "example"))),
    )


def _put(path: Path, text: str) -> None:
    """Write the configuration anew, whole or not at all, for those who could read it. Raises
    ConfigError.
    """
    place = path.resolve()  # a link to it stays one
    try:
        draft = write_draft(place, [text.encode()])
        try:
            _let_read(draft, place)
            replace(place, draft)
        finally:
            delete(draft)
    except OSError as error:
        raise _unwritable(path, error) from None


def _let_read(draft: Path, before: Path) -> None:
    """Those who may read the present file may read the draft: a till of its group, say."""
    if sys.platform == "win32":
        from posctl.windows import take_over_list

        take_over_list(draft, before)
        return
    with suppress(OSError):
        status = before.stat()
        os.chown(draft, -1, status.st_gid)
        draft.chmod(stat.S_IMODE(status.st_mode))


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        "config_unwritable",
        _("{path} cannot be written: {why}.").format(path=path, why=reason(error)),
        _("If another program has it open, close that first. Then run the same command again.")
        if may_be_in_use(error)
        else _("Check the folder, or name another file with --config."),
    )
