"""The invariants of docs/outcomes.md, one function each, and what is checked after each run.

All of it looks from outside: at exit codes and output, at the journal through its own SQL, and at
the gateway's ledger.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple

from sim_gateway import SECRET, SimGateway
from sim_machine import Machine, Run, open_readonly, read_payments
from sim_schedule import Key

INVARIANTS = {
    1: "one charge per intent",
    2: "the row is durable before the first byte",
    3: "one request_id and one payload for every try",
    4: "kill -9 leaves it open or right",
    5: "exit codes and records are the ledger's",
    6: "one open payment per checkout, one sender at a time",
    7: "a taken request_id is refused",
    8: "a wrong clock changes nothing of this",
    9: "no secret and no whole code",
    10: "server text cannot move the cursor",
    11: "what leads to the money may change, whose it is does not",
    12: "only the one, whole and latest journal sends",
    14: "old news closes nothing",
}

EXIT_OF = {
    "success": 0,
    "fail": 10,
    "not_sent": 11,
    "rejected": 12,
    "pending": 20,
    "unknown": 21,
    "conflict": 22,
    "blocked": 30,
}
_WORST_FIRST = (22, 21, 20, 12, 11, 10, 0)
_NOTHING_SENT = frozenset({2, 3, 30, 31, 130})
_PAY_KEYS = frozenset(
    [
        "posctl",
        "command",
        "outcome",
        "exit_code",
        "profile",
        "live",
        "request_id",
        "shop_id",
        "checkout_id",
        "order_id",
        "pay_fee",
        "result_status",
        "remaining_fee",
        "current_pay_fee",
        "current_payment_channel",
        "payment_order_id",
        "channel_order_id",
        "result_code",
        "result_message",
        "trace_id",
        "tries",
        "resumed",
        "warnings",
        "error",
    ]
)


class Violation(NamedTuple):
    """An invariant that did not hold."""

    invariant: int
    text: str

    def __str__(self) -> str:
        return f"invariant {self.invariant} ({INVARIANTS[self.invariant]}): {self.text}"


@dataclass(slots=True)
class World:
    """What there is to look at, and what the operator meant and was told."""

    machine: Machine
    gateway: SimGateway
    blamed: list[Violation] = field(default_factory=list)  # on the way
    begun: Counter[Key] = field(default_factory=Counter)  # intents, by what they would charge
    owed: Counter[Key] = field(default_factory=Counter)  # what must have been charged in the end
    told: list[tuple[Run, str, str]] = field(default_factory=list)  # run, request_id, outcome
    refused: list[Run] = field(default_factory=list)  # must have ended with exit 2
    clock_moved: bool = False
    # What no journal knows any more, since the latest one was lost: payments, and tries of others.
    forgotten: set[str] = field(default_factory=set)
    lost_tries: Counter[str] = field(default_factory=Counter)


def check(world: World) -> list[Violation]:
    """Every invariant, after everything was settled."""
    found = list(world.blamed)
    for invariant in CHECKS:
        found += invariant(world)
    if found and world.clock_moved:
        found.append(Violation(8, "the clock had jumped before this"))
    return list(dict.fromkeys(found))


def check_run(world: World, run: Run) -> Iterator[Violation]:
    """What can be said as soon as a run has ended: invariants 4 and 5 for it alone."""
    sent = {str(seen.request_id) for seen in world.gateway.requests_of(run.address)}
    if run.hung:
        yield Violation(5, f"run {run.number} hung")
    if run.killed:
        yield from _after_a_kill(world, run, sent)
        return
    if _not_begun(run) and not sent:
        return
    if run.code == 1:
        yield Violation(5, f"run {run.number} met a bug: {run.err[-300:]}")
    if run.kind not in ("pay", "retry", "batch") and sent:
        yield Violation(5, f"run {run.number} is no payment and sent {sent}")
    if run.kind in ("pay", "retry"):
        left = any(seen.address == run.address for seen in world.gateway.seen)
        if left and (run.code in _NOTHING_SENT or (run.code == 11 and len(run.told) == 1)):
            yield Violation(5, f"exit {run.code} of run {run.number}, and a request left: {sent}")
        if run.how.stdout == "pipe":
            yield from _json_answer(run, sent)
            yield from _told(world, run, sent)


def _told(world: World, run: Run, sent: set[str]) -> Iterator[Violation]:
    """Everything that was sent was told, and what was told is the ledger's."""
    unheard = sent - {str(told.get("request_id")) for told in run.told}
    if unheard:
        yield Violation(5, f"run {run.number} sent {unheard} and did not tell")
    for told in run.told:
        request_id, outcome = str(told.get("request_id")), told.get("outcome")
        charges = world.gateway.charges(request_id)
        if (outcome == "success") > charges or (
            outcome in ("fail", "not_sent", "rejected") and charges
        ):
            yield Violation(5, f"{request_id}: told {outcome}, charged {charges} times")
        if outcome == "success" and charges:
            fee = world.gateway.accounts[request_id].fee
            if int(told["pay_fee"]) != fee:
                yield Violation(5, f"{request_id}: told {told['pay_fee']} fen, charged {fee}")


