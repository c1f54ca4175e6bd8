"""YAML → Profile: which merchant, which gateway, which secret, what is not typed at every payment.

Every complaint about the file names its line, and the nearest key for one that does not exist.
The environment is asked for what the file leaves open: docs/outcomes.md has the exit code (3).
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from posctl.config.keys import (
    APP_KEY,
    APP_KEY_SIGNS,
    DEFAULT_KEYS,
    SECRET_KEYS,
    choice_of,
    decline_codes_of,
    defaults_of,
    expanded,
    gateway_of,
    known_keys,
    mapping_of,
    max_fee_of,
    merchant_name_of,
    notify_of,
    pattern_of,
    placed,
    proxy_of,
    receipt_of,
    secret_of,
    statement_of,
    status_words_of,
    till_of,
    timeout_of,
    word_of,
)
from posctl.config.profile import (
    TRAINING,
    TRAINING_APP_KEY,
    TRAINING_SECRET,
    ChosenBy,
    Config,
    Loaded,
    Profile,
    Receipt,
    Statement,
    TillKeys,
)
from posctl.config.secret import Guarded, Secret, utf8
from posctl.config.yamltext import Bad, Map, parse
from posctl.errors import ConfigError, UsageError
from posctl.gateway.exchange import Timeout
from posctl.gateway.top import SIGN_METHODS
from posctl.hint import Say, Type
from posctl.journal.place import at_home, default_journal, is_database, masked_url, own_folder
from posctl.messages import _
from posctl.text import nearest

MAX_CONFIG_BYTES = 256 * 1024

_TOP_KEYS = ("default_profile", "journal", "defaults", "profiles")
_PROFILE_KEYS = (
    *("gateway", "app_key", *SECRET_KEYS, "sign_method", "session", "timeout", "max_fee"),
    *("proxy", "ca", "defaults", "status_words", "allow_card_numbers", "receipt", "statement"),
    *("till", "merchant", "decline_codes", "notify_command"),
)
_TRAINING_KEYS = (
    *("timeout", "max_fee", "defaults", "status_words", "allow_card_numbers"),
    *("receipt", "statement", "till", "decline_codes", "notify_command"),
)
# Training tells nobody that a payment waits, unless its own section says so.
_SHARED_WITH_TRAINING = tuple(key for key in _TRAINING_KEYS if key != "notify_command")
_TRAINING_DEFAULTS = {
    "shop_id": "1",
    "operator_id": "123",
    "machine_id": "001",
    "buyer_id": "1",
    "source": "hema",
    "merchant_code": "HM",
}


def load(config_flag: str | None, profile_flag: str | None, environ: Mapping[str, str]) -> Loaded:
    """The profile in force, by flag, else environment, else file. Raises ConfigError."""
    config = read(config_flag, environ)
    warnings = list(_config_clash(config_flag, environ))
    from_env = environ.get("POSCTL_PROFILE") or None
    if profile_flag == "":  # as with --config: the default may be where real money moves
        raise ConfigError("no_profile", _("{option} is empty.").format(option="--profile"))
    name = profile_flag or from_env or config.default_profile
    if name is None:
        raise no_profile(config)
    loser = from_env if profile_flag else config.default_profile
    if loser not in (None, name) and from_env:
        winner = f"--profile {name}" if profile_flag else f"POSCTL_PROFILE={name}"
        over = f"POSCTL_PROFILE={loser}" if profile_flag else f"default_profile: {loser}"
        warnings.append(_clash(winner, over))
    if name not in config.profiles:
        raise unknown_profile(name, config)
    journal, clash, chosen_by = _journal(config.journal, environ)
    known = tuple(config.profiles.values())
    said = (*warnings, *clash)
    return Loaded(config.profiles[name], journal, config.path, said, chosen_by, known)


def journal_path(config_flag: str | None, environ: Mapping[str, str]) -> Path:
    """Where the journal's file is, whatever profile is in use.

    Raises ConfigError, and UsageError when the journal is a database.
    """
    journal = journal_place(config_flag, environ)
    if is_database(journal):
        raise UsageError(
            "journal_is_a_database",
            _("The journal is a database: {path}").format(path=masked_url(journal)),
            _("Look after it with its own tools, such as pg_dump; posctl journal copy reads it."),
        )
    return Path(journal)


def journal_place(config_flag: str | None, environ: Mapping[str, str]) -> str:
    """The journal's path, or its URL, whatever profile is in use. Raises ConfigError."""
    return _journal(read(config_flag, environ).journal, environ)[0]


