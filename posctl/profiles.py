"""YAML → Profile: which merchant, which gateway, which secret, what is not typed at every payment.

Every complaint about the file names its line, and the nearest key for one that does not exist.
The environment is asked for what the file leaves open: docs/outcomes.md has the exit code (3).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, TypedDict, get_args
from urllib.parse import urlsplit

from posctl.errors import ConfigError, UsageError
from posctl.exchange import Timeout
from posctl.hint import Say, Type
from posctl.messages import _
from posctl.order import FIELDS, check_value
from posctl.record import Merchant
from posctl.secret import Guarded, KeptIn, Secret, is_database, masked_url, utf8
from posctl.top import SIGN_METHODS
from posctl.yamltext import Bad, Map, parse, shown

TRAINING = "training"
TRAINING_APP_KEY = "training"
TRAINING_SECRET = "training-secret"
DEFAULT_TIMEOUT = Timeout(connect_s=5, read_s=15, total_s=30)
DEFAULT_MAX_FEE = 500_000  # fen

MAX_CONFIG_BYTES = 256 * 1024
MAX_RECEIPT_LINES = 20

_TOP_KEYS = ("default_profile", "journal", "profiles")
SECRET_KEYS: tuple[KeptIn, ...] = get_args(KeptIn)
_PROFILE_KEYS = (
    *("gateway", "app_key", *SECRET_KEYS, "sign_method", "session", "timeout", "max_fee"),
    *("proxy", "ca", "defaults", "status_words", "allow_card_numbers", "receipt", "statement"),
    *("till", "merchant", "decline_codes"),
)
_TIMEOUT_KEYS = ("connect", "read", "total")
# What belongs to one payment alone has no default.
DEFAULT_KEYS = tuple(
    name for name in FIELDS if name not in ("request_id", "pay_fee", "checkout_id", "order_id")
)
_TRAINING_KEYS = (
    *("timeout", "max_fee", "defaults", "status_words", "allow_card_numbers"),
    *("receipt", "statement", "till", "decline_codes"),
)
_RECEIPT_KEYS = ("header", "footer", "width")
_TILL_KEYS = ("amount", "checkout")
_STATEMENT_KEYS = ("id", "amount", "amount_unit", "time", "encoding")
_TRAINING_DEFAULTS = {
    "shop_id": "1",
    "operator_id": "123",
    "machine_id": "001",
    "buyer_id": "1",
    "source": "hema",
    "merchant_code": "HM",
}
_DECLINE_CODE = r"[A-Za-z0-9](?:[A-Za-z0-9_.:-]{0,62}[A-Za-z0-9])?"
_STATUS_MEANINGS = ("success", "fail", "pending")


class Receipt(NamedTuple):
    """The lines above and below every receipt, and its columns: 32 (58 mm paper) or 48 (80 mm)."""

    header: tuple[str, ...] = ()
    footer: tuple[str, ...] = ()
    width: int = 32


class Statement(NamedTuple):
    """The columns of the platform's or the bank's statement; None: those of its usual exports.

    `amount_unit` is "yuan" or "fen", `encoding` "utf-8" or "gbk".
    """

    id: str | None = None
    amount: str | None = None
    amount_unit: str | None = None
    time: str | None = None
    encoding: str | None = None


class TillKeys(NamedTuple):
    """What is typed at `posctl till`: the amount in "yuan" or "fen"; the checkout_id, "ask", or
    none, since the till makes one itself, "number".
    """

    amount: str = "yuan"
    checkout: str = "ask"


_NONE: Mapping[str, str] = {}
DEFAULT_RECEIPT = Receipt()
DEFAULT_STATEMENT = Statement()
DEFAULT_TILL = TillKeys()


class Profile(NamedTuple):
    """One merchant at one gateway. `gateway` is a URL, or "training" for the one inside."""

    name: str
    gateway: str
    app_key: str
    secret: Secret
    sign_method: str = "hmac-sha256"
    session: str | None = None
    timeout: Timeout = DEFAULT_TIMEOUT
    max_fee: int = DEFAULT_MAX_FEE
    proxy: str | None = None
    ca: Path | None = None
    defaults: Mapping[str, str] = _NONE
    status_words: Mapping[str, str] = _NONE
    decline_codes: tuple[str, ...] = ()
    allow_card_numbers: bool = False
    receipt: Receipt = DEFAULT_RECEIPT
    statement: Statement = DEFAULT_STATEMENT
    till: TillKeys = DEFAULT_TILL
    merchant_name: str | None = None

    @property
    def merchant(self) -> Merchant:
        """Whose money it is; `merchant` of the profile, else its app_key."""
        return Merchant(self.live, self.merchant_name or self.app_key)

    @property
    def live(self) -> bool:
        """Whether real money moves: not at the training gateway, wherever it runs."""
        return self.app_key != TRAINING_APP_KEY

    def __repr__(self) -> str:
        return f"Profile({self.name})"  # no session, no proxy password, no payment code


ChosenBy = Literal["environment", "configuration", "default"]  # the journal, for every profile


class Loaded(NamedTuple):
    """What is in force: the profile, the journal's path or URL, what was overridden by what."""

    profile: Profile
    journal: str
    path: Path
    warnings: tuple[str, ...]
    chosen_by: ChosenBy
    profiles: tuple[Profile, ...]  # all of the configuration

    def __repr__(self) -> str:
        return f"Loaded({self.profile.name})"  # no password of the journal's