def _after_a_kill(world: World, run: Run, sent: set[str]) -> Iterator[Violation]:
    """Invariant 4, right after the kill."""
    if not sent:
        return
    payments = read_payments(world.machine.journal)
    for request_id in sent:
        payment = payments.get(request_id)
        charges = world.gateway.charges(request_id)
        if payment is None:
            yield Violation(4, f"{request_id} was sent by run {run.number} and is not recorded")
        elif not payment.open and bool(payment.paid) != bool(charges):
            yield Violation(4, f"{request_id} is {payment.state}, charged {charges} times")


def _not_begun(run: Run) -> bool:
    """Ctrl-C came while the interpreter was starting, or while it loaded posctl."""
    struck = run.how.console and run.how.after_s is not None and not run.out
    return struck and (run.code == 130 or (run.code == 1 and "/posctl/" not in run.err))


def _json_answer(run: Run, sent: set[str]) -> Iterator[Violation]:
    """The JSON object says what the exit code says."""
    if run.how.form != "json":
        return
    data = run.data
    if run.code == 130 and any(line.startswith("print.middle") for line in run.reached):
        return  # interrupted in the midst of writing it
    if data is None:
        yield Violation(
            5, f"run {run.number} ended with {run.code} and no JSON: {run.out!r} {run.err!r}"
        )
        return
    if data["exit_code"] != run.code:
        yield Violation(5, f"run {run.number}: exit {run.code}, JSON says {data['exit_code']}")
    if "payments" in data:
        codes = [payment["exit_code"] for payment in data["payments"]]
        worst = min((c for c in codes if c != 30), key=_WORST_FIRST.index, default=0)
        # A blocked one is open, so that its own state may speak; 30 only when nothing was sent.
        allowed = {20, 21, 22} | ({30} if not sent else set()) if 30 in codes else {worst}
        if run.code not in allowed:
            yield Violation(5, f"run {run.number}: exit {run.code}, of {codes}")
        return
    missing = _PAY_KEYS - set(data)
    if missing:
        yield Violation(5, f"run {run.number}: no {sorted(missing)} in its JSON")
    expected = EXIT_OF.get(str(data["outcome"]))
    interrupted = (run.code, data["outcome"]) == (130, "not_sent")
    if expected is not None and run.code != expected and not interrupted:
        yield Violation(5, f"run {run.number}: exit {run.code}, outcome {data['outcome']}")


def invariant_1_one_charge(world: World) -> Iterator[Violation]:
    """At most one charge per intent; exactly one where the operator went on until it was paid."""
    charged = Counter(Key(a.checkout_id, a.order_id, a.fee) for a in world.gateway.charged())
    for key, n in charged.items():
        if n > world.begun[key]:
            yield Violation(1, f"{key} was charged {n} times for {world.begun[key]} intents")
    for key, n in world.owed.items():
        if charged[key] < n:
            yield Violation(1, f"{key} was charged {charged[key]} times of {n}")


def invariant_2_row_first(world: World) -> Iterator[Violation]:
    """The gateway looked at each first byte; what is left is that it knows no other payment."""
    payments = read_payments(world.machine.journal)
    for request_id in world.gateway.accounts:
        if request_id not in payments and request_id not in world.forgotten:
            yield Violation(2, f"{request_id} reached the gateway and is in no journal")


def invariant_3_same_payload(world: World) -> Iterator[Violation]:
    """The gateway compared each payload; what is left is the number of tries."""
    payments = read_payments(world.machine.journal)
    arrived = Counter(seen.request_id for seen in world.gateway.seen if seen.request_id)
    for request_id, payment in payments.items():
        tries = payment.tries + world.lost_tries[request_id]
        if arrived[request_id] > tries:
            yield Violation(3, f"{request_id} arrived {arrived[request_id]} times in {tries} tries")


