"""The seams: every place of posctl that the simulator replaces, in one list.

Whoever renames or moves one of these finds it here; `test_seams.py` names those that are gone. What
watches calls the old function and reports a crash point; what is a deliberate bug does the wrong
thing instead. Nothing else of posctl is ever replaced.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

# (module, name in it), each with what goes through there.
SEAMS: dict[str, tuple[str, ...]] = {
    # what is written: the journal's file, its transactions, its locks
    "posctl.journal.sqlite_file": (
        *("connect", "place_file", "refuse_unless_whole", "notes_of", "drop_draft", "BUSY_S"),
    ),
    "posctl.journal.sqlite": (
        *("SqliteJournal.__init__", "SqliteJournal.hold", "SqliteJournal.let_go"),
        *("SqliteJournal.alarmed", "SqliteJournal.last_merchant", "SqliteJournal._select"),
    ),
    "posctl.journal.companion": ("MACHINE_ID",),
    "posctl.journal.backup": ("_is_usable", "leave_to_person"),
    "posctl.journal.unite": ("_FOR_PERSON",),
    "posctl.journal.copy": ("Side.seal",),
    "posctl.journal.postgres": (
        *("PostgresJournal.forget_codes", "PostgresJournal.mark_told", "PostgresJournal.hold"),
        *("PostgresJournal.renew", "LEASE_MARGIN_S"),
    ),
    "posctl.journal.postgres_link": (
        *("Link._execute", "Link._once", "Link._commit", "Link._migrate"),
        *("Link._fit_connection", "Link._noticed", "_Watch.over", "_LOCAL", "_schema_of"),
        *("RETRY_S", "ANSWER_S", "AWAY_ANSWER_S", "LOCK_S", "LOOK_S", "time"),
    ),
    "posctl.journal.postgres_whole": ("_checked",),
    # what is sent and read
    "posctl.gateway.client": ("Gateway.post", "Gateway._send"),
    "posctl.gateway.connection": (
        *("Connection.getresponse", "_receive", "_Socket.sendall", "_Socket.connect"),
        "_TLSSocket.sendall",
    ),
    "posctl.gateway.judge": ("read_event",),
    # what is decided
    "posctl.money.admit": ("may_resend", "may_leave"),
    "posctl.money.codes": ("masked",),
    "posctl.money.outcome": ("advance",),
    "posctl.config.profile": ("Profile.merchant",),
    # the road of a payment
    "posctl.paying.desk": ("form_of",),
    "posctl.paying.pay": ("pay", "retry"),
    "posctl.paying.many": ("looks_again",),
    "posctl.paying.row": ("_code_hash", "is_being_sent"),
    "posctl.paying.status": ("record_status",),
    "posctl.batch.file": ("read_batch", "_says"),
    # what is told
    "posctl.screen.screen": ("Screen.show",),
    "posctl.screen.streams": ("write",),
    "posctl.cli.tell": ("tell",),
    # made once for all runs of one process
    "posctl.cli.app": ("_app", "Root.get_command"),
}


def patch(owner: Any, name: str, value: object) -> None:
    """Replace a name of a module or class, in this process; a module's name wherever posctl has
    imported it. Of posctl, only what is in SEAMS. Raises LookupError.
    """
    is_module = isinstance(owner, ModuleType)
    module = owner.__name__ if is_module else getattr(owner, "__module__", "")
    if module.partition(".")[0] == "posctl":
        inner = name if is_module else f"{owner.__qualname__}.{name}"
        if inner not in SEAMS.get(module, ()):
            raise LookupError(f"{module}: {inner} is not in SEAMS")
    old = getattr(owner, name)
    setattr(owner, name, value)
    if is_module and not isinstance(old, ModuleType):
        for known, other in list(sys.modules.items()):
            if known.startswith("posctl.") and vars(other).get(name) is old:
                setattr(other, name, value)


def missing() -> list[str]:
    """Those of SEAMS that posctl does not have."""
    gone = []
    for module, names in SEAMS.items():
        for name in names:
            found: Any = importlib.import_module(module)
            for part in name.split("."):
                found = getattr(found, part, None)
            if found is None:
                gone.append(f"{module}: {name}")
    return gone
