"""A merciless gateway for the simulator: it charges every new request_id, and keeps the ledger.

It is written apart from posctl: its own sockets, its own signature, its own reading of the journal.
Per request_id it is idempotent, as the API promises; of a checkout's state it knows nothing, so
whoever sends a second request_id charges a second time. What it does to each request is a `Fault`
that its owner chooses; `FAULTS` names them all.

What it sees and must not be, it reports to `blame(invariant, text)`; the numbers are those of
`docs/outcomes.md`. Where a request came from is told by its address: each run of posctl has a
loopback address of its own.
"""

from __future__ import annotations

import calendar
import gzip
import hashlib
import hmac
import json
import random
import select
import socket
import sqlite3
import ssl
import struct
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, TypeVar
from urllib.parse import parse_qsl, quote

import faultserver

APP_KEY = "12345678"
SECRET = "helloworld-0123456789-secret"
PATH = "/router/rest"
SKEW_S = 600  # how far a timestamp may be off
DAY_S = 24 * 3600
LEAVE_S = 60  # a try that has not left by then stays
PATIENCE_S = 30.0  # no client of ours waits so long: a thread that does is lost

T = TypeVar("T")
State = Literal["new", "open", "charged", "dead"]


class Fault(NamedTuple):
    """What is done to one request.

    `acts` says whether the business acts on it before the answer is lost or spoilt; `twist` picks
    among the variants of a kind.
    """

    kind: str
    acts: bool = True
    twist: int = 0


HONEST = Fault("honest")

# How often each kind comes up when all may; "honest" is whatever the business has to say.
FAULTS: Mapping[str, int] = {
    "honest": 45,
    # The answer is lost, spoilt, or somebody else's.
    "cut": 4,
    "reset": 3,
    "hang": 3,
    "late": 3,
    "drip": 1,
    "garbage": 3,
    "truncated": 3,
    "undecodable": 3,
    "oversized": 1,
    "redirect": 4,
    "http_error": 4,
    "html": 3,
    # TOP or the business refuses, or breaks.
    "gateway_refused": 6,
    "business_refused": 4,
    "maybe_duplicate": 4,
    "system_error": 5,
    "no_verdict": 4,
    # The business says what it should not, or what is rare.
    "failed": 5,
    "failed_as_used": 4,
    "pending": 6,
    "contradiction": 2,
    "other_voucher": 3,
    "worldly": 3,
}


@dataclass(slots=True)
class Account:
    """What the gateway knows of one request_id."""

    request_id: str
    shop_id: str
    payload: str
    checkout_id: str
    order_id: str
    fee: int
    code: str
    voucher: str
    will: Literal["charge", "fail"]
    pending_left: int
    state: State = "new"
    charges: int = 0
    late: bool = False
    voucher_told: bool = False
    created_s: float | None = None  # by the clock of the machine that wrote the row
    seller: str | None = None  # whose session its first try came with


@dataclass(slots=True)
class Seen:
    """One request that arrived, whole or not."""

    address: str
    method: str | None = None
    request_id: str | None = None
    whole: bool = False
    fault: str | None = None


class Row(NamedTuple):
    """A payment as the gateway finds it in the journal."""

    state: str
    tries: int
    running: bool
    pay_request: str
    open: bool
    checkout: tuple[str, str]
    created_s: float | None = None
    begun_s: float | None = None  # its latest try


Snapshot = Mapping[str, Row]


def read_journal(path: Path) -> Snapshot:
    """Every payment in the journal at `path`, through a connection that can change nothing."""
    if not path.exists():  # moved away for a while by the schedule
        path = path.with_name(path.name + ".moved")
    with closing(
        sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)
    ) as db:
        rows = db.execute(
            """SELECT request_id, state, tries,
                 EXISTS (SELECT 1 FROM tries t WHERE t.seq = p.seq AND n = p.tries
                         AND event IS NULL AND kind = 'pay'),
                 pay_request, closed_ms IS NULL, shop_id, checkout_id, created_ms / 1000.0,
                 (SELECT started_ms / 1000.0 FROM tries t WHERE t.seq = p.seq AND n = p.tries)
               FROM payments p"""
        ).fetchall()
    return {
        request_id: Row(state, tries, bool(running), wire, bool(is_open), (shop, checkout), *s)
        for request_id, state, tries, running, wire, is_open, shop, checkout, *s in rows
    }


