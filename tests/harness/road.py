"""A till for the tests of a payment's road: the real journal, and a gateway that plays a script."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl

from scenes import CODE, DEFAULTS

from posctl.config.profile import Profile
from posctl.config.secret import Secret
from posctl.errors import JournalError
from posctl.gateway.exchange import Exchange, Post, Sent
from posctl.journal import Journal
from posctl.journal.sqlite import SqliteJournal
from posctl.money.admit import Block
from posctl.money.order import Limits, check
from posctl.money.outcome import Event
from posctl.money.record import Payment, Who
from posctl.money.result import Result
from posctl.paying.desk import Desk, Patience
from posctl.paying.pay import pay, retry
from posctl.paying.row import reopen

SECRET = "helloworld"
NOW_S = 1_767_250_800.0
OTHER_CODE = "289999999999999999"

Does = Callable[[bytes, Sent], Exchange]


# ── what comes back ──────────────────────────────────────────────────────────────────────────


def says(body: bytes, http_status: int = 200) -> Does:
    def play(_form: bytes, sent: Sent) -> Exchange:
        sent.may_have_left = True
        return Exchange(None, may_have_left=True, http_status=http_status, body=body)

    return play


def ends(event: Event, *, left: bool = True) -> Does:
    def play(_form: bytes, sent: Sent) -> Exchange:
        sent.may_have_left = left
        return Exchange(event, may_have_left=left, detail="as the script says")

    return play


def stops(*, left: bool) -> Does:
    """Ctrl-C while it is on the wire."""

    def play(_form: bytes, sent: Sent) -> Exchange:
        sent.may_have_left = left
        raise KeyboardInterrupt

    return play


def model(status: object = 1, **more: object) -> bytes:
    members = {
        "result_status": status,
        "remaining_fee": 0,
        "current_pay_fee": 100,
        "current_payment_channel": 1006,
        "success": True,
        **more,
    }
    kept = {name: value for name, value in members.items() if value is not None}
    content = {"result": {"model": kept, "is_success": True}, "request_id": "trace-1"}
    return json.dumps({"alibaba_pos_order_pay_response": content}, ensure_ascii=False).encode()


def error(
    code: int, sub_code: str | None = None, sub_msg: str | None = None, msg: str = ""
) -> bytes:
    content = {"code": code, "msg": msg, "sub_code": sub_code, "sub_msg": sub_msg}
    return json.dumps({"error_response": content}, ensure_ascii=False).encode()


PAID = says(model(1, payment_order_id="P1", channel_order_id="C1"))
PENDING = says(model(3, remaining_fee=None, current_pay_fee=None))
DECLINED = says(model(2, result_code="ACQ.BUYER_BALANCE_NOT_ENOUGH"))
LOST = ends(Event.READ_TIMEOUT)
UNSENT = ends(Event.REFUSED, left=False)
BANNED = says(
    error(7, "accesscontrol.limited-by-api-access-count", "This ban will last for 9 more seconds")
)


# ── a till ───────────────────────────────────────────────────────────────────────────────────


class Script:
    """A gateway that plays what it was given, the last line again and again."""

    def __init__(self) -> None:
        self.lines: list[Does] = [PAID]
        self.forms: list[dict[str, str]] = []
        self.mistrusted: set[int] = set()
        self.may_leave: list[bool] = []

    def post(self, form: bytes, sent: Sent) -> Exchange:
        self.forms.append(dict(parse_qsl(form.decode(), keep_blank_values=True)))
        self.may_leave.append(sent.may_leave())
        sent.connection = len(self.forms)
        line = self.lines.pop(0) if len(self.lines) > 1 else self.lines[0]
        return line(form, sent)

    def mistrust(self, connection: int) -> None:
        self.mistrusted.add(connection)

    def trusts(self, connection: int) -> bool:
        return connection not in self.mistrusted


class Watched:
    """The journal of a till, whose transactions fail, as on a full disk, when the till says so."""

    def __init__(self, till: Till) -> None:
        self._till = till

    def __getattr__(self, name: str) -> Any:
        return getattr(self._till.journal, name)

    def transact(self, work: Callable[[Any], Any]) -> Any:
        if self._till.fails_after == 0 or self._till.fails():
            raise JournalError("full", "The disk is full.")
        if self._till.fails_after is not None:
            self._till.fails_after -= 1
        return self._till.journal.transact(work)

    def forget_codes(self) -> bool:
        self._till.forgot += 1
        if self._till.fails_to_forget:
            raise JournalError("full", "The disk is full.")
        return self._till.journal.forget_codes()


class Till:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = SqliteJournal(path)
        self.gateway = Script()
        self.now_s = NOW_S
        self.ids = (f"00000000-0000-4000-8000-{n:012d}" for n in range(1, 1000))
        self.profile = Profile(
            "store-1", "https://gw/router/rest", "12345678", Secret("secret", SECRET)
        )
        self.fails_after: int | None = None  # so many transactions from now on
        self.fails: Callable[[], bool] = lambda: False
        self.forgot = 0  # how often the journal was asked to forget codes
        self.fails_to_forget = False
        self.interruptible: Callable[[], AbstractContextManager[None]] = nullcontext

    @property
    def desk(self) -> Desk:
        return Desk(
            profile=self.profile,
            secret=SECRET,
            journal=cast("Journal", Watched(self)),
            gateway=cast("Post", self.gateway),
            who=lambda machine_id, operator_id: Who("host", 1, machine_id, operator_id),
            now_s=lambda: self.now_s,
            uptime_s=lambda: self.now_s,
            new_id=lambda: next(self.ids),
            interruptible=self.interruptible,
            profiles=(self.profile,),
        )

    def then(self, *lines: Does) -> None:
        self.gateway.lines = list(lines)

    def pay(
        self,
        *lines: Does,
        patience: Patience | None = None,
        waived: frozenset[Block] = frozenset(),
        **members: str,
    ) -> Result:
        if lines:
            self.then(*lines)
        asked = {"pay_fee": "100", "checkout_id": "111", "channel_account": CODE} | members
        asked = {name: value for name, value in asked.items() if value}
        order = check(asked, {}, DEFAULTS, Limits(500_000))
        return pay(order, self.desk, waived, patience)

    def retry(self, *lines: Does, request_id: str | None = None, **how: Any) -> Result:
        if lines:
            self.then(*lines)
        return retry(self.payment(request_id), self.desk, how.pop("waived", frozenset()), **how)

    def begin(self, request_id: str) -> Payment:
        """An open payment whose next try is written, and on its way."""
        begun = self.journal.transact(
            lambda tx: reopen(tx, request_id, self.desk, frozenset(), automatic=False)
        )
        assert isinstance(begun, Payment)
        return begun

    def payment(self, request_id: str | None = None) -> Payment:
        found = self.journal.payment(request_id or self.first_id())
        assert found is not None
        return found

    def first_id(self) -> str:
        (row,) = self.rows("SELECT request_id FROM payments ORDER BY seq LIMIT 1")
        return str(row["request_id"])

    def latest_id(self) -> str:
        row, *_earlier = self.rows("SELECT request_id FROM payments ORDER BY seq DESC")
        return str(row["request_id"])

    def rows(self, query: str) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(self.path)) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(query)]

    def write(self, *statements: str) -> None:
        """Change the journal behind posctl's back."""
        with closing(sqlite3.connect(self.path)) as db, db:
            for statement in statements:
                db.execute(statement)

    def is_free(self) -> bool:
        """Whether nobody holds the payment any more: another process may send it."""
        with self.held_elsewhere() as got_it:
            return got_it

    @contextmanager
    def held_elsewhere(self) -> Iterator[bool]:
        """Another process holds the payment meanwhile; False when it could not get it."""
        said, says_ = os.pipe()
        ends, end = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(end)
                other = SqliteJournal(self.path)
                payment = other.payment(self.first_id())
                assert payment is not None
                os.write(says_, b"1" if other.transact(lambda tx: tx.hold(payment)) else b"0")
                os.read(ends, 1)
            finally:
                os._exit(0)
        os.close(says_)
        try:
            yield os.read(said, 1) == b"1"
        finally:
            for fd in (end, said, ends):
                os.close(fd)
            os.waitpid(child, 0)


def patience(till: Till, wait_s: float, slept: list[float] | None = None) -> Patience:
    """Waiting on the till's own clock."""
    slept = [] if slept is None else slept

    def pause(seconds: float, _result: Result) -> None:
        slept.append(seconds)
        till.now_s += seconds

    return Patience(wait_s, lambda: till.now_s, pause)