def usual_journal(environ: Mapping[str, str]) -> str:
    """The journal's path or URL where no configuration names one. Raises ConfigError."""
    return _journal(None, environ)[0]


def state_folder(config_flag: str | None, environ: Mapping[str, str]) -> Path:
    """Where posctl keeps what is this machine's own: beside the journal. Raises ConfigError."""
    journal = journal_place(config_flag, environ)
    return own_folder(environ) if is_database(journal) else Path(journal).parent


def _journal(in_file: str | None, environ: Mapping[str, str]) -> tuple[str, list[str], ChosenBy]:
    """The journal by environment, else file, else platform; what was overridden; which it was."""
    named = environ.get("POSCTL_JOURNAL")
    if not named and in_file:
        return in_file, [], "configuration"
    if not named:
        return str(default_journal(environ)), [], "default"
    place = placed(named)
    if place is None:
        raise ConfigError(
            "relative_journal",
            _(
                "POSCTL_JOURNAL={path} is a relative path: it leads elsewhere from every folder."
            ).format(path=named),
            _whole_path(),
        )
    if in_file and place != in_file:
        winner, loser = masked_url(named), masked_url(in_file)
        clash = _clash(f"POSCTL_JOURNAL={winner}", f"journal: {loser}")
        return place, [clash], "environment"
    return place, [], "environment"


def read(config_flag: str | None, environ: Mapping[str, str]) -> Config:
    """The whole configuration. Without a file there is the profile `training` alone.

    Raises ConfigError: also for a file that was named and is not there.
    """
    path, named = config_path(config_flag, environ)
    if not named and not path.exists() and not path.is_symlink():
        inside = {TRAINING: _training(Map({}, {}, 1))}
        return Config(path, exists=False, default_profile=None, journal=None, profiles=inside)
    guarded = Guarded(path, MAX_CONFIG_BYTES, "config")
    try:
        root = parse(utf8(guarded.raw, str(path)))
        if _holds_secret(root):
            guarded.refuse_readable()
        return _config(root, path)
    except Bad as bad:
        what = _("{path}, line {line}: {what}.")
        raise ConfigError(
            bad.code, what.format(path=path, line=bad.line, what=bad.message.rstrip(".")), bad.hint
        ) from None


def meaning(text: str, path: Path) -> Config:
    """What `text` would say as the configuration at `path`. Raises Bad."""
    return _config(parse(text), path)


def config_path(config_flag: str | None, environ: Mapping[str, str]) -> tuple[Path, bool]:
    """Where the configuration is, and whether somebody named that place. Raises ConfigError."""
    if config_flag == "":  # an unset variable of a script: not the file that happens to be there
        raise ConfigError("config", _("{option} is empty.").format(option="--config"))
    named = config_flag or environ.get("POSCTL_CONFIG")
    if named:
        return expanded(named, Path()), True
    from platformdirs import user_config_path

    return at_home(user_config_path, environ) / "config.yaml", False


def _config_clash(flag: str | None, environ: Mapping[str, str]) -> list[str]:
    from_env = environ.get("POSCTL_CONFIG")
    if flag and from_env and flag != from_env:
        return [_clash(f"--config {flag}", f"POSCTL_CONFIG={from_env}")]
    return []