def signature(params: Mapping[str, str]) -> str:
    """The signature that `params` should carry, worked out here and not by posctl."""
    text = b"".join(
        k.encode() + v.encode() for k, v in sorted(params.items(), key=lambda kv: kv[0].encode())
        if k != "sign"
    )  # fmt: skip
    key = SECRET.encode()
    match params.get("sign_method"):
        case "md5":
            return hashlib.md5(key + text + key).hexdigest().upper()
        case "hmac":
            return hmac.digest(key, text, "md5").hex().upper()
        case _:
            return hmac.digest(key, text, "sha256").hex().upper()


class Door:
    """A listener, and a thread for each connection through it, until it is closed.

    It knows when nobody is inside, those included that were not let in yet: a client that was
    killed leaves its request behind, and it is still served.
    """

    def __init__(self, serve: Callable[[socket.socket, str], None]) -> None:
        self._serve = serve
        self._changed = threading.Condition()
        self._inside: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.settimeout(PATIENCE_S)
        self._open = True
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        while poll.poll() and self._open:
            with self._changed:  # at no moment is a client neither waiting nor inside
                sock, (address, _port) = self._listener.accept()
                self._inside.add(sock)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(PATIENCE_S)
            thread = threading.Thread(target=self._let_in, args=(sock, address), daemon=True)
            self._threads = [*filter(threading.Thread.is_alive, self._threads), thread]
            thread.start()

    def _let_in(self, sock: socket.socket, address: str) -> None:
        try:
            with suppress(OSError):  # the client went: its right, and often its fate
                self._serve(sock, address)
        finally:
            with suppress(OSError):
                sock.close()
            with self._changed:
                self._inside.discard(sock)
                self._changed.notify_all()

    def wait_until_idle(self) -> bool:
        """Whether nobody is inside or waiting before the door; soon, or never."""

        def is_idle() -> bool:
            return not self._inside and not select.select([self._listener], [], [], 0)[0]

        with self._changed:
            return self._changed.wait_for(is_idle, PATIENCE_S)

    def close(self) -> None:
        """Send everybody away; raises when somebody does not go."""
        self._open = False
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(PATIENCE_S)
        with self._changed:
            inside = list(self._inside)
        for sock in inside:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in [self._accepting, *self._threads]:
            thread.join(PATIENCE_S)
            if thread.is_alive():
                raise RuntimeError("a thread behind a door hangs")
        self._listener.close()