class Config(NamedTuple):
    """A configuration file, every profile in it checked."""

    path: Path
    exists: bool
    default_profile: str | None
    journal: str | None
    profiles: Mapping[str, Profile]

    def __repr__(self) -> str:
        return f"Config({self.path})"  # as above


def load(config_flag: str | None, profile_flag: str | None, environ: Mapping[str, str]) -> Loaded:
    """The profile in force, by flag, else environment, else file. Raises ConfigError."""
    config = read(config_flag, environ)
    warnings = list(_config_clash(config_flag, environ))
    from_env = environ.get("POSCTL_PROFILE") or None
    if profile_flag == "":  # as with --config: the default may be where real money moves
        raise ConfigError("no_profile", _("{option} is empty.").format(option="--profile"))
    name = profile_flag or from_env or config.default_profile
    if name is None:
        raise _no_profile(config)
    loser = from_env if profile_flag else config.default_profile
    if loser not in (None, name) and from_env:
        winner = f"--profile {name}" if profile_flag else f"POSCTL_PROFILE={name}"
        over = f"POSCTL_PROFILE={loser}" if profile_flag else f"default_profile: {loser}"
        warnings.append(_clash(winner, over))
    if name not in config.profiles:
        raise _unknown_profile(name, config)
    journal, clash, chosen_by = _journal(config.journal, environ)
    known = tuple(config.profiles.values())
    said = (*warnings, *clash)
    return Loaded(config.profiles[name], journal, config.path, said, chosen_by, known)


def reaching(profiles: Iterable[Profile], merchant: Merchant, rather: str) -> str | None:
    """The name of one of `profiles` that reaches `merchant`, the one named `rather` if it does;
    None when none does. A payment's own profile name may mean another merchant by now.
    """
    names = [one.name for one in profiles if one.merchant == merchant]
    return rather if rather in names else next(iter(names), None)


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


def own_folder(environ: Mapping[str, str]) -> Path:
    """Posctl's folder among the user's states, whatever the configuration says. Raises
    ConfigError.
    """
    return default_journal(environ).parent


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
            _("Give the whole path, from / on (or from ~)."),
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
    from platformdirs import user_config_path  # noqa: PLC0415  20 ms that a named file saves

    return at_home(user_config_path, environ) / "config.yaml", False


def default_journal(environ: Mapping[str, str]) -> Path:
    from platformdirs import user_state_path  # noqa: PLC0415  as above

    return at_home(user_state_path, environ) / "journal.db"


def at_home(place: Callable[..., Path], environ: Mapping[str, str]) -> Path:
    """The folder of posctl in one of the platform's. Raises ConfigError."""
    try:
        path = place("posctl", appauthor=False)
    except RuntimeError:  # no HOME, and nobody of that number in the system's list
        path = Path()
    # An empty HOME would be the root folder: not just anywhere.
    if not path.is_absolute() or environ.get("HOME") == "":
        raise ConfigError(
            "no_home",
            _("There is no home folder to look in."),
            _("Set HOME, or POSCTL_CONFIG and POSCTL_JOURNAL."),
        )
    return path