def _clash(winner: str, loser: str) -> str:
    return _("{winner} is used, not {loser}.").format(winner=winner, loser=loser)


def no_profile(config: Config) -> ConfigError:
    """No profile is chosen, and what to do."""
    if not config.exists:
        return ConfigError(
            "no_config",
            _("There is no configuration yet: {path}").format(path=config.path),
            (
                *(Say(_("To make one:")), Type(("init",))),
                *(Say(_("To practise:")), Type(("--profile", "training", "till"))),
            ),
        )
    return ConfigError(
        "no_profile",
        _("No profile is chosen."),
        _("Set default_profile in {path}, or give --profile: {names}").format(
            path=config.path, names=", ".join(config.profiles)
        ),
    )


def unknown_profile(name: str, config: Config) -> ConfigError:
    """`name` is none of the profiles; the nearest."""
    names = ", ".join(config.profiles)
    near = nearest(name, config.profiles)
    return ConfigError(
        "unknown_profile",
        _("There is no profile {name} in {path}.").format(name=name[:64], path=config.path),
        _("Did you mean {near}? There are: {names}").format(near=near, names=names)
        if near
        else _("There are: {names}").format(names=names),
    )


# ── from the file's keys to profiles ─────────────────────────────────────────────────────────


def _holds_secret(root: Map) -> bool:
    journal = str(root.items.get("journal"))
    if masked_url(journal) != journal:
        return True
    sections = root.items.get("profiles")
    own = sections.items.values() if isinstance(sections, Map) else ()
    for section in (root.items.get("defaults"), *own):
        if isinstance(section, Map) and (
            section.items.get("secret")
            or section.items.get("session")
            or "@" in str(section.items.get("proxy"))
        ):
            return True
    return False


def _config(root: Map, path: Path) -> Config:
    known_keys(root, _TOP_KEYS)
    shared = _shared(root)
    sections = mapping_of(root, "profiles")
    profiles: dict[str, Profile] = {}
    for name, line in sections.lines.items():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
            raise Bad("bad_name", line, _("a profile's name is made of A-Z a-z 0-9 . _ -"))
        section = mapping_of(sections, name)
        if name != TRAINING:
            whole, taken = _inherit(section, shared)
            profiles[name] = _profile(name, whole, path.parent)._replace(inherited=taken)
    section = mapping_of(sections, TRAINING)
    _refuse_a_gateway(section)
    whole, taken = _inherit(section, _only(shared, _SHARED_WITH_TRAINING))
    profiles[TRAINING] = _training(whole)._replace(inherited=taken)
    return Config(
        path,
        exists=True,
        default_profile=word_of(root, "default_profile"),
        journal=_journal_key(root),
        profiles=profiles,
    )


def _shared(root: Map) -> Map:
    """What every profile inherits: the keys below `defaults:`, which are those of a profile."""
    shared = mapping_of(root, "defaults")
    for key in shared.lines:
        if key in DEFAULT_KEYS:
            raise Bad(
                "unknown_key",
                shared.lines[key],
                _("{key} belongs one level deeper").format(key=key),
                _("Write it below a second defaults:, as in a profile."),
            )
    known_keys(shared, _PROFILE_KEYS)
    return shared


def _only(section: Map, keys: tuple[str, ...]) -> Map:
    items = {key: value for key, value in section.items.items() if key in keys}
    return section._replace(items=items)


def _inherit(section: Map, shared: Map) -> tuple[Map, tuple[str, ...]]:
    """A profile with what it does not say itself, and the keys of that, with points. A key that
    says null is said; a secret in a place of the profile's own is not in the shared one. Who has an
    app or a session of his own is a seller of his own: the shared `merchant` is not his.
    """
    if any(section.items.get(key) for key in ("app_key", "session")):
        shared = _only(shared, tuple(key for key in shared.items if key != "merchant"))
    if any(section.items.get(key) for key in SECRET_KEYS):
        secretless = tuple(key for key in shared.items if key not in SECRET_KEYS)
        shared = _only(shared, secretless)
    return _merged(section, shared, "")