class SimGateway:
    """Listens until it is left. `choose(account)` gives the fault for each pay request; `unread()`
    says whether a connection is reset when its first byte is there. With `rng` the business refuses
    some payments and leaves some pending; without, it charges.
    """

    def __init__(
        self,
        *,
        journal: Path,
        choose: Callable[[Account], Fault],
        blame: Callable[[int, str], None],
        unread: Callable[[], bool] = lambda: False,
        moment: Callable[[str, str], None] = lambda _address, _moment: None,
        alias: Callable[[str], str] = lambda address: address,
        rng: random.Random | None = None,
        totals: Mapping[str, int] | None = None,
        checks_clock: bool = False,
        tls: ssl.SSLContext | None = None,
        behind_proxy: bool = False,
    ) -> None:
        self.accounts: dict[str, Account] = {}
        self.seen: list[Seen] = []
        self.bugs: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.journal = journal  # where it is looked for at each first byte
        self.speaks_against: str | None = None  # of this payment a status says the opposite
        self._choose = choose
        self._blame = blame
        self._unread = unread
        self._moment = moment
        self._alias = alias
        self._rng = rng
        self._totals = totals or {}
        self._checks_clock = checks_clock
        self._tls = tls
        self._behind_proxy = behind_proxy
        self._calm = False
        self._lock = threading.RLock()
        self._waiting: dict[int, tuple[str, str, socket.socket]] = {}  # who waits for an answer
        self._door = Door(self._serve)
        self.port = self._door.port
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}{PATH}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.may_answer.set()
        self._door.close()

    # ── the ledger, for the checker ──────────────────────────────────────────────────────────

    def charges(self, request_id: str) -> int:
        """How often `request_id` was charged: 0 or 1."""
        with self._lock:
            account = self.accounts.get(request_id)
            return account.charges if account else 0

    def charged(self) -> list[Account]:
        """Every account that was charged."""
        with self._lock:
            return [account for account in self.accounts.values() if account.charges]

    def requests_of(self, address: str) -> list[Seen]:
        """The pay requests that came whole from `address`."""
        with self._lock:
            return [
                seen
                for seen in self.seen
                if seen.address == address and seen.whole and seen.method == "alibaba.pos.order.pay"
            ]

    def idle(self) -> None:
        """Wait until nobody is being served: what comes late has come."""
        if not self._door.wait_until_idle():
            self.bugs.append("the gateway is never idle")

    def calm_down(self) -> None:
        """The faults stop: what was late happens now, and every answer is honest."""
        with self._lock:
            self._calm = True
            for account in self.accounts.values():
                self._charge_late(account)
                account.pending_left = 0
                if account.state == "open":
                    self._act(account)

    # ── connections ──────────────────────────────────────────────────────────────────────────

    def _serve(self, sock: socket.socket, address: str) -> None:
        served, address = sock, self._alias(address)
        try:
            if self._tls:
                served = self._tls.wrap_socket(sock, server_side=True)
            while self._one(served, address):
                pass
        except OSError:
            raise
        except Exception:  # noqa: BLE001  a bug here must not pass for a fault of posctl's
            self.bugs.append(traceback.format_exc())
        finally:
            served.close()

    def _one(self, sock: socket.socket, address: str) -> bool:
        """Serve one request; whether another may follow on this connection."""
        got = sock.recv(1)
        if not got:
            return False
        seen = Seen(address)
        with self._lock:
            self.seen.append(seen)
        snapshot = self._look()
        self._moment(address, "first_byte")
        if not self._calm and self._unread():
            return False  # closing what was not read resets the connection
        while not _is_whole(got):
            more = sock.recv(65536)
            if not more:
                return False
            got += more
        head, _, body = got.partition(b"\r\n\r\n")
        verb, path = head.split(b" ", 2)[:2]
        if verb != b"POST" or path != PATH.encode():
            self._blame(3, f"a redirect was followed: {verb!r} {path!r}")
            _send(sock, _http(_paid_trap()))
            return False
        params = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True))
        if params.get("sign") != signature(params) or params.get("app_key") != APP_KEY:
            self._blame(3, "the signature is wrong")
        seen.method, seen.whole = params.get("method"), True
        if seen.method == "alibaba.pos.order.pay":
            return self._pay(sock, address, params, seen, snapshot)
        _send(sock, _http(self._status(params)))
        return True

    def _look(self) -> Snapshot | str:
        """The journal when the first byte is there; why it cannot be read, if so."""
        try:
            return read_journal(self.journal)
        except sqlite3.Error as error:
            return f"{type(error).__name__}: {error}"

    # ── one payment ──────────────────────────────────────────────────────────────────────────

    def _pay(
        self,
        sock: socket.socket,
        address: str,
        params: Mapping[str, str],
        seen: Seen,
        snapshot: Snapshot | str,
    ) -> bool:
        payload = params["pay_request"]
        members = json.loads(payload)
        request_id = members["request_id"]
        seen.request_id = request_id
        with self._lock:
            self._check_row(sock, request_id, payload, snapshot)
            account = self._account(request_id, params["shop_id"], payload, members)
            self._check_seller(account, params.get("session"))
            self._check_alone(account, address)
            row = snapshot.get(request_id) if not isinstance(snapshot, str) else None
            self._check_age(account, row, params["timestamp"])
            fault = HONEST if self._calm else self._choose(account)
            skew_s = abs(_epoch_s(params["timestamp"]) - time.time())
            if self._checks_clock and skew_s > SKEW_S:
                fault = Fault("gateway_refused", twist=-1)
            seen.fault = fault.kind
            self._waiting[id(sock)] = (request_id, address, sock)
        try:
            self._moment(address, "parsed")
            self.may_answer.wait(PATIENCE_S)
            if fault.kind not in _HANGING:  # from here on the client may have its answer
                self._waiting.pop(id(sock), None)
            return self._do(sock, account, fault)
        finally:
            self._waiting.pop(id(sock), None)
            self._moment(address, "answered")

    def _blame_if_there(self, sock: socket.socket, text: str) -> None:
        """Of a client that has hung up meanwhile, the try may have ended before we looked."""
        if not self._behind_proxy and _is_there(sock):
            self._blame(2, text)

    def _check_row(
        self, sock: socket.socket, request_id: str, payload: str, snapshot: Snapshot | str
    ) -> None:
        """Invariant 2, and the first half of 6, at the moment of the first byte."""
        if isinstance(snapshot, str):
            self._blame(2, f"the journal cannot be read at the first byte: {snapshot}")
            return
        row = snapshot.get(request_id)
        if row is None:
            self._blame(2, f"{request_id}: no row in the journal at the first byte")
        elif row.state != "sending" or not row.running:
            text = f"{request_id}: the row says {row.state}, a try runs: {row.running}"
            self._blame_if_there(sock, text)
        elif row.pay_request != payload:
            self._blame(3, f"{request_id}: the row holds another payload than the wire")
        opened = [row.checkout for row in snapshot.values() if row.open]
        for checkout in set(opened):
            if opened.count(checkout) > 1:
                self._blame(6, f"checkout {checkout} has {opened.count(checkout)} open payments")

    def _check_alone(self, account: Account, address: str) -> None:
        """Invariant 6: nobody else alive is still waiting for an answer about this payment."""
        if self._behind_proxy:  # the proxy's connection may outlive the client's
            return
        for request_id, other, sock in list(self._waiting.values()):
            if request_id == account.request_id and other != address and _is_there(sock):
                self._blame(6, f"{request_id} is sent by two living processes at once")

    def _check_age(self, account: Account, row: Row | None, timestamp: str) -> None:
        """Invariant 8, on the wire: nobody says for how long a gateway remembers a request_id.

        The age is that of the row: a clock that was a day behind when a request was sent first
        makes no resend of today a day late.
        """
        sent_s = _epoch_s(timestamp)
        if account.created_s is None:
            account.created_s = row.created_s if row and row.created_s is not None else sent_s
        if sent_s - account.created_s > DAY_S:
            self._blame(8, f"{account.request_id}: sent again a day later, by its own clock")
        if row and row.begun_s is not None and sent_s - row.begun_s > LEAVE_S:
            late_s = sent_s - row.begun_s
            self._blame(8, f"{account.request_id}: left {late_s:.0f} s after its try was begun")

    def _check_seller(self, account: Account, session: str | None) -> None:
        """A session may be renewed; it is never another seller's."""
        seller = (session or "").partition("/")[0]
        if account.seller is None:
            account.seller = seller
        elif account.seller != seller:
            self._blame(3, f"{account.request_id}: sent with the session of {seller!r}")

    def _account(
        self, request_id: str, shop_id: str, payload: str, members: Mapping[str, Any]
    ) -> Account:
        known = self.accounts.get(request_id)
        if known is not None:
            if (known.shop_id, known.payload) != (shop_id, payload):
                self._blame(3, f"{request_id}: another payload than on its first try")
            return known
        will, pending_left = "charge", 0
        if self._rng and not self._calm:
            will = self._rng.choices(("charge", "fail"), (85, 15))[0]
            pending_left = self._rng.choices((0, 1, 2), (85, 10, 5))[0]
        account = self.accounts[request_id] = Account(
            request_id,
            shop_id,
            payload,
            members["checkout_id"],
            members["order_id"],
            members["pay_fee"],
            members.get("channel_account", ""),
            voucher=f"v-{len(self.accounts) + 1}-{request_id[:8]}",
            will="charge" if will == "charge" else "fail",
            pending_left=pending_left,
        )
        return account

    def _act(self, account: Account) -> State:
        """The business does what it has to do about a payment."""
        if account.state in ("charged", "dead"):
            return account.state
        if account.late or account.pending_left > 0:
            account.pending_left = max(0, account.pending_left - 1)
            account.state = "open"
        elif account.will == "charge":
            self._charge(account)
        else:
            account.state = "dead"
        return account.state

    def _charge(self, account: Account) -> None:
        account.charges += 1
        account.state = "charged"

    def _charge_late(self, account: Account) -> None:
        if account.late:
            account.late = False
            self._charge(account)

    def _do(self, sock: socket.socket, account: Account, fault: Fault) -> bool:
        """Act, answer, or do neither; whether the connection stays."""
        if fault.kind in _TRANSPORT:
            with self._lock:
                if fault.kind == "late" and account.state in ("new", "open"):
                    account.late, account.state = True, "open"
                elif fault.acts:
                    self._act(account)
                answer = self._answer(account, HONEST._replace(twist=0))
            _TRANSPORT[fault.kind](sock, _http(answer), fault)
            with self._lock:
                self._charge_late(account)
            return False
        with self._lock:
            answer = self._answer(account, fault)
        status = "200 OK"
        if fault.kind == "honest" and fault.twist % 11 == 5:
            status = "500 Internal Server Error"  # the body counts, whatever the status
        _send(sock, _http(answer, status))
        return status == "200 OK"

    def _answer(self, account: Account, fault: Fault) -> bytes:
        """The body of an answer; what the business does on the way is done."""
        if fault.kind in _REFUSALS:
            return _error(*_pick(_REFUSALS[fault.kind], fault.twist))
        if fault.kind in _VAGUE:
            if fault.acts:
                self._act(account)
            return _pick(_VAGUE[fault.kind], fault.twist)
        undecided = account.state in ("new", "open") and not account.late
        if fault.kind == "worldly" and account.state == "charged":
            return self._worldly(account, fault)
        match fault.kind:
            case "failed" if undecided:
                account.state = "dead"
            case "failed_as_used" if not account.late:
                account.state = "dead" if undecided else account.state
                return self._verdict(account, 2, fault, message="订单已支付 ALREADY_PAID")
            case "pending" if undecided and account.pending_left == 0:
                account.pending_left = 1 + fault.twist % 3
            case "contradiction":
                self._act(account)
                return self._verdict(account, 1, fault, success=False)
            case "other_voucher":
                return self._other_voucher(account, fault)
        message = {"dead": _pick(_DECLINED, fault.twist), "open": "等待用户确认"}.get(
            self._act(account), ""
        )
        return self._verdict(account, _STATUS[account.state], fault, message=message)

    def _worldly(self, account: Account, fault: Fault) -> bytes:
        """What real platforms say of the repeat of a payment that they have charged."""
        code, message = _pick(_WORLDLY, fault.twist)
        if code == "another's":
            others = [one for one in self.charged() if one.checkout_id != account.checkout_id]
            if others:
                other = others[fault.twist % len(others)]
                named = other.request_id if fault.twist // 8 % 2 else None
                return self._verdict(other, 1, fault, named=named)
            code = "OPERATION_FAIL"
        return self._verdict(account, 2, fault, message=message, code=code)

    def _other_voucher(self, account: Account, fault: Fault) -> bytes:
        voucher = f"other-{account.voucher}"
        if not account.voucher_told:  # first it must have named one, and stay open
            voucher = account.voucher
            if account.state in ("new", "open"):
                account.pending_left = max(1, account.pending_left)
        return self._verdict(account, _STATUS[self._act(account)], fault, voucher=voucher)

    def _verdict(
        self,
        account: Account,
        status: int,
        fault: Fault,
        *,
        message: str = "",
        voucher: str | None = None,
        success: bool = True,
        code: str | None = None,
        named: str | None = None,
    ) -> bytes:
        paid = sum(a.fee for a in self.charged() if a.checkout_id == account.checkout_id)
        twist = fault.twist
        if twist % 7 == 3:
            message += _pick(_NASTY, twist) + account.code
        model: dict[str, Any] = {
            "result_status": status,
            "result_code": code or ("OPERATION_SUCCESS" if status == 1 else "OPERATION_FAIL"),
            "result_message": message,
            "payment_order_id": voucher or account.voucher,
            "channel_order_id": f"c-{account.voucher}",
            "current_payment_channel": 1006,
            "success": success if status == 1 else False,
        }
        if named is not None:
            model["request_id"] = named
        if status == 1:
            model["current_pay_fee"] = account.fee
            if twist % 23 != 7:
                model["remaining_fee"] = self._totals.get(account.checkout_id, 0) - paid
        if status == 3 and twist % 5 == 4:
            del model["payment_order_id"]
        else:
            account.voucher_told = True
        if twist % 5 == 2:
            model = {k: _as_text(v) for k, v in model.items()}
        trace = account.code if account.code and twist % 29 == 11 else f"trace-{account.voucher}"
        result = {"is_success": success, "msg_code": "SUCCESS", "msg_info": "", "model": model}
        if twist % 13 == 6:
            return _xml(result, trace)
        if twist % 13 == 8:
            return _dump({"result": result, "request_id": trace})
        return _dump({"alibaba_pos_order_pay_response": {"result": result, "request_id": trace}})

    def _status(self, params: Mapping[str, str]) -> bytes:
        """An answer of the sibling methods; true, unless somebody wants it otherwise."""
        if params.get("method") == "alibaba.pos.pay.action.query":
            asked = json.loads(params["payment_action_request"])["request_id"]
            with self._lock:
                account = self.accounts.get(asked)
                state = account.state if account else "new"
            word = {"new": "NONE", "open": "WAIT", "charged": "SUCCESS", "dead": "FAIL"}[state]
            if asked == self.speaks_against:
                word = "FAIL" if word == "SUCCESS" else "SUCCESS"
            model = {"action_status": word, "success": True}
            name = "alibaba_pos_pay_action_query_response"
        else:
            model = {"checkout_status": "1", "success": True}
            name = "alibaba_pos_paystatus_query_response"
        return _dump({name: {"result": {"success": True, "model": model}, "request_id": "t"}})


