"""What a payment needs besides itself, passed in: who, where, when, how."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from posctl.config.profile import Profile
from posctl.errors import AfterSending
from posctl.gateway.exchange import Post, Sent
from posctl.gateway.top import PAY_METHOD, signed_form
from posctl.hint import Hint
from posctl.journal import Journal
from posctl.messages import _
from posctl.money.admit import may_leave
from posctl.money.record import Payment, Who
from posctl.money.result import Result


class Desk(NamedTuple):
    """Everything a payment needs besides itself, passed in: who, where, when, how.

    `profiles` are all of the configuration: what another one reaches is told with its name.
    `now_s` is the wall clock, `uptime_s` one that never goes back and counts the machine's sleep.
    `interruptible` is entered around the network: only there does Ctrl-C take effect, so that it
    can never fall between an answer and its record.
    """

    profile: Profile
    secret: str
    journal: Journal
    gateway: Post
    who: Callable[[str, str], Who]
    now_s: Callable[[], float]
    uptime_s: Callable[[], float]
    new_id: Callable[[], str]
    interruptible: Callable[[], AbstractContextManager[None]]
    profiles: Sequence[Profile] = ()

    def now_ms(self) -> int:
        return int(self.now_s() * 1000)

    def __repr__(self) -> str:
        return f"Desk({self.profile.name})"


class Patience(NamedTuple):
    """How long `--wait` goes on asking. `pause(seconds, result)` sleeps, and may show it; it lets
    a KeyboardInterrupt through.
    """

    wait_s: float
    monotonic: Callable[[], float]
    pause: Callable[[float, Result], None]


FIRST_PAUSE_S = 2.0


NEXT_PAUSE_S = 5.0


def looks_again(payment: Payment, since_s: float, desk: Desk) -> Sent:
    """The `Sent` of a try begun at `since_s`: between the commit and the first byte lies whatever
    a machine can do, such as a closed lid, and a payment that somebody else may have now must not
    leave.
    """
    return Sent(lambda: may_leave(payment, desk.uptime_s() - since_s, desk.now_ms()))


def after_sending(request_id: str, hint: Hint) -> AfterSending:
    """What to tell of a bug met when a request may have left."""
    return AfterSending(
        request_id,
        _("Internal error after sending. The customer may have been charged."),
        hint,
    )


def form_of(payment: Payment, desk: Desk) -> bytes:
    """The signed form of one try: the recorded payload, a fresh timestamp."""
    return signed_form(
        PAY_METHOD,
        {"shop_id": payment.checkout.shop_id, "pay_request": payment.pay_request},
        app_key=desk.profile.app_key,
        secret=desk.secret,
        sign_method=desk.profile.sign_method,
        session=desk.profile.session,
        now_s=desk.now_s(),
    )
