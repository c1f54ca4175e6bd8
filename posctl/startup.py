"""How heavy libraries are imported: without the work at import that no payment needs.

A tenth of a payment's time went into regular expressions that a library compiles when it is
imported and no run of posctl ever asks (yaml's of all printable characters, 4 ms; urllib3's of
IPv6 addresses), and into modules that it imports for a function nobody calls. Inside
`light_imports` such patterns are compiled, and such modules loaded, when somebody first looks
into them; extras that a library does without are left out. The collector waits meanwhile, and
never looks at what was imported. Outside nothing is changed.
"""

from __future__ import annotations

import gc
import importlib
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

# Guessers of charsets (no answer's charset is guessed; requests warns of it), compressors of
# archives for shutil and zipfile. Each is imported with an `except ImportError`.
_LEFT_OUT = ("chardet", "charset_normalizer", "bz2", "lzma")
# Imported for functions that nobody calls here: to ask for the version of h2, to look at the
# address in a URL's brackets, to open a browser, to pack and to look into archives.
_LATER = ("importlib.metadata", "ipaddress", "platform", "shutil", "subprocess", "zipfile")
# Whose patterns wait. None of these hands one to a function of `re`, which would not know it.
_PATIENT = frozenset(
    {
        *("yaml.constructor", "yaml.reader", "yaml.resolver", "urllib3.util.url", "idna.core"),
        *("email.header", "encodings.idna", "http.cookiejar", "http.cookies", "json.scanner"),
        *("locale", "logging", "platform", "string", "textwrap", "tokenize", "urllib.request"),
        "importlib.metadata",
    }
)
_compile = re.compile


class _Pattern:
    """Stands for a compiled pattern until somebody uses it."""

    def __init__(self, pattern: str, flags: int) -> None:
        self._asked = (pattern, flags)

    def __getattr__(self, name: str) -> Any:
        found = getattr(_compile(*self._asked), name)
        setattr(self, name, found)
        return found

    def __reduce__(self) -> Any:
        return _compile, self._asked


def _compile_later(pattern: Any, flags: int = 0) -> Any:
    asking = sys._getframe(1).f_globals.get("__name__")  # noqa: SLF001  who imports is not told otherwise
    return _Pattern(pattern, flags) if asking in _PATIENT else _compile(pattern, flags)


class _Later(ModuleType):
    """Stands for a module until somebody looks into it."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


def _version(distribution: str) -> str:
    from importlib.metadata import version

    return version(distribution)


@contextmanager
def light_imports() -> Iterator[None]:
    """For import statements alone; they may be nested."""
    collecting = gc.isenabled()
    gc.disable()
    absent = [name for name in _LEFT_OUT if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: "not to be found"
    later = {name: _Later(name) for name in _LATER if name not in sys.modules}
    if "importlib.metadata" in later:  # urllib3 takes this name out of it, for its HTTP/2 alone
        # Somebody's import hook may look for a module of it.
        path = [f"{folder}/metadata" for folder in importlib.__path__]
        vars(later["importlib.metadata"]).update(__path__=path, version=_version)
    if "platform" in later and hasattr(os, "uname"):  # uuid asks for nothing else, on import
        vars(later["platform"])["system"] = lambda: os.uname().sysname
    sys.modules.update(later)
    re.compile = _compile_later
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        re.compile = _compile
        for name in absent:
            if sys.modules.get(name, absent) is None:
                del sys.modules[name]
        for name, module in later.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
        if collecting:
            gc.freeze()
            gc.enable()