# ── bodies ───────────────────────────────────────────────────────────────────────────────────

_GATEWAY_REFUSALS = (
    (7, "App Call Limited", "accesscontrol.limited-by-app-access-count",
     "This ban will last for 1 more seconds"),
    (11, "Insufficient ISV Permissions", "isv.permission-api-package-limit", ""),
    (13, "Insufficient User Permissions", None, ""),
    (25, "Invalid signature", None, ""),
    (27, "Invalid session", "sessionkey-not-generated-by-server", ""),
    (29, "Invalid app Key", "isv.appkey-not-exists", ""),
    (40, "Missing required arguments:shop_id", None, ""),
    (47, "Invalid encoding", None, ""),
    (1, "Error", "isp.get-app-error", ""),
    (15, "Remote service error", "isp.top-mapping-parse-error", ""),
    (31, "Invalid timestamp", None, ""),
)  # fmt: skip
_BUSINESS_REFUSALS = (
    (15, "Remote service error", "isv.invalid-parameter:machine_id", "机具号错误"),
    (50, "Remote service error", "isv.missing-parameter", "missing"),
    (15, "Remote service error", "isv.shop-not-exist:1", "does not exist"),
    (15, "Remote service error", "isv.auth-code-invalid", "付款码无效"),
)
_DUPLICATES = (
    (15, "Remote service error", "isv.request-duplicate", "重复请求"),
    (50, "Remote service error", "isv.order-already-paid", "paid"),
    (15, "Remote service error", "isv.invalid-parameter", "请勿重复提交"),
)
_WORLDLY = (
    ("ACQ.PAYMENT_AUTH_CODE_INVALID", "支付授权码无效"),
    ("AUTHCODEEXPIRE", "二维码已过期，请用户在微信上刷新后再试"),
    ("TRADE_FINISHED", "交易已完成"),
    ("ACQ.TRADE_HAS_SUCCESS", "交易已被支付"),
    ("USERPAYING", "用户支付中，需要输入密码"),
    ("ACQ.SYSTEM_ERROR", "系统繁忙"),
    ("OUT_TRADE_NO_USED", "商户订单号重复"),
    ("another's", ""),
    ("another's", ""),
    ("another's", ""),
)
_SYSTEM_ERRORS = (
    (10, "Service currently unavailable", None, ""),
    (44, "isp error", None, ""),
    (15, "Remote service error", "isp.top-remote-connection-timeout", ""),
    (50, "Remote service error", "isp.remote-service-error", ""),
    (15, "Remote service error", None, ""),
    (9999, "?", "nobody-knows", ""),
)
_NASTY = (
    "\x1b[31m[bold]PAID[/bold]\x1b[0m",
    "\x1b]0;title\x07\x1b]8;;http://evil\x1b\\x",
    "[/x] \u202e\u200b\x9b2J\r\n",
    "\x07\x08\x00 出错了 ",
)