def _merged(section: Map, shared: Map, where: str) -> tuple[Map, tuple[str, ...]]:
    items, lines = dict(section.items), dict(section.lines)
    taken: list[str] = []
    for key, value in shared.items.items():
        own = items.get(key)
        if key not in items:
            items[key], lines[key] = value, shared.lines[key]
            inside = value.items if isinstance(value, Map) else ()
            taken += [f"{where}{key}.{one}" for one in inside] or [f"{where}{key}"]
        elif isinstance(own, Map) and isinstance(value, Map):  # no deeper than defaults: shop_id
            items[key], names = _merged(own, value, f"{key}.")
            taken += names
    return Map(items, lines, section.line), tuple(taken)


def _profile(name: str, section: Map, folder: Path) -> Profile:
    known_keys(section, _PROFILE_KEYS)
    ca = word_of(section, "ca")
    app_key = pattern_of(section, "app_key", APP_KEY, APP_KEY_SIGNS)
    return Profile(
        name=name,
        gateway=gateway_of(section),
        app_key=app_key,
        merchant_name=merchant_name_of(section, app_key),
        secret=secret_of(section, folder),
        sign_method=choice_of(section, "sign_method", SIGN_METHODS) or SIGN_METHODS[0],
        session=word_of(section, "session")
        and pattern_of(section, "session", r"[!-~]{1,512}", _("visible ASCII characters")),
        proxy=proxy_of(section),
        ca=expanded(ca, folder) if ca else None,
        **_common(section),
    )


def _refuse_a_gateway(section: Map) -> None:
    """The file may add to the profile training what is not about its gateway. Raises Bad."""
    for key, line in section.lines.items():
        if key in _PROFILE_KEYS and key not in _TRAINING_KEYS:
            what = _("the profile training has no {key}: its gateway is inside posctl")
            raise Bad("training", line, what.format(key=key))
    known_keys(section, _TRAINING_KEYS)


def _training(section: Map) -> Profile:
    """The profile that is always there."""
    common = _common(section)
    common["defaults"] = _TRAINING_DEFAULTS | dict(common["defaults"])
    secret = Secret("secret", TRAINING_SECRET)
    return Profile(TRAINING, TRAINING, TRAINING_APP_KEY, secret, **common)


class _Common(TypedDict):
    """The keys that every profile may have, as keywords of Profile."""

    timeout: Timeout
    max_fee: int
    defaults: Mapping[str, str]
    status_words: Mapping[str, str]
    decline_codes: tuple[str, ...]
    allow_card_numbers: bool
    receipt: Receipt
    statement: Statement
    till: TillKeys
    notify_command: tuple[str, ...]


def _common(section: Map) -> _Common:
    allow_card_numbers = choice_of(section, "allow_card_numbers", ("false", "true")) == "true"
    return {
        "timeout": timeout_of(section),
        "max_fee": max_fee_of(section),
        "defaults": defaults_of(section, allow_card_numbers=allow_card_numbers),
        "status_words": status_words_of(section),
        "decline_codes": decline_codes_of(section),
        "allow_card_numbers": allow_card_numbers,
        "receipt": receipt_of(section),
        "statement": statement_of(section),
        "till": till_of(section),
        "notify_command": notify_of(section),
    }


def _whole_path() -> str:
    if os.name == "nt":
        return _("Give the whole path with its drive (or from ~).")
    return _("Give the whole path, from / on (or from ~).")


def _journal_key(root: Map) -> str | None:
    """The journal that the file names. A relative path would begin another one, without a word,
    wherever the file is copied to.
    """
    named = word_of(root, "journal")
    place = placed(named) if named else None
    if named and place is None:
        raise Bad(
            "relative_journal",
            root.lines["journal"],
            _("journal is a relative path"),
            _whole_path(),
        )
    return place
