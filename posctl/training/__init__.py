"""The training gateway: a stand-in for TOP that moves no money and is always on loopback.

Inside the process for the profile `training`, alone with `posctl training serve`. `checks.py` is
TOP, `gateway.py` the business behind it, `ledger.py` what both remember, `server.py` the sockets.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from posctl.errors import ConfigError
from posctl.hint import Say, Type
from posctl.messages import _
from posctl.text import reason
from posctl.training.scenarios import SCENARIOS

if TYPE_CHECKING:
    from posctl.training.server import Server

__all__ = ["SCENARIOS", "reset", "serve", "start_in_process"]


def start_in_process(ledger_path: Path) -> tuple[str, Callable[[], None]]:
    """Serve on a free port from threads of this process: the URL, and what stops it.

    Raises ConfigError when the ledger cannot be used.
    """
    server = _server(ledger_path, 0)
    return server.url, server.stop


def serve(ledger_path: Path, port: int, ready: Callable[[str, str, str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; `ready(url, app_key, secret)` is called once it listens.

    Raises ConfigError for a ledger or a port that cannot be used; port 0 is a free one.
    """
    import signal

    from posctl.config.profile import TRAINING_APP_KEY, TRAINING_SECRET

    names = [name for name in ("SIGTERM", "SIGBREAK") if hasattr(signal, name)]  # Ctrl-Break
    before = [signal.signal(getattr(signal, n), signal.default_int_handler) for n in names]
    try:
        server = _server(ledger_path, port)
        try:
            ready(server.url, TRAINING_APP_KEY, TRAINING_SECRET)
            while not threading.Event().wait(1):  # Windows looks for Ctrl-C between waits only
                pass
        finally:
            server.stop()
    except KeyboardInterrupt:
        pass
    finally:
        for name, handler in zip(names, before, strict=True):
            signal.signal(getattr(signal, name), handler)


def reset(ledger_path: Path) -> None:
    """Forget every training payment and checkout, also while a gateway is serving.

    Raises ConfigError.
    """
    from posctl.training.ledger import LedgerError, forget

    try:
        forget(ledger_path)
    except LedgerError as error:
        raise _unusable(ledger_path, error) from None


def _server(ledger_path: Path, port: int) -> Server:
    from posctl.config.profile import TRAINING_APP_KEY, TRAINING_SECRET
    from posctl.training.gateway import TrainingGateway
    from posctl.training.ledger import LedgerError, ledger
    from posctl.training.server import Server

    try:
        with ledger(ledger_path):
            pass
    except LedgerError as error:
        raise _unusable(ledger_path, error) from None
    gateway = TrainingGateway(
        ledger_path, app_key=TRAINING_APP_KEY, secret=TRAINING_SECRET, clock=time.time
    )
    try:
        return Server(gateway, port)
    except OSError as error:
        raise ConfigError(
            "training_port",
            _("Port {port} on this machine cannot be used: {why}.").format(
                port=port, why=reason(error)
            ),
            _("Give another one with --port, or none for a free one."),
        ) from None


def _unusable(ledger_path: Path, error: Exception) -> ConfigError:
    return ConfigError(
        "training_ledger",
        _("The training ledger {path} cannot be used: {why}.").format(path=ledger_path, why=error),
        (
            *(Say(_("Type:")), Type(("training", "reset"))),
            Say(_("If that fails, too, delete the file; it holds no money.")),
        ),
    )