def _dump(tree: object) -> bytes:
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()


def _error(code: int, msg: str, sub_code: str | None, sub_msg: str) -> bytes:
    error: dict[str, Any] = {"code": code, "msg": msg, "request_id": "trace-e"}
    if sub_code is not None:
        error |= {"sub_code": sub_code, "sub_msg": sub_msg}
    return _dump({"error_response": error})


_DECLINED = ("余额不足", "余额不足", "参数无效", "订单支付失败")
_REFUSALS = {"gateway_refused": _GATEWAY_REFUSALS, "business_refused": _BUSINESS_REFUSALS}


def _no_verdicts() -> tuple[bytes, ...]:
    name = "alibaba_pos_order_pay_response"
    results: tuple[object, ...] = (
        {"is_success": False, "msg_code": "SYS", "msg_info": "busy"},
        {"is_success": True, "model": {"result_status": 9}},
        {"is_success": True, "model": {"remaining_fee": 0}},
        {},
    )
    return tuple(_dump({name: {"result": result}}) for result in results)


_VAGUE = {
    "maybe_duplicate": tuple(_error(*error) for error in _DUPLICATES),
    "system_error": tuple(_error(*error) for error in _SYSTEM_ERRORS),
    "no_verdict": _no_verdicts(),
}
_STATUS = {"charged": 1, "dead": 2, "open": 3, "new": 3}