def _config_clash(flag: str | None, environ: Mapping[str, str]) -> list[str]:
    from_env = environ.get("POSCTL_CONFIG")
    if flag and from_env and flag != from_env:
        return [_clash(f"--config {flag}", f"POSCTL_CONFIG={from_env}")]
    return []


def _clash(winner: str, loser: str) -> str:
    return _("{winner} is used, not {loser}.").format(winner=winner, loser=loser)


def _no_profile(config: Config) -> ConfigError:
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


def _unknown_profile(name: str, config: Config) -> ConfigError:
    names = ", ".join(config.profiles)
    near = nearest(name, tuple(config.profiles))
    return ConfigError(
        "unknown_profile",
        _("There is no profile {name} in {path}.").format(name=name[:64], path=config.path),
        _("Did you mean {near}? There are: {names}").format(near=near, names=names)
        if near
        else _("There are: {names}").format(names=names),
    )


def nearest(word: str, names: tuple[str, ...]) -> str | None:
    from difflib import get_close_matches  # noqa: PLC0415  only for a typo

    return next(iter(get_close_matches(word, names, n=1)), None)


# ── from the file's keys to profiles ─────────────────────────────────────────────────────────


def _holds_secret(root: Map) -> bool:
    journal = str(root.items.get("journal"))
    if masked_url(journal) != journal:
        return True
    sections = root.items.get("profiles")
    for section in sections.items.values() if isinstance(sections, Map) else ():
        if isinstance(section, Map) and (
            section.items.get("secret")
            or section.items.get("session")
            or "@" in str(section.items.get("proxy"))
        ):
            return True
    return False


def _config(root: Map, path: Path) -> Config:
    known_keys(root, _TOP_KEYS)
    sections = mapping_of(root, "profiles")
    profiles: dict[str, Profile] = {}
    for name, line in sections.lines.items():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
            raise Bad("bad_name", line, _("a profile's name is made of A-Z a-z 0-9 . _ -"))
        section = mapping_of(sections, name)
        if name != TRAINING:
            profiles[name] = _profile(name, section, path.parent)
    profiles[TRAINING] = _training(mapping_of(sections, TRAINING))
    return Config(
        path,
        exists=True,
        default_profile=word_of(root, "default_profile"),
        journal=_journal_key(root),
        profiles=profiles,
    )


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


APP_KEY, APP_KEY_SIGNS = r"[A-Za-z0-9._-]{1,64}", "A-Z a-z 0-9 . _ -"


def merchant_name_of(section: Map, app_key: str) -> str | None:
    """The seller's name that never changes. An app with a session works for several sellers, and
    only this tells them apart.
    """
    if word_of(section, "merchant") is None:
        if word_of(section, "session") is not None:
            raise Bad(
                "no_merchant",
                section.lines["session"],
                _(
                    "a profile with a session needs merchant: the seller's name, one that never "
                    "changes"
                ),
            )
        return None
    name = pattern_of(section, "merchant", APP_KEY, APP_KEY_SIGNS)
    if TRAINING_APP_KEY in (name, app_key):
        raise Bad("bad_value", section.lines["merchant"], _("merchant must not be training"))
    return name


def _training(section: Map) -> Profile:
    """The profile that is always there; the file may add to it what is not about its gateway."""
    for key, line in section.lines.items():
        if key in _PROFILE_KEYS and key not in _TRAINING_KEYS:
            what = _("the profile training has no {key}: its gateway is inside posctl")
            raise Bad("training", line, what.format(key=key))
    known_keys(section, _TRAINING_KEYS)
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
    }


# ── one key each ─────────────────────────────────────────────────────────────────────────────


def known_keys(section: Map, known: tuple[str, ...]) -> None:
    for key, line in section.lines.items():
        if key not in known:
            near = nearest(key, known)
            raise Bad(
                "unknown_key",
                line,
                _("there is no key {key}").format(key=shown(key)),
                _("Did you mean {near}?").format(near=near)
                if near
                else _("There are: {names}").format(names=", ".join(known)),
            )


