"""One function for each key of a profile: what it may say, and what it then means."""

import re
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

from posctl.config.profile import (
    DEFAULT_MAX_FEE,
    DEFAULT_TILL,
    DEFAULT_TIMEOUT,
    TRAINING_APP_KEY,
    Receipt,
    Statement,
    TillKeys,
)
from posctl.config.secret import KeptIn, Secret
from posctl.config.yamltext import CHINESE_QUOTES, DOUBLE_QUOTED, Bad, Map, shown, slip_in
from posctl.errors import ConfigError, UsageError
from posctl.gateway.exchange import Timeout
from posctl.journal.place import is_database
from posctl.messages import _
from posctl.money.order import FIELDS, check_value
from posctl.text import is_loopback, nearest

MAX_RECEIPT_LINES = 20


SECRET_KEYS: tuple[KeptIn, ...] = get_args(KeptIn)


_TIMEOUT_KEYS = ("connect", "read", "total")


# What belongs to one payment alone has no default.
DEFAULT_KEYS = tuple(
    name for name in FIELDS if name not in ("request_id", "pay_fee", "checkout_id", "order_id")
)


_RECEIPT_KEYS = ("header", "footer", "width", "printer", "escpos", "feed", "drawer")


_TILL_KEYS = ("amount", "checkout")


_STATEMENT_KEYS = ("id", "amount", "amount_unit", "time", "refund", "encoding")


_DECLINE_CODE = r"[A-Za-z0-9](?:[A-Za-z0-9_.:-]{0,62}[A-Za-z0-9])?"


_STATUS_MEANINGS = ("success", "fail", "pending")
# A pattern of these would take 2 ms to compile: \u2028 makes its table one of 65,536 characters.
_ODD = frozenset(map(chr, (*range(0x20), *range(0x7F, 0xA1), 0x2028, 0x2029)))


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


def known_keys(section: Map, known: tuple[str, ...]) -> None:
    for key, line in section.lines.items():
        if key not in known:
            # As the value of a line, where Chinese quotes around it are seen.
            slip = slip_in(key) or (slip_in(f": {key}") if key[:1] in CHINESE_QUOTES else None)
            if slip:
                raise Bad("unknown_key", line, *slip)
            near = nearest(key, known)
            raise Bad(
                "unknown_key",
                line,
                _("unknown key {key}").format(key=shown(key)),
                _("Did you mean {near}?").format(near=near)
                if near
                else _("There are: {names}").format(names=", ".join(known)),
            )


def word_of(section: Map, key: str) -> str | None:
    """The text that `key` holds; None when it holds none."""
    found = section.items.get(key)
    odd = isinstance(found, str) and not _ODD.isdisjoint(found)
    if isinstance(found, Map | list) or odd:
        what = _("{key} is text on one line").format(key=shown(key))
        if isinstance(found, str) and "\xa0" in found:
            what = _("{key} has a space of another kind").format(key=shown(key))
            mend = _("Type plain spaces, with the input method off.")
            raise Bad("bad_value", section.lines[key], what, mend)
        # "C:\new" and "C:\Local" are such texts, as YAML reads them.
        raise Bad("bad_value", section.lines[key], what, _(DOUBLE_QUOTED) if odd else "")
    if found and found[0] in CHINESE_QUOTES:
        what = _("{key} stands in Chinese quotes").format(key=shown(key))
        raise Bad("bad_value", section.lines[key], what, _('Type " around the value, or nothing.'))
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
            _("{key} must be a mapping, one key per line").format(key=shown(key)),
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
        raise Bad("gateway", line, _("gateway must be a plain https:// URL"), example) from None
    odd = parts.query or parts.fragment or "@" in parts.netloc or not re.fullmatch(r"[!-~]+", url)
    if parts.scheme not in ("https", "http") or not host or odd or port == 0:
        raise Bad("gateway", line, _("gateway must be a plain https:// URL"), example)
    if parts.scheme == "http" and not is_loopback(host):
        raise Bad("gateway", line, _("http:// is for this machine only; use https://"), example)
    shown_host = f"[{host}]" if ":" in host else host
    usual = {"https": 443, "http": 80}[parts.scheme]
    where = shown_host if port in (None, usual) else f"{shown_host}:{port}"
    path = re.sub("/+", "/", parts.path).rstrip("/")
    return f"{parts.scheme}://{where}{path or '/'}"


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


def notify_of(section: Map) -> tuple[str, ...]:
    """The command that is told of what waits for a person, word by word."""
    words = section.items.get("notify_command")
    if words is None:
        return ()
    if not isinstance(words, list) or not words or not all(words):
        what = _("notify_command is a list: the program, then its arguments")
        raise Bad("bad_value", section.lines["notify_command"], what)
    return tuple(words)


def receipt_of(section: Map) -> Receipt:
    found = mapping_of(section, "receipt")
    known_keys(found, _RECEIPT_KEYS)
    width = int(choice_of(found, "width", ("32", "48")) or 32)
    feeds = tuple(str(lines) for lines in range(MAX_RECEIPT_LINES + 1))
    return Receipt(
        header=_lines(found, "header"),
        footer=_lines(found, "footer"),
        width=width,
        printer=word_of(found, "printer"),
        escpos=choice_of(found, "escpos", ("true", "false")) == "true",
        feed=int(choice_of(found, "feed", feeds) or 0),
        drawer=choice_of(found, "drawer", ("true", "false")) == "true",
    )


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
        refund=word_of(found, "refund"),
    )


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
            _("The home folder is not known."),
            _("Set HOME, or POSCTL_CONFIG and POSCTL_JOURNAL."),
        ) from None
