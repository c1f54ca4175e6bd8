"""A receipt on a paper printer: its bytes, and the profile's command that takes them."""

from __future__ import annotations

from posctl.config.profile import Receipt
from posctl.errors import UsageError
from posctl.messages import _

PRINT_S = 5.0  # a spooler takes a receipt at once; the till waits no longer
_BEGIN = b"\x1b@\x1c&"  # a clean state; Chinese characters of two bytes each
_CUT = b"\x1dV\x42\x00"  # feed to the knife, then a partial cut
_DRAWER = b"\x1bp\x00\x19\xfa"


def paper(text: str, look: Receipt) -> bytes:
    """What a printer gets: UTF-8 text for a spooler, or ESC/POS, in GB18030, with feed and cut."""
    lines = text + "\n" * (1 + look.feed)
    if not look.escpos:
        return lines.encode()
    drawer = _DRAWER if look.drawer else b""
    return _BEGIN + lines.encode("gb18030", "replace") + _CUT + drawer


def to_printer(text: str, look: Receipt) -> None:
    """Give the receipt to the profile's command. Raises UsageError when that fails."""
    import shlex
    import subprocess

    try:
        subprocess.run(
            shlex.split(look.printer or ""),
            input=paper(text, look),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PRINT_S,
            check=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        raise UsageError(
            "printer",
            _("The printer's command failed: nothing may have been printed."),
            _("Look at the printer, and at receipt: printer: in the profile."),
        ) from None