def word_of(section: Map, key: str) -> str | None:
    """The text that `key` holds; None when it holds none."""
    found = section.items.get(key)
    if isinstance(found, Map | list) or (found and re.search(r"[\x00-\x1f\x7f-\x9f]", found)):
        what = _("{key} is text on one line").format(key=shown(key))
        raise Bad("bad_value", section.lines[key], what)
    return found or None


def _needed(section: Map, key: str) -> str:
    found = word_of(section, key)
    if found is None:
        line = section.lines.get(key, section.line)
        raise Bad("missing_key", line, _("{key} is missing here").format(key=key))
    return found


def mapping_of(section: Map, key: str) -> Map:
    """The keys under `key`; none when nothing stands there."""
    found = section.items.get(key)
    if isinstance(found, str | list):
        raise Bad(
            "bad_value",
            section.lines[key],
            _("{key} holds keys, one a line").format(key=shown(key)),
        )
    return found or Map({}, {}, section.lines.get(key, section.line))


def choice_of(section: Map, key: str, choices: tuple[str, ...]) -> str | None:
    found = word_of(section, key)
    if found is not None and found not in choices:
        raise Bad(
            "bad_value",
            section.lines[key],
            _("{key} is one of: {choices}").format(key=shown(key), choices=", ".join(choices)),
        )
    return found


def pattern_of(section: Map, key: str, pattern: str, allowed: str) -> str:
    found = _needed(section, key)
    if not re.fullmatch(pattern, found):
        what = _("{key} is made of: {allowed}").format(key=key, allowed=allowed)
        raise Bad("bad_value", section.lines[key], what)
    return found


def secret_of(section: Map, folder: Path) -> Secret:
    given = [key for key in SECRET_KEYS if word_of(section, key)]
    if len(given) != 1:
        raise Bad(
            "secret",
            section.lines[given[1]] if given else section.line,
            _("a profile needs exactly one of: {keys}").format(keys=", ".join(SECRET_KEYS)),
        )
    value = _needed(section, given[0])
    if given[0] == "secret_file":
        value = str(expanded(value, folder))
    return Secret(given[0], value)


def gateway_of(section: Map) -> str:
    """The gateway's URL in one spelling, so that one checkout is one checkout."""
    url = _needed(section, "gateway")
    line = section.lines["gateway"]
    example = _("It looks like this: https://eco.taobao.com/router/rest")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise Bad("gateway", line, _("gateway is no plain https:// URL"), example) from None
    odd = parts.query or parts.fragment or "@" in parts.netloc or not re.fullmatch(r"[!-~]+", url)
    if parts.scheme not in ("https", "http") or not host or odd or port == 0:
        raise Bad("gateway", line, _("gateway is no plain https:// URL"), example)
    if parts.scheme == "http" and not _is_loopback(host):
        raise Bad("gateway", line, _("http:// is for this machine only; use https://"), example)
    shown_host = f"[{host}]" if ":" in host else host
    usual = {"https": 443, "http": 80}[parts.scheme]
    where = shown_host if port in (None, usual) else f"{shown_host}:{port}"
    path = re.sub("/+", "/", parts.path).rstrip("/")
    return f"{parts.scheme}://{where}{path or '/'}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    from ipaddress import ip_address  # noqa: PLC0415  only http:// gateways need it

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def proxy_of(section: Map) -> str | None:
    """A proxy's URL, or "none"; when nothing stands here the environment's is used."""
    proxy = word_of(section, "proxy")
    if proxy is not None and proxy != "none" and not re.fullmatch(r"http://[!-~]{1,256}", proxy):
        raise Bad("proxy", section.lines["proxy"], _("proxy is http://HOST:PORT, or none"))
    return proxy


def timeout_of(section: Map) -> Timeout:
    found = mapping_of(section, "timeout")
    known_keys(found, _TIMEOUT_KEYS)
    return Timeout(
        connect_s=_seconds(found, "connect", DEFAULT_TIMEOUT.connect_s),
        read_s=_seconds(found, "read", DEFAULT_TIMEOUT.read_s),
        total_s=_seconds(found, "total", DEFAULT_TIMEOUT.total_s),
    )


def _seconds(section: Map, key: str, default: float) -> float:
    text = word_of(section, key)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", text) or float(text) == 0:
        what = _("{key} is seconds above 0, as in 5 or 0.5").format(key=key)
        raise Bad("timeout", section.lines[key], what)
    return float(text)


