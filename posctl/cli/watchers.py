"""What `retry --due` leaves for those who watch: that it ran, and who waits for a person."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from posctl.errors import JournalError
from posctl.messages import _
from posctl.paying.notices import Notice, notice_json, notices, settled, swept
from posctl.text import reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from posctl.cli.run import Run
    from posctl.config.profile import Profile

LIMIT_S = 10.0  # for each, and after one that took so long the others wait for the next sweep


def tell_watchers(run: Run) -> None:
    """Mark this sweep, and give what is new to `notify_command`. Never fails: the payments are
    settled and told, and nothing of this may hold up the next sweep or change an exit code.
    """
    with suppress(JournalError):
        profile, journal = run.load().profile, run.journal()
        marked = [swept(profile.merchant)]
        forget: list[str] = []
        if profile.notify_command:
            waiting = notices(journal, profile.merchant, run.now_ms())
            marks = journal.marks()
            new = [notice for notice in waiting if notice.mark not in marks]
            marked += _notify(new, profile, run)
            forget = settled(marks, waiting, profile.merchant)
        journal.mark(marked, run.now_ms(), forget=forget)


def _notify(new: Sequence[Notice], profile: Profile, run: Run) -> list[str]:
    """The marks of those that the command took, which is when it ended with 0. It gets no
    terminal, and what it prints goes nowhere: stdout is for this run's result.
    """
    import json
    import subprocess

    taken: list[str] = []
    for notice in new:
        told = notice_json(notice, profile=profile.name, now_ms=run.now_ms())
        why = ""
        try:
            done = subprocess.run(
                profile.notify_command,
                input=json.dumps(told, ensure_ascii=False).encode() + b"\n",
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            why = _("it took more than {seconds:.0f} s").format(seconds=LIMIT_S)
        except OSError as error:
            why = reason(error)
        else:
            if done.returncode == 0:
                taken.append(notice.mark)
                continue
            why = _("it ended with {code}").format(code=done.returncode)
        run.screen.warn(
            _("notify_command failed: {why}. It is tried again by the next retry --due.").format(
                why=why
            ),
            (),
        )
        break
    return taken