def _paid_trap() -> bytes:
    """What lies at the end of a redirect: a page that says "paid", and nobody was charged."""
    model = {"result_status": 1, "remaining_fee": 0, "payment_order_id": "trap", "success": True}
    return _dump({"alibaba_pos_order_pay_response": {"result": {"model": model}}})


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _xml(result: Mapping[str, Any], trace: str) -> bytes:
    def element(name: str, value: object) -> str:
        if isinstance(value, Mapping):
            inner = "".join(element(k, v) for k, v in value.items())
        else:
            kept = "".join(c for c in str(value) if c.isprintable())
            inner = kept.replace("&", "&amp;").replace("<", "&lt;")
            if isinstance(value, bool):
                inner = inner.lower()
        return f"<{name}>{inner}</{name}>"

    return (
        '<?xml version="1.0" encoding="utf-8" ?><alibaba_pos_order_pay_response>'
        + element("result", result)
        + element("request_id", trace)
        + "</alibaba_pos_order_pay_response>"
    ).encode()


def _http(body: bytes, status: str = "200 OK", *fields: str) -> bytes:
    lines = (f"HTTP/1.1 {status}", "Content-Type: text/javascript;charset=UTF-8", *fields)
    if not any(line.lower().startswith(("content-length", "transfer-enc")) for line in fields):
        lines = (*lines, f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode() + body


# ── faults on the wire ───────────────────────────────────────────────────────────────────────


def _send(sock: socket.socket, data: bytes) -> None:
    with suppress(OSError):
        sock.sendall(data)


def _cut(sock: socket.socket, _answer: bytes, _fault: Fault) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _reset(sock: socket.socket, _answer: bytes, _fault: Fault) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _hang(sock: socket.socket, _answer: bytes, _fault: Fault) -> None:
    with suppress(OSError):
        while sock.recv(65536):
            pass


def _drip(sock: socket.socket, answer: bytes, _fault: Fault) -> None:
    with suppress(OSError):
        for byte in answer:
            sock.sendall(bytes([byte]))
            if select.select([sock], [], [], 0.02)[0]:
                return


def _body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def _garbage(sock: socket.socket, answer: bytes, fault: Fault) -> None:
    body = _body_of(answer)
    variants = (
        b"\x16\x03\x01 no HTTP at all\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n" + body,
        _http(body, "200 OK", "Content-Length: 2", "Content-Length: 9"),
        _http(body, "200 OK", "this is no header"),
    )
    _send(sock, _pick(variants, fault.twist))


def _truncated(sock: socket.socket, answer: bytes, fault: Fault) -> None:
    body = _body_of(answer)
    chunked = "Transfer-Encoding: chunked"
    variants = (
        _http(body, "200 OK", f"Content-Length: {len(body) + 10}"),
        _http(body[: len(body) // 2], "200 OK", f"Content-Length: {len(body)}"),
        _http(b"%x\r\n" % len(body) + body[:9], "200 OK", chunked),
        _http(b"%x\r\n%b\r\n" % (len(body), body), "200 OK", chunked),
        _http(b"zz\r\n" + body, "200 OK", chunked),
    )
    _send(sock, _pick(variants, fault.twist))


def _undecodable(sock: socket.socket, answer: bytes, fault: Fault) -> None:
    body = _body_of(answer)
    variants = (
        _http(b"\x1f\x8b no gzip", "200 OK", "Content-Encoding: gzip"),
        _http(gzip.compress(body)[:-9], "200 OK", "Content-Encoding: gzip"),
        _http(body, "200 OK", "Content-Encoding: br"),
    )
    _send(sock, _pick(variants, fault.twist))


_BOMB = gzip.compress(bytes(8_000_000))


def _oversized(sock: socket.socket, answer: bytes, fault: Fault) -> None:
    body = _body_of(answer)
    variants = (
        _http(body + b" " * (1024 * 1024), "200 OK"),
        _http(_BOMB, "200 OK", "Content-Encoding: gzip"),
    )
    _send(sock, _pick(variants, fault.twist))


def _redirect(sock: socket.socket, _answer: bytes, fault: Fault) -> None:
    status = _pick(("301 Moved", "302 Found", "303 See Other", "307 T", "308 P"), fault.twist)
    _send(sock, _http(b"<a>moved</a>", status, "Location: /moved"))


def _http_error(sock: socket.socket, _answer: bytes, fault: Fault) -> None:
    statuses = ("400 Bad", "403 No", "404 None", "429 Slow", "500 Oops", "502 Bad", "504 Late")
    _send(sock, _http(b"<html>error</html>", _pick(statuses, fault.twist)))


def _html(sock: socket.socket, _answer: bytes, fault: Fault) -> None:
    pages = (faultserver.HTML, b"", b"[1]", b'{"a":1}', b'{"error_response":', b"\xff\xfe")
    _send(sock, _http(_pick(pages, fault.twist)))


_TRANSPORT: Mapping[str, Callable[[socket.socket, bytes, Fault], None]] = {
    "cut": _cut,
    "reset": _reset,
    "hang": _hang,
    "late": _hang,
    "drip": _drip,
    "garbage": _garbage,
    "truncated": _truncated,
    "undecodable": _undecodable,
    "oversized": _oversized,
    "redirect": _redirect,
    "http_error": _http_error,
    "html": _html,
}


_HANGING = ("hang", "late", "drip")


def _pick(variants: tuple[T, ...], twist: int) -> T:
    return variants[twist % len(variants)] if twist >= 0 else variants[-1]


def _is_whole(request: bytes) -> bool:
    head, blank, body = request.partition(b"\r\n\r\n")
    if not blank:
        return False
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return len(body) >= int(value)
    return True


def _is_there(sock: socket.socket) -> bool:
    """Whether the client has not hung up."""
    poll = select.poll()
    try:
        poll.register(sock, select.POLLRDHUP)
        return not poll.poll(0)
    except (OSError, ValueError):
        return False


def _epoch_s(timestamp: str) -> float:
    """A timestamp of TOP's, which is GMT+8, in seconds since the epoch."""
    return calendar.timegm(time.strptime(timestamp, "%Y-%m-%d %H:%M:%S")) - 8 * 3600


# ── places that fail before a request can be read ────────────────────────────────────────────


@dataclass(slots=True)
class Places:
    """Addresses that a run can be led to instead of the gateway, for all schedules together.

    `addresses(name)` is what its resolver should say; see `NETS`. `proxy_port` is an honest proxy.
    """

    certificates: faultserver.Certificates
    proxy_port: int = 0
    _ports: dict[str, int] = field(default_factory=dict)
    _open: list[socket.socket] = field(default_factory=list)
    _doors: list[Door] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.proxy_port = self._listen(_proxy)
        unknown = self.certificates.unknown_ca

        def wrong_certificate(sock: socket.socket) -> None:
            with unknown.wrap_socket(sock, server_side=True):
                pass

        self._ports = {
            "tls_refused": self._listen(wrong_certificate),
            "handshake_cut": self._listen(_close_at_hello),
            "handshake_hang": self._listen(_swallow),
            "proxy_refused": self._listen(_proxy_refuses),
            "refused": self._hold(socket.socket()),
            "full": self._full(),
        }
        return self

    def __exit__(self, *_: object) -> None:
        for door in self._doors:
            door.close()
        for sock in self._open:
            sock.close()

    def addresses(self, net: str) -> str | list[list[object]] | None:
        """What the resolver of a run says for one of `NETS`."""
        match net:
            case "dns" | "dns_hang":
                return net
            case "no_files":
                return None
            case "no_route":
                return [["255.255.255.255", 9]]
            case "connect_timeout":
                return [["127.0.0.1", self._ports["full"]]]
            case "deadline_unsent":
                return [["127.0.0.1", self._ports["full"]]] * 8
            case "first_swallows":  # as where IPv6 is broken; the second is the gateway itself
                return [["127.0.0.1", self._ports["full"]], ["127.0.0.1", None]]
        return [["127.0.0.1", self._ports[net]]]

    def _hold(self, sock: socket.socket) -> int:
        """A port that refuses: bound, and nobody listens."""
        self._open.append(sock)
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])

    def _full(self) -> int:
        """A port whose queue is full, so that connecting to it hangs."""
        listener = socket.socket()
        port = self._hold(listener)
        listener.listen(0)
        for _ in range(2):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            self._open.append(filler)
        return port

    def _listen(self, serve: Callable[[socket.socket], None]) -> int:
        self._doors.append(Door(lambda sock, _address: serve(sock)))
        return self._doors[-1].port

    def wait_until_idle(self) -> None:
        """Wait until what was killed on its way through the proxy has arrived."""
        for door in self._doors:
            if not door.wait_until_idle():
                raise RuntimeError("a place is never idle")


NETS = (
    "dns",
    "refused",
    "no_route",
    "connect_timeout",
    "deadline_unsent",
    "dns_hang",
    "no_files",
)
NETS_TLS = ("tls_refused", "handshake_cut", "handshake_hang")
NETS_PROXY = ("proxy_refused",)


def _close_at_hello(sock: socket.socket) -> None:
    sock.recv(1)


def _swallow(sock: socket.socket) -> None:
    while sock.recv(65536):
        pass


def _proxy_refuses(sock: socket.socket) -> None:
    sock.recv(65536)
    sock.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")


def _proxy(sock: socket.socket) -> None:
    """An honest CONNECT proxy. It goes on from the client's own address, which names the run."""
    asked = b""
    while b"\r\n\r\n" not in asked:
        more = sock.recv(65536)
        if not more:
            return
        asked += more
    host, _, port = asked.split(b" ")[1].decode().rpartition(":")
    source = (sock.getpeername()[0], 0)
    with socket.create_connection((host, int(port)), source_address=source) as beyond:
        beyond.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        other = {sock: beyond, beyond: sock}
        while True:
            for ready in select.select([sock, beyond], [], [], PATIENCE_S)[0]:
                data = ready.recv(65536)
                if not data:
                    return
                other[ready].sendall(data)
