"""Who else may read or change a file on Windows, by its access list as text (SDDL). Pure.

Source: "Security Descriptor String Format", "ACE Strings" and "SID Strings", Microsoft Learn. Ranks
of entries are not looked at: a right that some entry takes away again counts as given.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# Who may do everything on the machine anyway, and who means the owner.
_TRUSTED = frozenset({
    *("SY", "S-1-5-18", "BA", "S-1-5-32-544", "CO", "S-1-3-0", "OW", "S-1-3-4"),
    "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464",  # TrustedInstaller
})  # fmt: skip
_READ = 0x1 | 0x8000_0000 | 0x1000_0000  # its data; generic: read, all
# Its data, appending, its list, its owner; generic: write, all.
_WRITE = 0x2 | 0x4 | 0xC_0000 | 0x4000_0000 | 0x1000_0000
# A folder in which others may only make files of their own takes nothing away from ours.
_WRITE_FOLDER = 0x40 | 0xC_0000 | 0x1000_0000
_RIGHTS = {
    "GA": 0x1000_0000, "GR": 0x8000_0000, "GW": 0x4000_0000, "GX": 0x2000_0000,
    "FA": 0x1F_01FF, "FR": 0x12_0089, "FW": 0x12_0116, "FX": 0x12_00A0,
    "SD": 0x1_0000, "RC": 0x2_0000, "WD": 0x4_0000, "WO": 0x8_0000,
    "CC": 0x1, "DC": 0x2, "LC": 0x4, "SW": 0x8, "RP": 0x10, "WP": 0x20, "DT": 0x40,
    "LO": 0x80, "CR": 0x100,
}  # fmt: skip


class Others(NamedTuple):
    """Who besides the user, the system and its administrators, as SDDL names them."""

    readers: tuple[str, ...] = ()
    writers: tuple[str, ...] = ()


def others_in(sddl: str, user: str, *, folder: bool = False) -> Others:
    """The others of a file whose owner and list are `sddl`; `user` is the SID of who asks."""
    trusted = _TRUSTED | {user} | ({"LA"} if user.endswith("-500") else set())
    owner = re.search(r"O:([A-Z]{2}|S-[0-9-]+)", sddl)
    writers = dict.fromkeys([owner[1]] if owner and owner[1] not in trusted else [])
    readers: dict[str, None] = {}
    _before, found, entries = sddl.partition("D:")
    if not found or "NO_ACCESS_CONTROL" in entries:  # no list at all: everybody may do everything
        return Others(("WD",), ("WD",))
    entries = entries.partition("S:")[0]
    for kind, flags, rights, who in re.findall(
        r"\(([^;]*);([^;]*);([^;]*);[^;]*;[^;]*;([^;)]*)[^)]*\)", entries
    ):
        if kind not in ("A", "XA") or "IO" in re.findall("..", flags) or who in trusted:
            continue  # nothing is given, or not of this file, or to nobody else
        mask = _mask(rights)
        if mask & _READ:
            readers[who] = None
        if mask & (_WRITE_FOLDER if folder else _WRITE):
            writers[who] = None
    return Others(tuple(readers), tuple(writers))


def _mask(rights: str) -> int:
    if re.fullmatch(r"0x[0-9a-fA-F]+|[0-9]+", rights):
        return int(rights, 0)
    mask = 0
    for name in re.findall("..", rights):
        mask |= _RIGHTS.get(name, 0)
    return mask


def private_list(user: str, *, folder: bool = False) -> str:
    """The access list of what posctl makes: the user, the system and its administrators, and
    nobody by the folder's list.
    """
    flags = "OICI" if folder else ""
    return "D:P" + "".join(f"(A;{flags};FA;;;{who})" for who in (user, "SY", "BA"))


def inherits_list(sddl: str) -> bool:
    """Whether the folder's list goes on to this file's: it is not protected from it."""
    found = re.search(r"D:([A-Z]*)", sddl)
    return found is not None and "P" not in found[1].replace("NO_ACCESS_CONTROL", "")
