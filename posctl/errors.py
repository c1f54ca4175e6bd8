"""The errors posctl raises on purpose.

    PosctlError
    ├── UsageError      a bad flag, value or JSON file; nothing was sent
    ├── ConfigError     configuration, profile or secret; nothing was sent
    ├── JournalError    the journal cannot be written or trusted; nothing was sent
    ├── Busy            another process is at that payment; nothing was sent
    ├── Interrupted     Ctrl-C or a signal before any byte left
    └── AfterSending    a bug of posctl's own after the request was sent

Each says what happened (`message`) and what to type next (`hint`), both already in the
user's language. `cli/app.py` alone turns them into exit codes. What happens to a payment
is never an exception: it is an `Outcome`.
"""

from __future__ import annotations

from posctl.hint import Hint, said


class PosctlError(Exception):
    """What a person should read.

    `code` is a stable word for scripts (`error.code` in JSON); `kind` its family. A `hint` of
    sentences alone may be given as text, one a line.
    Neither `message` nor `hint` may hold a secret or a whole payment code.
    """

    kind = "internal"

    def __init__(self, code: str, message: str, hint: Hint | str = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = said(hint)


class UsageError(PosctlError):
    """A flag, a value or a JSON file that cannot be used (exit 2)."""

    kind = "usage"


class ConfigError(PosctlError):
    """The configuration, a profile or a secret cannot be used (exit 3)."""

    kind = "config"


class JournalError(PosctlError):
    """The journal cannot be written, read or trusted (exit 31)."""

    kind = "journal"


class Busy(PosctlError):
    """Another live process is sending the payment that this run is about (exit 30)."""

    kind = "blocked"


class Interrupted(PosctlError):
    """A person or a signal stopped posctl before a byte of the request left (exit 130)."""

    kind = "interrupted"


class AfterSending(PosctlError):
    """A bug met when the request may have left: the payment is open, whatever went wrong here
    (exit 21, never 1, which promises that nothing was sent).
    """

    kind = "internal"

    def __init__(self, request_id: str, message: str, hint: Hint | str) -> None:
        super().__init__("after_sending", message, hint)
        self.request_id = request_id