def invariant_4_kills(world: World) -> Iterator[Violation]:
    """Looked at after each kill, see `check_run`; in the end no kill may have left a closed lie."""
    for request_id, payment in read_payments(world.machine.journal).items():
        charges = world.gateway.charges(request_id)
        if not payment.open and bool(payment.paid) != bool(charges):
            yield Violation(4, f"{request_id} is {payment.state}, charged {charges} times")


def invariant_5_ledger(world: World) -> Iterator[Violation]:
    """What was told still holds; every row is closed and is the ledger's."""
    for run, request_id, outcome in world.told:
        charges = world.gateway.charges(request_id)
        if outcome in ("fail", "not_sent", "rejected") and charges:
            yield Violation(5, f"{request_id}: run {run.number} told {outcome}, charged later")
        if outcome == "success" and charges != 1:
            yield Violation(5, f"{request_id}: run {run.number} told success, {charges} charges")
    for request_id, payment in read_payments(world.machine.journal).items():
        if payment.open:
            yield Violation(5, f"{request_id} is still {payment.state} after the faults")
        elif payment.paid != world.gateway.charges(request_id):
            yield Violation(5, f"{request_id} is {payment.state}, the ledger says otherwise")


def invariant_6_one_open(world: World) -> Iterator[Violation]:
    """The gateway counted at each first byte; in the end nothing is open twice either."""
    opened = Counter(
        p.key.checkout_id for p in read_payments(world.machine.journal).values() if p.open
    )
    for checkout_id, n in opened.items():
        if n > 1:
            yield Violation(6, f"checkout {checkout_id} has {n} open payments")


def invariant_7_taken_id(world: World) -> Iterator[Violation]:
    """A request_id with another payload: exit 2, nothing sent (that part is `check_run`'s)."""
    for run in world.refused:
        if run.code != 2:
            yield Violation(7, f"run {run.number} took another's request_id, exit {run.code}")


def invariant_8_clock(world: World) -> Iterator[Violation]:
    """By its own clock posctl resends nothing that is too old; 1 to 7 hold whatever the clock."""
    if not world.machine.journal.exists():
        return
    with closing(open_readonly(world.machine.journal)) as db:
        for request_id, age_ms in db.execute(
            """SELECT request_id, max(abs(t.started_ms - p.created_ms)) FROM payments p
               JOIN tries t USING (seq) WHERE kind = 'pay' GROUP BY 1"""
        ):
            if age_ms > 24 * 3600 * 1000:
                yield Violation(8, f"{request_id} was sent again after {age_ms / 3.6e6:.1f} h")


_KEPT_ASIDE = re.compile(r"\.\d{8}-\d{6}$")  # by a restore: as it was, like any backup


def invariant_9_secrets(world: World) -> Iterator[Violation]:
    """No secret and no whole code in what was printed, nor in the files of a settled journal."""
    codes = {code for run in world.machine.runs for code in run.codes}
    secrets = {SECRET, *codes}
    for run in world.machine.runs:
        for secret in secrets:
            if secret in run.out or secret in run.err:
                yield Violation(9, f"run {run.number} printed {secret}")
    if any(p.open for p in read_payments(world.machine.journal).values()):
        return
    folder = world.machine.journal.parent
    for path in folder.iterdir() if folder.exists() else ():
        if _KEPT_ASIDE.search(path.name):
            continue
        raw = path.read_bytes()
        for secret in secrets:
            if secret.encode() in raw:
                yield Violation(9, f"{path.name} holds {secret}")


_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)


def invariant_10_server_text(world: World) -> Iterator[Violation]:
    """Nothing printed can be obeyed by a terminal."""
    for run in world.machine.runs:
        for name, text in (("stdout", run.out), ("stderr", run.err)):
            found = _OBEYED.search(text)
            if found:
                yield Violation(10, f"{name} of run {run.number} has {found.group()!r}")


CHECKS: tuple[Callable[[World], Iterator[Violation]], ...] = (
    invariant_1_one_charge,
    invariant_2_row_first,
    invariant_3_same_payload,
    invariant_4_kills,
    invariant_5_ledger,
    invariant_6_one_open,
    invariant_7_taken_id,
    invariant_8_clock,
    invariant_9_secrets,
    invariant_10_server_text,
)
