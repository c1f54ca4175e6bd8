"""What Windows is asked through its own libraries. Imported there only, where it is needed.

Sources: GetUserDefaultUILanguage, SetConsoleMode, GetFileSecurityW, SetFileSecurityW and their
kin, Microsoft Learn. Wine keeps no access lists: what is about them was not seen to work
on a real Windows (docs/windows.md).
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path

from posctl.sddl import Others, inherits_list, others_in, private_list

assert sys.platform == "win32"  # noqa: S101  for mypy: elsewhere there is no windll

_CHINESE = 0x04  # the primary language of zh-CN, zh-TW and all others


def display_language() -> str:
    """The language of the user's Windows: "zh" or "en"."""
    asked: int = ctypes.windll.kernel32.GetUserDefaultUILanguage()
    return "zh" if asked & 0x3FF == _CHINESE else "en"


# ── the console ──────────────────────────────────────────────────────────────────────────────

_INPUT = -10  # STD_INPUT_HANDLE
_PROCESSED, _QUICK_EDIT, _EXTENDED = 0x1, 0x40, 0x80


def console_for_till() -> int | None:
    """Let a click not stop what is printed (QuickEdit), and Ctrl-C be a key. The mode from before;
    None where there is no console.
    """
    kernel = ctypes.windll.kernel32
    kernel.GetStdHandle.restype = ctypes.c_void_p
    console, mode = ctypes.c_void_p(kernel.GetStdHandle(_INPUT)), ctypes.c_ulong()
    if not kernel.GetConsoleMode(console, ctypes.byref(mode)):
        return None
    kernel.SetConsoleMode(console, (mode.value | _EXTENDED) & ~(_QUICK_EDIT | _PROCESSED))
    return mode.value


def console_as_before(mode: int | None) -> None:
    """Drop what was typed and not read: no other program may get it. Then the mode of before."""
    kernel = ctypes.windll.kernel32
    kernel.GetStdHandle.restype = ctypes.c_void_p
    console = ctypes.c_void_p(kernel.GetStdHandle(_INPUT))
    kernel.FlushConsoleInputBuffer(console)
    if mode is not None:
        kernel.SetConsoleMode(console, mode | _EXTENDED)


# ── who else may read and change a file ──────────────────────────────────────────────────────

# SECURITY_INFORMATION
_OWNER, _LIST, _INHERITED, _NOT_INHERITED = 0x1, 0x4, 0x2000_0000, 0x8000_0000
_QUERY, _TOKEN_USER = 0x8, 1


def others(path: Path) -> Others | None:
    """Who else may read or change it; None where nothing tells, as on a FAT disk."""
    found = access_list(path)
    return None if found is None else others_in(found, own_sid(), folder=path.is_dir())


def access_list(path: Path) -> str | None:
    """A file's owner and access list, in SDDL."""
    security, needed = ctypes.windll.advapi32, ctypes.c_ulong()
    name, what = ctypes.c_wchar_p(str(path)), ctypes.c_ulong(_OWNER | _LIST)
    security.GetFileSecurityW(name, what, None, 0, ctypes.byref(needed))
    found = ctypes.create_string_buffer(max(1, needed.value))
    if not security.GetFileSecurityW(name, what, found, needed, ctypes.byref(needed)):
        return None
    return _text_by(security.ConvertSecurityDescriptorToStringSecurityDescriptorW, found, 1, what)


def own_sid() -> str:
    """The SID of the user whose process this is; "" when nothing tells."""
    kernel, security = ctypes.windll.kernel32, ctypes.windll.advapi32
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    token, needed = ctypes.c_void_p(), ctypes.c_ulong()
    process = ctypes.c_void_p(kernel.GetCurrentProcess())
    if not security.OpenProcessToken(process, _QUERY, ctypes.byref(token)):
        return ""
    try:
        security.GetTokenInformation(token, _TOKEN_USER, None, 0, ctypes.byref(needed))
        found = ctypes.create_string_buffer(max(ctypes.sizeof(ctypes.c_void_p), needed.value))
        if not security.GetTokenInformation(
            token, _TOKEN_USER, found, needed, ctypes.byref(needed)
        ):
            return ""
        sid = ctypes.c_void_p.from_buffer(found)  # TOKEN_USER begins with a pointer to it
        return _text_by(security.ConvertSidToStringSidW, sid) or ""
    finally:
        kernel.CloseHandle(token)


def _text_by(call: Callable[..., int], *arguments: object) -> str | None:
    """What a call writes as a text that the caller has to free."""
    text = ctypes.c_wchar_p()
    if not call(*arguments, ctypes.byref(text), *([None] if len(arguments) > 1 else [])):
        return None
    try:
        return text.value
    finally:
        ctypes.windll.kernel32.LocalFree(text)


def name_of(sid: str) -> str:
    """The name that people know for a SID, or for what SDDL calls one; itself for none."""
    security, binary = ctypes.windll.advapi32, ctypes.c_void_p()
    if not security.ConvertStringSidToSidW(ctypes.c_wchar_p(sid), ctypes.byref(binary)):
        return sid
    try:
        name, domain = ctypes.create_unicode_buffer(256), ctypes.create_unicode_buffer(256)
        sizes, kind = (ctypes.c_ulong(256), ctypes.c_ulong(256)), ctypes.c_ulong()
        known = security.LookupAccountSidW(
            *(None, binary, name, ctypes.byref(sizes[0])),
            *(domain, ctypes.byref(sizes[1]), ctypes.byref(kind)),
        )
        return name.value if known and name.value else sid
    finally:
        ctypes.windll.kernel32.LocalFree(binary)


def keep_to_user(path: Path) -> None:
    """Let nobody else read or change what posctl has just made. Where no list can be kept, as on a
    FAT disk, it stays as it is; `doctor` says so.
    """
    user = own_sid()
    if user:
        set_list(path, private_list(user, folder=path.is_dir()))


def take_over_list(path: Path, other: Path) -> None:
    """Let those read and change `path` who may do so with `other`, as far as a list tells."""
    found = access_list(other)
    if found is not None:
        set_list(path, found)


def set_list(path: Path, sddl: str) -> None:
    """The access list of a text, as far as the disk keeps lists; its owner stays."""
    security, binary = ctypes.windll.advapi32, ctypes.c_void_p()
    convert = security.ConvertStringSecurityDescriptorToSecurityDescriptorW
    if not convert(ctypes.c_wchar_p(sddl), 1, ctypes.byref(binary), None):
        return
    inherits = _INHERITED if inherits_list(sddl) else _NOT_INHERITED
    security.SetFileSecurityW(ctypes.c_wchar_p(str(path)), ctypes.c_ulong(_LIST | inherits), binary)
    ctypes.windll.kernel32.LocalFree(binary)
