"""The app secret: where it may be kept, and files that others can read or write refused."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from posctl.errors import ConfigError
from posctl.hint import Say
from posctl.messages import _
from posctl.shell import keep_others_out
from posctl.text import reason

MAX_SECRET_BYTES = 4096
COMMAND_TIMEOUT_S = 30.0

KeptIn = Literal["secret", "secret_file", "secret_env", "secret_command"]


class Secret(NamedTuple):
    """Where the app secret is. It is fetched when something is to be signed, and not before."""

    kept_in: KeptIn
    value: str  # the secret itself, a path, a variable's name, a command

    def __repr__(self) -> str:
        return f"Secret({self.kept_in})"

    def reveal(self, environ: Mapping[str, str]) -> str:
        """The secret. Raises ConfigError, which never quotes it."""
        if self.kept_in == "secret":
            return _checked_secret(self.value, "secret")
        if self.kept_in == "secret_env":
            found = environ.get(self.value)
            if not found:
                raise ConfigError(
                    "secret_missing",
                    _("secret_env: the variable {name} is not set.").format(name=self.value),
                )
            return _checked_secret(found, "secret_env")
        if self.kept_in == "secret_file":
            kept = Guarded(Path(self.value), MAX_SECRET_BYTES, "secret_file")
            kept.refuse_readable()
            raw = kept.raw
        else:
            raw = _run(self.value)
        return _checked_secret(utf8(raw, self.kept_in), self.kept_in)

    def describe(self) -> str:
        """Where it is, for `config show`."""
        if self.kept_in == "secret":
            return "******"
        # A command's arguments may hold a token of their own.
        return f"{_program(self.value)} …" if self.kept_in == "secret_command" else self.value


class Guarded:
    """A file that was read, and who else can read or write it. Raises ConfigError."""

    def __init__(self, path: Path, most: int, what: str) -> None:
        self._path = path
        self._what = what
        try:
            # A FIFO would wait for its other end without O_NONBLOCK.
            fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
            with os.fdopen(fd, "rb") as opened:
                self._status = os.fstat(fd)
                if not stat.S_ISREG(self._status.st_mode):
                    raise ConfigError(what, _("{path} is not a file.").format(path=path))
                self.raw = opened.read(most + 1)
        except FileNotFoundError:
            raise ConfigError(what, _("{path} does not exist.").format(path=path)) from None
        except (OSError, ValueError) as error:
            why = reason(error)
            raise ConfigError(
                what, _("{path} cannot be read: {why}.").format(path=path, why=why)
            ) from None
        if len(self.raw) > most:
            raise ConfigError(
                what, _("{path} is larger than {most} bytes.").format(path=path, most=most)
            )
        self._refuse_writable()

    def _refuse_writable(self) -> None:
        if sys.platform == "win32":
            from posctl.windows import others

            self._others = others(self._path)
            if self._others is not None and self._others.writers:
                raise self._changeable()
            return
        mode, owner = self._status.st_mode, self._status.st_uid
        if owner not in (0, os.geteuid()):
            raise ConfigError(
                self._what, _("{path} belongs to another user.").format(path=self._path)
            )
        if mode & stat.S_IWOTH or (mode & stat.S_IWGRP and not self._group_is_owner()):
            raise self._changeable()

    def _changeable(self) -> ConfigError:
        return ConfigError(
            self._what,
            _("{path} can be changed by others.").format(path=self._path),
            (Say(_("Type:")), keep_others_out(self._path, "go-w")),
        )

    def refuse_readable(self) -> None:
        """It holds a secret: nobody else may read it."""
        if sys.platform == "win32":
            is_readable = self._others is not None and bool(self._others.readers)
        else:
            mode = self._status.st_mode
            for_group = mode & stat.S_IRGRP and not self._group_is_owner()
            is_readable = bool(mode & stat.S_IROTH or for_group)
        if is_readable:
            raise ConfigError(
                self._what,
                _("{path} holds a secret and can be read by others.").format(path=self._path),
                (Say(_("Type:")), keep_others_out(self._path)),
            )

    def _group_is_owner(self) -> bool:
        """Whether the file's group has its owner alone in it, as Debian and Fedora give everyone.

        With their umask of 002 every file is born writable for that group.
        """
        if sys.platform == "win32":
            return False
        import grp
        import pwd

        try:
            owner = pwd.getpwuid(self._status.st_uid)
            group = grp.getgrgid(self._status.st_gid)
        except KeyError:
            return False
        alone = set(group.gr_mem) <= {owner.pw_name}
        return alone and group.gr_gid == owner.pw_gid and group.gr_name == owner.pw_name


def _run(command: str) -> bytes:
    """What `secret_command` prints. It runs without a shell; its words on stderr are its own."""
    import shlex
    import subprocess

    try:
        done = subprocess.run(
            # Windows takes a line apart by itself, in which `\\` is part of a path.
            command if os.name == "nt" else shlex.split(command),
            stdin=subprocess.DEVNULL,  # stdin may hold the payment code
            stdout=subprocess.PIPE,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        why = _("no answer in {seconds:.0f} s").format(seconds=COMMAND_TIMEOUT_S)
    except (OSError, ValueError, IndexError) as error:
        why = f"{_program(command)}: {reason(error)}"
    else:
        if done.returncode == 0:
            return done.stdout[: MAX_SECRET_BYTES + 1]
        why = _("exit code {code}").format(code=done.returncode)
    raise ConfigError("secret_command", _("secret_command failed: {why}.").format(why=why))


def _program(command: str) -> str:
    """The first word of a command, as it may be shown: not whole when it may be a secret that was
    put into the wrong key.
    """
    found = re.match(r"""\s*(?:"([^"]*)"|'([^']*)'|(\S+))""", command)
    word = next((part for part in found.groups() if part), "") if found else ""
    return word if len(word) <= 24 or re.search(r"[\\/]", word) else word[:6] + "…"


def _checked_secret(text: str, where: str) -> str:
    """The secret without the line end that editors leave. Raises ConfigError."""
    secret = text.removesuffix("\n").removesuffix("\r")
    if not re.fullmatch(r"[!-~]{1,4096}", secret):
        raise ConfigError(
            "secret",
            _("{where} holds no secret: it is one line of visible ASCII characters.").format(
                where=where
            ),
        )
    return secret


def utf8(raw: bytes, what: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(
            "encoding",
            _("{what} is not UTF-8.").format(what=what),
            _("Save it as UTF-8; Notepad has that under Save as, Encoding."),
        ) from None
