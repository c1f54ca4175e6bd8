"""What goes into one POST to the gateway and what comes out; plain data, cheap to import."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from posctl.money.outcome import Event


class Timeout(NamedTuple):
    """Seconds, above 0: `connect_s` for each step of connecting (the name, its addresses, the
    proxy, TLS), `read_s` for each wait on the answer, `total_s` for all of it together.
    """

    connect_s: float
    read_s: float
    total_s: float


class Sent:
    """Whether bytes of a request may have left. It stays true to the byte when Ctrl-C ends the
    post, or falls between the post and its record.

    `may_leave` is asked once, right before the first byte: a try that was recorded long ago, by a
    process that slept meanwhile, is not sent any more. `connection` is the number of the connection
    that it left over, each its own; 0 before.
    """

    __slots__ = ("connection", "may_have_left", "may_leave")

    def __init__(self, may_leave: Callable[[], bool] = lambda: True) -> None:
        self.may_have_left = False
        self.connection = 0
        self.may_leave = may_leave


class Exchange(NamedTuple):
    """How one POST ended.

    `event` is None when a body was read whole, whatever the HTTP status; otherwise it names the
    failure. `body` is decoded and at most 1 MiB. `server_date` is the answer's Date header, the
    other side's words. `detail` is short and safe to show: no URL, no secret.
    """

    event: Event | None
    may_have_left: bool
    http_status: int | None = None
    body: bytes | None = None
    server_date: str | None = None
    detail: str = ""


class Post(Protocol):
    """What payment needs of a gateway."""

    def post(self, form: bytes, sent: Sent) -> Exchange: ...

    def mistrust(self, connection: int) -> None: ...

    def trusts(self, connection: int) -> bool: ...
