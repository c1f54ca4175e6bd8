"""What `retry` of several payments tells, however many they are."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from posctl.errors import ConfigError, JournalError, PosctlError
from posctl.messages import _
from posctl.money.outcome import EXIT_OF, Exit, outcome_of, worst
from posctl.money.result import Problem, iso, result_json
from posctl.paying.unreached import unreached_json
from posctl.screen.contract import envelope
from posctl.screen.packed import Records
from posctl.screen.payments import draw_results
from posctl.screen.screen import View

if TYPE_CHECKING:
    from posctl.cli.run import Run
    from posctl.config.profile import Profile
    from posctl.money.record import OpenOf
    from posctl.money.result import Result


TOLD_AT_ONCE = 200  # payments that are marked as told: a database answers within seconds


class Several:
    """The results of several payments, taken in as they come and told when all are recorded: a slow
    reader must not hold up the recording of the others.
    """

    def __init__(self, profile: Profile) -> None:
        self.payments = Records()
        self.whose = (profile.name, profile.live)  # of the first, which may be another profile's
        self.bug: Exception | None = None
        self._profile = profile
        self._codes: set[Exit] = set()
        self._behind: set[Exit] = set()  # how the payments stand that were not sent

    def add(self, result: Result) -> None:
        """Take in one more. A bug in it is kept, and not raised: others are on their way."""
        about = result.payment or result.blocked_by
        if about is not None and self.empty:
            self.whose = (about.profile, about.live)
        self._codes.add(result.exit_code)
        if result.blocked_by is not None:
            self._behind.add(EXIT_OF[outcome_of(result.blocked_by.standing)])
        try:
            one = result_json(result, "retry", self._profile.name, live=self._profile.live)
            del one["posctl"], one["command"]
            self.payments.add(one)
        except Exception as bug:  # noqa: BLE001  see above
            self.bug = self.bug or bug

    @property
    def empty(self) -> bool:
        """Whether nothing was taken in, told or not."""
        return not self._codes

    @property
    def exit_code(self) -> Exit:
        """The worst of all; 30 says that nothing was sent, so only when that is so of them all."""
        if self._codes == {Exit.BLOCKED}:
            return Exit.BLOCKED
        return worst(self._codes - {Exit.BLOCKED} | self._behind)


def tell_several(
    several: Several, run: Run, *, stopped: PosctlError | None = None, read: bool = True
) -> Exit:
    """Show the results of several payments, with the worst exit code of all.

    `stopped` is what ended them early; `read` is whether a person or a script is told.
    """
    code = several.exit_code
    if stopped is not None and code is not Exit.BLOCKED:  # some were sent, some may be open
        code = worst({code, Exit.UNKNOWN})
    run.decided = code
    problem = None
    if stopped is not None:
        problem = Problem.of(stopped)
    unreached: tuple[OpenOf, ...] = ()
    with suppress(JournalError, ConfigError):  # some may be charged: that is told in any case
        unreached = run.unreached()
    data = envelope(
        "retry",
        code,
        problem,
        at=iso(run.now_ms()),
        payments=several.payments,
        unreached=unreached_json(unreached),
    )
    profile, live = several.whose
    nothing = not several.payments and problem is None and not unreached
    printed = (run.screen.manner.quiet and nothing) or run.screen.show(
        View(data, lambda canvas: draw_results(canvas, several.payments, profile, live=live))
    )
    if several.bug is not None:
        words = _("Internal error ({name}) while the result was shown.")
        run.screen.note(words.format(name=type(several.bug).__name__))
    if problem is not None:
        run.screen.problem(problem)
    if printed and read:  # what was not written out, or what nobody reads, stays untold
        closed = (one["request_id"] for one in several.payments if one["closed_at"] is not None)
        with suppress(JournalError):  # told once more by a later run: no harm
            while some := list(islice(closed, TOLD_AT_ONCE)):
                run.journal().mark_told(some, run.now_ms())
    run.mention_unreached(unreached)
    run.mention_open()
    return code