def max_fee_of(section: Map) -> int:
    text = word_of(section, "max_fee")
    if text is None:
        return DEFAULT_MAX_FEE
    if not re.fullmatch(r"[1-9][0-9]{0,11}", text):
        what = _("max_fee is a whole number of fen, at least 1: 500000 is ￥5000.00")
        raise Bad("max_fee", section.lines["max_fee"], what)
    return int(text)


def defaults_of(section: Map, *, allow_card_numbers: bool) -> dict[str, str]:
    found = mapping_of(section, "defaults")
    known_keys(found, DEFAULT_KEYS)
    defaults = {}
    for key, line in found.lines.items():
        text = word_of(found, key)
        if text is None:
            continue
        try:
            check_value(key, text, key, allow_card_numbers=allow_card_numbers)
        except UsageError as error:
            raise Bad(error.code, line, error.message, error.hint) from None
        defaults[key] = text
    return defaults


def status_words_of(section: Map) -> dict[str, str]:
    """What the platform's own words mean, where the merchant knows it (protocol, section 7)."""
    found = mapping_of(section, "status_words")
    return {word: choice_of(found, word, _STATUS_MEANINGS) or "" for word in found.items}


def decline_codes_of(section: Map) -> tuple[str, ...]:
    """Result codes of the platform's own that exclude an earlier charge (docs/outcomes.md)."""
    codes = section.items.get("decline_codes")
    if codes is None:
        return ()
    if not isinstance(codes, list) or not all(re.fullmatch(_DECLINE_CODE, one) for one in codes):
        what = _("{key} is a list of result codes, as in [BALANCE_LOW]").format(key="decline_codes")
        raise Bad("bad_value", section.lines["decline_codes"], what)
    return tuple(codes)


def receipt_of(section: Map) -> Receipt:
    found = mapping_of(section, "receipt")
    known_keys(found, _RECEIPT_KEYS)
    width = int(choice_of(found, "width", ("32", "48")) or 32)
    return Receipt(_lines(found, "header"), _lines(found, "footer"), width)


def _lines(section: Map, key: str) -> tuple[str, ...]:
    """The lines of a text, at most MAX_RECEIPT_LINES; YAML writes several as a block, with |."""
    found = section.items.get(key)
    lines = found.rstrip("\n").split("\n") if isinstance(found, str) and found else []
    odd = any(re.search(r"[\x00-\x1f\x7f-\x9f]", line) for line in lines)
    if isinstance(found, Map) or odd or len(lines) > MAX_RECEIPT_LINES:
        what = _("{key} is text, at most {most} lines").format(key=key, most=MAX_RECEIPT_LINES)
        raise Bad("bad_value", section.lines[key], what)
    return tuple(lines)


def till_of(section: Map) -> TillKeys:
    found = mapping_of(section, "till")
    known_keys(found, _TILL_KEYS)
    return TillKeys(
        amount=choice_of(found, "amount", ("yuan", "fen")) or DEFAULT_TILL.amount,
        checkout=choice_of(found, "checkout", ("ask", "number")) or DEFAULT_TILL.checkout,
    )


def statement_of(section: Map) -> Statement:
    found = mapping_of(section, "statement")
    known_keys(found, _STATEMENT_KEYS)
    return Statement(
        id=word_of(found, "id"),
        amount=word_of(found, "amount"),
        amount_unit=choice_of(found, "amount_unit", ("yuan", "fen")),
        time=word_of(found, "time"),
        encoding=choice_of(found, "encoding", ("utf-8", "gbk")),
    )


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
            _("Give the whole path, from / on (or from ~)."),
        )
    return place


def placed(journal: str) -> str | None:
    """A journal's URL, or its path with `~`; None for a path that is not absolute."""
    if is_database(journal):
        return journal
    path = expanded(journal, Path())
    return str(path) if path.is_absolute() else None


def expanded(path: str, folder: Path) -> Path:
    """`path` with `~`, from the folder of the file that names it. Raises ConfigError."""
    try:
        return folder / Path(path).expanduser()
    except RuntimeError:
        raise ConfigError(
            "no_home",
            _("There is no home folder to look in."),
            _("Set HOME, or POSCTL_CONFIG and POSCTL_JOURNAL."),
        ) from None
