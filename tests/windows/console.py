"""Somebody at a console of Windows: `console.py STEPS COMMAND…` runs COMMAND there and types.

STEPS is JSON, [[TEXT, KEYS], …]: KEYS are typed at once when TEXT is on the screen. It prints JSON:
`exit_code` (null for one that was waited for in vain), `screen`, and `left`, what nobody has read.
Start it with CREATE_NO_WINDOW, so that the console is its own. Source: Console Functions, Microsoft
Learn.
"""

from __future__ import annotations

import ctypes
import json
import msvcrt
import os
import subprocess
import sys
import time
from ctypes import wintypes

assert sys.platform == "win32"  # for mypy

LIMIT_S = 120.0
KEY_EVENT = 1


class Key(ctypes.Structure):
    """INPUT_RECORD with a KEY_EVENT_RECORD."""

    _fields_ = (
        *(("kind", wintypes.WORD), ("down", wintypes.BOOL), ("times", wintypes.WORD)),
        *(("virtual", wintypes.WORD), ("scan", wintypes.WORD), ("sign", wintypes.WCHAR)),
        ("state", wintypes.DWORD),
    )


class Where(ctypes.Structure):
    """CONSOLE_SCREEN_BUFFER_INFO."""

    _fields_ = (
        *(("columns", wintypes.SHORT), ("rows", wintypes.SHORT), ("cursor", wintypes.SHORT * 2)),
        *(("attributes", wintypes.WORD), ("window", wintypes.SHORT * 4)),
        ("largest", wintypes.SHORT * 2),
    )


kernel = ctypes.windll.kernel32
kernel.WriteConsoleInputW.argtypes = (
    *(wintypes.HANDLE, ctypes.c_void_p, wintypes.DWORD),
    ctypes.POINTER(wintypes.DWORD),
)
kernel.GetConsoleScreenBufferInfo.argtypes = (wintypes.HANDLE, ctypes.c_void_p)
kernel.ReadConsoleOutputCharacterW.argtypes = (
    *(wintypes.HANDLE, ctypes.c_void_p, wintypes.DWORD, wintypes.DWORD),
    ctypes.POINTER(wintypes.DWORD),
)
keyboard = os.open("CONIN$", os.O_RDWR)
screen = os.open("CONOUT$", os.O_RDWR)


def press(keys: str) -> None:
    """All of them before anybody can read one, each down and up."""
    moves = [Key(KEY_EVENT, down, 1, 0, 0, sign, 0) for sign in keys for down in (1, 0)]
    handle, done = msvcrt.get_osfhandle(keyboard), wintypes.DWORD()
    array = (Key * len(moves))(*moves)
    assert kernel.WriteConsoleInputW(handle, array, len(moves), ctypes.byref(done))


def shown() -> str:
    """What is on the screen, its rows one after the other."""
    where, done, handle = Where(), wintypes.DWORD(), msvcrt.get_osfhandle(screen)
    assert kernel.GetConsoleScreenBufferInfo(handle, ctypes.byref(where))
    text = ctypes.create_unicode_buffer(where.columns * where.rows + 1)
    kernel.ReadConsoleOutputCharacterW(handle, text, len(text) - 1, 0, ctypes.byref(done))
    rows = (text.value[n : n + where.columns] for n in range(0, done.value, where.columns))
    return "\n".join(row.rstrip() for row in rows).rstrip()


def main() -> None:
    process = subprocess.Popen(sys.argv[2:], stdin=keyboard, stdout=screen, stderr=screen)
    until_s = time.monotonic() + LIMIT_S
    for text, keys in json.loads(sys.argv[1]):
        while text not in shown() and process.poll() is None and time.monotonic() < until_s:
            time.sleep(0.05)
        if text in shown():
            press(keys)
    exit_code = None
    try:
        exit_code = process.wait(max(1.0, until_s - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
    left = ""
    while msvcrt.kbhit():
        left += msvcrt.getwch()
    print(json.dumps({"exit_code": exit_code, "screen": shown(), "left": left}))


if __name__ == "__main__":
    main()
