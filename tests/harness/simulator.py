"""A seed makes a schedule of payments and faults; real processes live through it; a checker looks.

    python tests/harness/simulator.py --seed 17            # one schedule, told step by step
    python tests/harness/simulator.py --seeds 0:10000      # many, with a line of progress
    python tests/harness/simulator.py --hunt --seeds 0:300 # each deliberate bug, until one finds it

A schedule has a few checkouts, each paid in parts by an operator who behaves as people and scripts
do: the same command again, `retry`, an impatient second window, the wrong amount, a look around.
Meanwhile the gateway (`sim_gateway.py`) does everything of the event table, posctl's processes
(`sim_child.py`) are killed or interrupted where they write, send and read, the clock jumps and the
disk fails. Then the faults stop, the operator settles what is open and pays what is still due, and
the invariants of `docs/outcomes.md` are checked, one function each.

Everything random comes from the seed; only processes that race may run in another order the next
time, so `--seed` tries a few times before it says that nothing happened.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import faultserver
from sim_bugs import KNOWN
from sim_check import Violation, World, check, check_run
from sim_gateway import APP_KEY, FAULTS, HONEST, Account, Fault, Places, SimGateway
from sim_machine import (
    SELLER,
    TIMEOUT,
    Machine,
    Payment,
    Run,
    Zygote,
    broken_journal,
    open_readonly,
    other_journal,
    put_older,
    read_payments,
)
from sim_schedule import BROKEN, PEOPLE, POINTS, How, Key, Part, Schedule, Step, make_schedule

from posctl.journal.sqlite_file import held_path
from posctl.money.outcome import Event

RACES = 5  # so often a seed is played again before it counts as not reproduced
# Every event there is. A crash is no event of its own: it is a try that never ended.
EVENTS = tuple(event.value for event in Event if event is not Event.CRASHED)
CRASHED = Event.CRASHED.value
_KINDS = tuple(FAULTS)


@dataclass(slots=True)
class Report:
    """What one schedule, or many, came to."""

    violations: list[tuple[int, Violation]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)


class Play:
    """One schedule, from its first step to the check."""

    def __init__(
        self, schedule: Schedule, folder: Path, zygote: Zygote, places: Places, bug: str | None
    ) -> None:
        self.schedule = schedule
        self.machine = Machine(folder, zygote, places, bug)
        self.rng = random.Random(f"{schedule.seed} play")
        self.counts: Counter[str] = Counter()
        self.trace: list[str] = []
        self.known_paid: dict[Key, set[str]] = {}
        self._broken = False  # something else stands where the journal was
        self._edits = self._spares = 0
        self._attempts: Counter[Part] = Counter()
        self._arrivals: Counter[str] = Counter()
        self._arrived = random.Random(f"{schedule.seed} unread")
        self.gateway = SimGateway(
            journal=self.machine.journal,
            choose=self._choose,
            blame=self.blame,
            unread=lambda: self._arrived.random() < 0.02,
            moment=self.machine.strike,
            alias=self.machine.alias,
            rng=random.Random(f"{schedule.seed} gateway"),
            totals=schedule.totals,
            checks_clock=schedule.checks_clock,
            tls=places.certificates.good if schedule.tls else None,
            behind_proxy=schedule.proxy,
        )
        self.world = World(self.machine, self.gateway)
        if schedule.finish:
            self.world.owed = Counter(part.key for part in schedule.parts)
        self.machine.configure(
            self.gateway.url,
            sign_method=schedule.sign_method,
            ca=places.certificates.ca if schedule.tls else None,
            proxy=f"http://127.0.0.1:{places.proxy_port}" if schedule.proxy else "none",
            merchant=schedule.merchant,
        )

    def blame(self, invariant: int, text: str) -> None:
        violation = Violation(invariant, text)
        self.world.blamed.append(violation)
        self.trace.append(f"  !! {violation}")

    def _choose(self, account: Account) -> Fault:
        """The fault for the next request about a checkout: the seed's, whatever the order."""
        n = self._arrivals[account.checkout_id]
        self._arrivals[account.checkout_id] += 1
        rng = random.Random(f"{self.schedule.seed} {account.checkout_id} {n}")
        twist = rng.randrange(10_000)
        acts = rng.random() < 0.6
        if account.state == "charged" and rng.random() < 0.5:
            return Fault("worldly", acts, twist)
        if rng.random() < (0.7 if self.schedule.theme == "other_voucher" else 0.3):
            return Fault(self.schedule.theme, acts, twist)
        if rng.random() < self.schedule.honesty:
            return Fault("honest", acts, twist)
        return Fault(rng.choices(_KINDS, list(FAULTS.values()))[0], acts, twist)

    # ── the course of it ─────────────────────────────────────────────────────────────────────

    def play(self) -> list[Violation]:
        with self.gateway:
            for step in self.schedule.steps:
                self.trace.append(f"step: {step}")
                getattr(self, f"_do_{step.do}")(step)
            self.trace.append("the faults stop")
            self.gateway.calm_down()
            self.machine.clock_s = 0.0
            self._settle()
            if self.schedule.finish:
                self._finish_parts()
            self._look_around()
        if self.gateway.bugs:
            raise RuntimeError("\n".join(self.gateway.bugs))
        found = check(self.world)
        self._count()
        return found

    def _run(
        self,
        *argv: str,
        how: How | None = None,
        code: str | None = None,
        about: Part | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Run:
        run = self.machine.start(*argv, how=how, code=code, about=about, env=env)
        self._finish([run])
        return run

    def _finish(self, runs: list[Run]) -> None:
        self.machine.finish(runs)
        self.machine.idle()
        self.gateway.idle()
        for run in runs:
            self.trace.append(f"  {run}")
            self._learn(run)
        for run in runs:
            for violation in check_run(self.world, run):
                self.blame(*violation)
            if run.code == 31 and not self._broken and not any(r.how.harms_the_disk for r in runs):
                self.blame(5, f"run {run.number}: exit 31 for no reason, {run.err!r}")

    def _learn(self, run: Run) -> None:
        """What the operator reads off the screen."""
        data = run.data or {}
        if data.get("command") == "status" and (asked := data.get("payment")):
            self._hear(run, asked)  # of a payment that the answer has closed, say
        for payment in run.told:
            outcome = self._hear(run, payment)
            part = run.about
            definite = outcome in ("fail", "not_sent", "rejected")
            if part is not None and run.kind == "pay" and definite:
                self._attempts[part] += 1

    def _hear(self, run: Run, payment: Mapping[str, Any]) -> str:
        """One payment was told; returns its outcome."""
        request_id, outcome = str(payment.get("request_id")), str(payment.get("outcome"))
        self.world.told.append((run, request_id, outcome))
        if outcome == "success":
            self.known_paid.setdefault(_key_of(payment), set()).add(request_id)
        return outcome

    def is_done(self, part: Part) -> bool:
        return len(self.known_paid.get(part.key, ())) > part.ordinal

    def _next_parts(self) -> list[Part]:
        """The parts that may be paid now: the first of each checkout that is not done."""
        first: dict[str, Part] = {}
        for part in self.schedule.parts:
            if not self.is_done(part):
                first.setdefault(part.key.checkout_id, part)
        return list(first.values())

    def _pick(self, among: Sequence[Any], step: Step) -> Any:
        return among[step.pick % len(among)] if among else None

    # ── the operator's steps ─────────────────────────────────────────────────────────────────

    def pay_words(self, part: Part, *more: str) -> tuple[tuple[str, ...], str | None]:
        """The command for a part, and the code that is scanned for it."""
        words = ["pay", "--fee", str(part.key.fee), "--checkout", part.key.checkout_id]
        if part.key.order_id != part.key.checkout_id:
            words += ["--order", part.key.order_id]
        if part.attributes:
            words += ["--attributes", part.attributes]
        if part.scripted:
            words += ["--request-id", self._script_id(part)]
        code = None
        if part.with_code:
            code = f"28{self.rng.randrange(10**15, 10**16)}"
            words.append("--code-stdin")
        return (*words, *more), code

    def _script_id(self, part: Part) -> str:
        return f"s{self.schedule.seed}-{hash_of(part)}-{self._attempts[part]}"

    def _start_pay(self, part: Part, how: How, *more: str) -> Run:
        words, code = self.pay_words(part, *more, *(("--wait", "9") if how.wait else ()))
        self.world.begun[part.key] = max(self.world.begun[part.key], part.ordinal + 1)
        return self.machine.start(*words, how=how, code=code, about=part)

    def _do_pay(self, step: Step) -> None:
        part = self._pick(self._next_parts(), step)
        if part is None:
            return
        runs = []
        for n, how in enumerate(step.hows):
            if n and self.rng.random() < 0.3:
                other = self.rng.choice((("retry", "--all"), ("retry", "--checkout")))
                more = (part.key.checkout_id,) if other[1] == "--checkout" else ()
                runs.append(self.machine.start(*other, *more, how=self._possible(how)))
            else:
                runs.append(self._start_pay(part, self._possible(how)))
        self._finish(runs)

    def _possible(self, how: How) -> How:
        """Nobody can lock, fill or move a journal that is not there yet."""
        if not self.machine.journal.exists() and any(
            action in ("lock", "move") for _point, _nth, action in how.armed
        ):
            return How(form=how.form)
        return how

    def _do_retry(self, step: Step) -> None:
        payments = list(read_payments(self.machine.journal).values())
        if not payments:
            self._do_pay(step)
            return
        runs = []
        for how in map(self._possible, step.hows):
            words = ["retry", f"--{step.arg}"]
            if step.arg in ("rid", "checkout"):
                payment = self._pick(payments, step)
                if payment is None:
                    return
                named = payment.request_id if step.arg == "rid" else payment.key.checkout_id
                words = ["retry", named] if step.arg == "rid" else ["retry", "--checkout", named]
            if step.arg == "rid" and how.wait:
                words += ["--wait", "9"]
            if self.rng.random() < 0.2 and step.arg != "due":
                words.append("--yes")
            runs.append(self.machine.start(*words, how=how))
        self._finish(runs)

    def _do_clock(self, step: Step) -> None:
        self.machine.clock_s = float(step.arg)
        self.world.clock_moved = True

    def _do_differ(self, step: Step) -> None:
        """A wrong amount, or a request_id that another payment has."""
        payments = read_payments(self.machine.journal)
        among = [p for p in payments.values() if p.open or step.arg == "taken"]
        payment = self._pick(among, step)
        if payment is None:
            return
        key = payment.key
        words = ["pay", "--checkout", key.checkout_id, "--order", key.order_id, "--fee"]
        if step.arg == "fee":
            run = self._run(*words, str(key.fee + 1))
            if run.code != 30:
                self.blame(6, f"another amount on an open checkout ended with {run.code}")
        elif step.arg == "taken":
            run = self._run(*words, str(key.fee + 1), "--request-id", payment.request_id)
            self.world.refused.append(run)
        else:
            run = self._run(*words, str(key.fee), "--request-id", f"other-{step.pick:04}")
            if run.code != 30:
                self.blame(6, f"another request_id on an open checkout ended with {run.code}")

    def _do_broken(self, step: Step) -> None:
        """The journal is broken for one run, which must not send."""
        part = self._pick(self._next_parts(), step)
        if part is None or not self.machine.journal.exists():
            return
        with broken_journal(self.machine.journal, step.arg):
            self._broken = True
            words, code = self.pay_words(part)
            run = self._run(*words, code=code)
            self._broken = False
        self.counts[f"broken {step.arg}"] += 1
        if run.code != 31:
            self.blame(5, f"with a journal that is {step.arg}, pay ended with {run.code}")

    def _do_again(self, step: Step) -> None:
        """Up and Enter within a minute of a success: nothing more may be charged."""
        now_ms = (time.time() + self.machine.clock_s) * 1000
        fresh = {
            p.key
            for p in read_payments(self.machine.journal).values()
            if p.paid and now_ms - p.closed_ms < 50_000  # also if the clock went back
        }
        done = [
            part
            for part in self.schedule.parts
            if part.key in fresh
            and self.is_done(part)
            and self.world.begun[part.key] == part.ordinal + 1
        ]
        part = self._pick(done, step)
        if part is not None:
            words, code = self.pay_words(part)
            self._run(*words, code=code, about=part)

    def _do_status(self, step: Step) -> None:
        if not read_payments(self.machine.journal):
            self._do_pay(replace(step, hows=(How(),)))
        payment = self._pick(list(read_payments(self.machine.journal).values()), step)
        if payment is not None:
            (how,) = step.hows
            self._run("status", payment.request_id, how=self._possible(how))

    def _do_resolve(self, step: Step) -> None:
        """A person looks at the platform's console and closes an open payment."""
        payment = self._pick(self._decided(), step)
        part = self._pick(self._next_parts(), step)
        if payment is None and part is not None:  # let there be one
            self._finish([self._start_pay(part, How(armed=(("post.before", 1, "kill"),)))])
            payment = self._pick(self._decided(), step)
        if payment is not None:
            self._resolve(payment, step.hows[0])

    def _decided(self) -> list[Payment]:
        """The open payments about which the gateway can tell."""
        payments = read_payments(self.machine.journal).values()
        return [p for p in payments if p.open and self._verdict(p) is not None]

    def _verdict(self, payment: Payment) -> str | None:
        """What a person finds out; None while the gateway itself has not decided."""
        account = self.gateway.accounts.get(payment.request_id)
        if account is None or account.state in ("new", "dead"):
            return "not-paid"
        return "paid" if account.state == "charged" else None

    def _resolve(self, payment: Payment, how: How) -> Run:
        verdict = self._verdict(payment)
        assert verdict
        words = ("resolve", payment.request_id, "--as", verdict, "--note", "saw it")
        run = self._run(*words, how=how)
        if verdict == "paid":  # whatever became of the command, the person knows
            self.known_paid.setdefault(payment.key, set()).add(payment.request_id)
        return run

    # ── what people do to what posctl stands on ──────────────────────────────────────────────

    def _left_open(self, step: Step) -> Part:
        """A part whose payment is open: its process was killed when the answer was there."""
        part: Part = self._pick(self._next_parts(), step) or self._spare(step)
        return self._leave_open(part)

    def _leave_open(self, part: Part) -> Part:
        self._finish([self._start_pay(part, How(armed=(("post.after", 1, "kill"),)))])
        return part

    def _spare(self, step: Step) -> Part:
        """One more customer, whom the schedule does not know."""
        self._spares += 1
        checkout_id = f"9{step.pick:03}{self._spares}"
        return Part(Key(checkout_id, checkout_id, 1 + step.pick), 0, True, False, None)

    def _do_edit(self, step: Step) -> None:
        """The way to the merchant is written otherwise; the same command pays the same payment."""
        part = self._left_open(step)
        self._edits += 1
        what = step.arg if self.schedule.merchant or step.arg != "session" else "name"
        changes = {
            "gateway": {"url": self.gateway.url.replace("127.0.0.1", "localhost")},
            "session": {"session": f"{self.schedule.merchant}/{1 + self._edits}"},
            "name": {"name": f"till-{self._edits}"},
            "sign_method": {"sign_method": self.rng.choice(("hmac-sha256", "hmac", "md5"))},
        }
        self.machine.edit(**changes[what])
        self.counts[f"people {step.do} {what}"] += 1
        if not self.is_done(part):
            self._finish([self._start_pay(part, How())])

    def _do_whose(self, step: Step) -> None:
        """A profile comes to mean another merchant: nothing is sent until that is put right."""
        part = self._left_open(step)
        payments = read_payments(self.machine.journal)
        if not payments:
            return
        self.counts["people whose"] += 1
        whose = self.schedule.merchant
        self.machine.edit(**({"merchant": "another"} if whose else {"app_key": "87654321"}))
        self._is_refused(part, self._one(step), (3,), 11)
        self.machine.edit(merchant=whose, app_key=APP_KEY)

    def _do_seller(self, step: Step) -> None:
        """Another seller of the same app looks around: nothing of the first's is his."""
        self._left_open(step)
        payments = list(read_payments(self.machine.journal))
        if not payments:
            return
        for words in (("retry", "--all"), ("pending",), ("retry", self._pick(payments, step))):
            run = self._run(*words, env={"POSCTL_PROFILE": SELLER})
            if self._sent(run):
                self.blame(11, f"run {run.number} sent what is another seller's")
            if words[0] == "pending" and (run.data or {}).get("payments"):
                self.blame(11, f"run {run.number} lists what is another seller's")
        self.counts["people seller"] += 1

    def _do_asleep(self, step: Step) -> None:
        """The lid is closed between the commit and the first byte; meanwhile a person may act."""
        part = self._pick(self._next_parts(), step)
        if part is None:
            return
        sleep_s, _, meanwhile = step.arg.partition(" ")
        how = How(armed=(("begin.after_commit", 1, f"sleep:{sleep_s}"),))
        with self.machine.night():
            run = self._start_pay(part, how)
            self.machine.wait_until_asleep(run)
            self.machine.clock_s += float(sleep_s)
            self.world.clock_moved = True
            begun = [p for p in self._decided() if p.key == part.key]
            if meanwhile and begun:
                self._resolve(begun[0], How())
                self._finish([self._start_pay(part, How())])
        self._finish([run])
        self.counts[f"people asleep {step.arg}"] += bool(run.reached)

    def _do_old_news(self, step: Step) -> None:
        """The payment is tried again while a question waits for its answer, or was on its way when
        it was asked; that one is killed: whatever it did is newer than the answer.
        """
        part = self._left_open(step)
        asked = next((p for p in self._decided() if p.key == part.key), None)
        if asked is None:
            return
        status, retry = ("status", asked.request_id), ("retry", asked.request_id, "--yes")
        asleep = How(armed=(("post.after", 1, "sleep:1"),))
        with self.machine.night():
            on_its_way = None
            if step.pick % 2:
                begun = How(armed=(("post.before", 1, "sleep:1"),), after_s=0.0)
                on_its_way = self.machine.start(*retry, how=begun)
                self.machine.wait_until_asleep(on_its_way)
            asking = self.machine.start(*status, how=asleep)
            self.machine.wait_until_asleep(asking)
            if on_its_way:
                again = on_its_way
                self.machine.finish([again])
            else:
                again = self.machine.run(*retry, how=How(armed=(("post.before", 1, "kill"),)))
            before = read_payments(self.machine.journal)[asked.request_id]
        self._finish([again, asking])
        if asking.reached and before.open and before.tries > asked.tries:
            self.counts["people old_news"] += 1
            self.counts["people old_news, on its way"] += on_its_way is not None
            if not read_payments(self.machine.journal)[asked.request_id].open:
                self.blame(14, f"run {asking.number} closed what was tried again since it asked")

    def _do_rebatch(self, step: Step) -> None:
        """A file of payments is saved anew under another name: other line ends, another order, a
        line corrected. What the first run has decided is not sent again.
        """
        parts = [*self._next_parts(), self._spare(step)]
        lines = [
            {
                "pay_fee": part.key.fee,
                "checkout_id": part.key.checkout_id,
                "order_id": part.key.order_id,
                # A line that counts itself is meant, whatever else it says: nobody corrects that.
                **({"attempt": 1} if step.arg == "saved" else {}),
            }
            for part in parts
        ]
        for part in parts:
            self.world.begun[part.key] = max(self.world.begun[part.key], part.ordinal + 1)
        decided = self._batch("orders.jsonl", "\n", lines)
        if not decided:
            return
        self.counts[f"people rebatch {step.arg}"] += 1
        self.machine.clock_s += 120
        self.world.clock_moved = True
        if step.arg == "saved":
            self._batch("b.jsonl", "\r\n", lines[::-1], decided)
            return
        first = next(line for line in lines if _key_of(line) in decided)
        first["machine_id"] = "002"
        if decided[_key_of(first)] == "fail":  # who corrects that wants it tried again
            del decided[_key_of(first)]
        self._batch("orders.jsonl", "\n", lines, decided)

    def _batch(
        self,
        name: str,
        end: str,
        lines: Sequence[Mapping[str, Any]],
        decided: Container[Key] = (),
    ) -> dict[Key, str]:
        """Run a file of payments; what it decided. Nothing of what is `decided` may be sent."""
        text = "".join(json.dumps(line) + end for line in lines)
        (self.machine.folder / name).write_bytes(text.encode())
        results = self.machine.folder / f"{len(self.machine.runs)}.results"
        run = self._run("batch", name, "--out", results.name)
        for seen in self.gateway.requests_of(run.address):
            account = self.gateway.accounts[str(seen.request_id)]
            key = Key(account.checkout_id, account.order_id, account.fee)
            if key in decided:
                self.blame(1, f"run {run.number} sent again what another file has paid: {key}")
        written = results.read_text().splitlines() if results.exists() else []
        told = [json.loads(line) for line in written]
        outcomes = {_key_of(payment): self._hear(run, payment) for payment in told}
        return {key: said for key, said in outcomes.items() if said in ("success", "fail")}

    def _do_code(self, step: Step) -> None:
        """One wallet's code is read for a second checkout: it pays once."""
        part = self._spare(step)
        words, code = self.pay_words(part)
        self.world.begun[part.key] = 1
        self._run(*words, code=code, about=part)
        payments = read_payments(self.machine.journal).values()
        if not any(p.key == part.key and (p.open or p.paid) for p in payments):
            return
        self.counts["people code"] += 1
        other = ("pay", "--fee", "7", "--checkout", f"77{step.pick}", "--code-stdin")
        run = self._run(*other, code=code)
        if self._sent(run):
            self.blame(1, f"run {run.number} sent a code that another payment carries")

    def _do_alarm(self, step: Step) -> None:
        """The platform speaks against a record: its checkout is charged no more until somebody has
        looked.
        """
        part = self._pick(self._next_parts(), step) or self._spare(step)
        self._finish([self._start_pay(part, How())])
        paid = [p for p in read_payments(self.machine.journal).values() if p.paid]
        payment = self._pick(paid, step)
        if payment is None:
            return
        self.gateway.speaks_against = payment.request_id
        asked = self._run("status", payment.request_id)
        self.gateway.speaks_against = None
        if asked.code != 22:
            return
        self.counts["people alarm"] += 1
        key = payment.key
        more = ("--checkout", key.checkout_id, "--order", key.order_id, "--another")
        # Another payment of it may be open since before: that one goes on, under its own id.
        payments = read_payments(self.machine.journal).values()
        left = {p.request_id for p in payments if p.key == key and p.open}
        run = self._run("pay", "--fee", str(key.fee), *more)
        if self._sent(run) and (run.data or {}).get("request_id") not in left:
            self.blame(1, f"run {run.number} charged a checkout of which nobody knows what is paid")
        self._run("resolve", payment.request_id, "--acknowledge", "--note", "looked")

    def _do_correct(self, step: Step) -> None:
        """A person says "not paid" of what was charged, and takes it back: its checkout is charged
        no more.
        """
        part = self._leave_open(self._spare(step))
        payment = next((p for p in self._decided() if p.key == part.key), None)
        if payment is None or self._verdict(payment) != "paid":
            return
        resolve = ("resolve", payment.request_id, "--note", "looked")
        self.known_paid.setdefault(payment.key, set()).add(payment.request_id)
        wrong = self._run(*resolve, "--as", "not-paid")
        if wrong.code != 0 or self._run(*resolve, "--as", "paid", "--correct").code != 0:
            return
        self.counts["people correct"] += 1
        key = payment.key
        run = self._run("pay", "--fee", str(key.fee), "--checkout", key.checkout_id)
        if self._sent(run):
            self.blame(1, f"run {run.number} charged a checkout that was corrected to paid")

    # ── what people do to a journal ──────────────────────────────────────────────────────────

    def _sent(self, run: Run) -> bool:
        return any(seen.address == run.address for seen in self.gateway.seen)

    def _is_refused(
        self,
        part: Part,
        payments: Sequence[str],
        codes: Container[int],
        invariant: int,
        **env: str,
    ) -> None:
        """Whatever the operator types, nothing is sent, and the exit code says why."""
        self._broken = True
        words, code = self.pay_words(part)
        every = [words, ("retry", "--all"), *(("retry", rid, "--yes") for rid in payments)]
        for argv in every:
            run = self._run(*argv, code=code if argv is words else None, env=env)
            if run.code not in codes:
                self.blame(invariant, f"run {run.number} ended with {run.code}")
            if self._sent(run):
                self.blame(invariant, f"run {run.number} sent")
        self._broken = False

    def _do_home(self, step: Step) -> None:
        """From another HOME, as cron has it, there is no configuration, or no journal."""
        part = self._left_open(step)
        if not isinstance(self.machine.journal, Path):
            return
        self.counts[f"people home {step.arg}"] += 1
        env = {"HOME": str(self.machine.folder / "cron"), "POSCTL_JOURNAL": ""}
        if step.arg == "config":
            env["POSCTL_CONFIG"] = ""
        self._is_refused(part, self._one(step), (3, 31), 11, **env)

    def _one(self, step: Step) -> list[str]:
        """Some payment's request_id."""
        payments = list(read_payments(self.machine.journal))
        return [self._pick(payments, step)] if payments else []

    def _grown(self, step: Step) -> tuple[Part, Path] | None:
        """A copy of the journal's folder, and a part that was paid or begun since."""
        if not isinstance(self.machine.journal, Path):
            return None
        older = self.machine.folder / "older"
        shutil.copytree(self.machine.journal.parent, older)
        backup = self.machine.folder / "backup.db"
        self._run("journal", "backup", str(backup))
        before = _reached(read_payments(self.machine.journal))
        part = self._left_open(step)
        for _ in range(4):
            if _reached(read_payments(self.machine.journal)) > before:
                break
            self._finish([self._start_pay(part, How())])
        else:
            return None
        return part, older

    def _do_journal(self, step: Step) -> None:
        """An older journal, one without what stands beside it, with a second name, a clone, what a
        copy was made of: nothing is sent until the right one is in its place.
        """
        found = self._grown(step)
        if found is None:
            return
        part, older = found
        self.counts[f"people journal {step.arg}"] += 1
        if step.arg == "copied":
            new = self.machine.folder / "new" / "journal.db"
            copied = self._run("journal", "copy", str(self.machine.journal), str(new))
            if copied.code != 0:
                self.blame(5, f"journal copy ended with {copied.code}")
            self._is_refused(part, self._one(step), (31,), 12)
            self.machine.use(new)
            self.gateway.journal = new
            return
        with other_journal(self.machine.journal, step.arg, older) as env:
            self._is_refused(part, self._one(step), (31,), 12, **env)
        if step.arg == "cut_companion":  # this time nobody has kept it
            os.truncate(held_path(self.machine.journal), 0)
            self._go_on("adopt", "--yes")

    def _go_on(self, *words: str) -> None:
        """A person takes a journal over or puts a backup back. What is open then is sent by nobody
        else, until a person has looked what became of it.
        """
        run = self._run("journal", *words)
        if run.code != 0:
            self.blame(5, f"journal {words[0]} ended with {run.code}")
        run = self._run("retry", "--all")
        if self._sent(run):
            self.blame(12, f"run {run.number} sent what is for a person")
        for payment in self._decided():
            self._resolve(payment, How())

    def _do_restore(self, step: Step) -> None:
        """A backup is put back although nothing was lost: nothing that is known is forgotten."""
        self._leave_open(self._spare(step))
        found = self._grown(step)
        if found is None:
            return
        backup = self.machine.folder / "backup.db"
        then = {rid for rid, p in read_payments(backup).items() if p.open}
        before = read_payments(self.machine.journal)
        self.counts["people restore"] += 1
        self._run("journal", "restore", str(backup), "--yes")
        after = read_payments(self.machine.journal)
        for rid, payment in before.items():
            if rid not in after or (not payment.open and after[rid] != payment):
                self.blame(
                    12, f"{rid} was {payment.state}, and the restored journal says otherwise"
                )
        run = self._run("retry", "--all")
        again = {seen.request_id for seen in self.gateway.requests_of(run.address)} & then
        if again:
            self.blame(12, f"run {run.number} sent what is for a person: {again}")
        for payment in self._decided():
            if payment.request_id in then:
                self._resolve(payment, How())

    def _do_lost(self, step: Step) -> None:
        """The latest journal is lost. An older one takes its place, and a person finds out about
        what that cannot know.
        """
        found = self._grown(step)
        if found is None:
            return
        part, older = found
        journal, newest = self.machine.journal, read_payments(self.machine.journal)
        known = read_payments(older / journal.name)
        lost = {rid: p for rid, p in newest.items() if rid not in known}
        if any(p.open and self._verdict(p) is None for p in lost.values()):
            return  # nobody could know yet
        gone = self.machine.folder / "gone"
        journal.parent.rename(gone)
        if step.arg != "restored":
            put_older(journal, "older_folder" if "folder" in step.arg else "older", older, gone)
        else:
            shutil.copytree(gone, journal.parent)
            for tail in ("", "-wal", "-shm"):
                Path(f"{journal}{tail}").unlink(missing_ok=True)
        self.counts[f"people lost {step.arg}"] += 1
        self._is_refused(part, list(newest)[-1:], (31,), 12)
        self._mourn(newest, known)
        if step.arg != "restored":
            self._go_on("adopt", "--yes")
        else:
            self._go_on("restore", str(self.machine.folder / "backup.db"), "--yes")

    def _mourn(self, newest: Mapping[str, Payment], known: Mapping[str, Payment]) -> None:
        """No journal knows any more what `newest` has and `known` lacks; the operator does."""
        lost = newest.keys() - known.keys()
        for rid, payment in newest.items():
            self.world.lost_tries[rid] += payment.tries - (known[rid].tries if rid in known else 0)
            if rid in lost and rid in self.gateway.accounts:
                self.world.forgotten.add(rid)
                self.gateway.accounts[rid].created_s = None
            if rid in lost and self.gateway.charges(rid):
                self.known_paid.setdefault(payment.key, set()).add(rid)
        for scripted in self.schedule.parts:
            self._attempts[scripted] += self._script_id(scripted) in lost

    def _do_look(self, step: Step) -> None:
        payments = list(read_payments(self.machine.journal).values())
        if not payments:
            return
        payment = self._pick(payments, step)
        looks = (
            ("pending",),
            ("history",),
            ("checkout", payment.key.checkout_id),
            ("show", payment.request_id),
        )
        run = self._run(*self._pick(looks, step))
        if run.code != 0:
            self.blame(5, f"looking ended with {run.code}")

    # ── after the faults ─────────────────────────────────────────────────────────────────────

    def _open(self) -> list[Payment]:
        return [p for p in read_payments(self.machine.journal).values() if p.open]

    def _settle(self) -> None:
        """`retry --all` until nothing moves, then `resolve` what only a person may close."""
        for _ in range(8):
            if not self._open():
                return
            words = ("retry", "--all", "--yes") if self.rng.random() < 0.5 else ("retry", "--all")
            run = self._run(*words)
            blocked = {p["request_id"] for p in run.told if p.get("outcome") == "blocked"}
            left = {p.request_id for p in self._open()}
            for payment in self._open():
                if payment.request_id in blocked or payment.state == "conflict":
                    ended = self._resolve(payment, How())
                    if ended.code != 0:
                        self.blame(5, f"resolve of an open payment ended with {ended.code}")
                    self._run("retry", payment.request_id)
            if left <= blocked:
                return

    def _finish_parts(self) -> None:
        """The operator pays whatever is still due, and knows what was paid."""
        for part in self.schedule.parts:
            more: tuple[str, ...] = ()
            for _ in range(8):
                if self.is_done(part):
                    break
                run = self._start_pay(part, How(), *more)
                self._finish([run])
                if run.code == 30 and not (self.world.clock_moved and self._reads_of_it(part)):
                    more = ("--another",)
            else:
                self.blame(5, f"{part.key} could not be paid after the faults")

    def _reads_of_it(self, part: Part) -> bool:
        """Whether the checkout shows as paid what nobody was told: what was settled a day ago is
        not told again.
        """
        known = self.known_paid.setdefault(part.key, set())
        payments = read_payments(self.machine.journal).values()
        shown = {p.request_id for p in payments if p.key == part.key and p.paid}
        is_news = bool(shown - known)
        known |= shown
        return is_news

    def _look_around(self) -> None:
        if not self.machine.journal.exists():
            return
        run = self._run("pending", "--check")
        alarms = (run.data or {}).get("alarms", [])
        for request_id in dict.fromkeys(alarm["request_id"] for alarm in alarms):
            self._run("resolve", request_id, "--acknowledge", "--note", "seen")
        if alarms:
            run = self._run("pending", "--check")
        if run.code != 0:
            self.blame(5, f"pending --check ended with {run.code} after everything was settled")

    # ── counting ─────────────────────────────────────────────────────────────────────────────

    def _count(self) -> None:
        counts = self.counts
        counts["schedules"] += 1
        counts["requests"] += sum(seen.whole for seen in self.gateway.seen)
        counts["charges"] += len(self.gateway.charged())
        for run in self.machine.runs:
            counts["runs"] += 1
            counts["console"] += run.how.console
            counts["killed"] += run.killed
            counts[f"exit {run.code}"] += 1
            if run.error_code and run.code == 31:
                counts[f"journal {run.error_code}"] += 1
            for line in run.reached:
                point, action = line.split(" ")
                counts[f"action {action.partition(':')[0]}"] += 1
                if action == "kill":
                    counts[f"point {point}"] += 1
        for seen in self.gateway.seen:
            if seen.fault:
                counts[f"fault {seen.fault}"] += 1
        if self.machine.journal.exists():
            with closing(open_readonly(self.machine.journal)) as db:
                for event, n in db.execute(
                    "SELECT coalesce(event, ?), count(*) FROM tries WHERE kind='pay' GROUP BY 1",
                    (CRASHED,),
                ):
                    counts[f"event {event}"] += n
                    counts["tries"] += n


def _key_of(payment: Mapping[str, Any]) -> Key:
    return Key(str(payment["checkout_id"]), str(payment["order_id"]), int(payment["pay_fee"]))


def _reached(payments: Mapping[str, Payment]) -> int:
    """How many payments were begun and closed."""
    return len(payments) + sum(not payment.open for payment in payments.values())


def hash_of(part: Part) -> str:
    """A short name of a part for its script's request_id."""
    return f"{part.key.checkout_id}-{part.key.order_id}-{part.key.fee}-{part.ordinal}"[-40:]


# ── many seeds ───────────────────────────────────────────────────────────────────────────────


class Simulator:
    """What schedules share: the zygote, the places that fail, a folder in memory."""

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        memory = Path("/dev/shm")
        where = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
        self.folder = Path(
            self._stack.enter_context(tempfile.TemporaryDirectory(prefix="posctl-sim-", dir=where))
        )
        self.zygote = self._stack.enter_context(Zygote())
        self.places = self._stack.enter_context(Places(faultserver.Certificates(self.folder)))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def play(self, seed: int, bug: str | None = None) -> Report:
        """One seed, once."""
        with tempfile.TemporaryDirectory(prefix=f"{seed}-", dir=self.folder) as folder:
            play = Play(make_schedule(seed), Path(folder), self.zygote, self.places, bug)
            violations = play.play()
        return Report([(seed, v) for v in violations], play.counts, play.trace)

    def hunt(
        self, seeds: Iterable[int], bug: str, wanted: Container[int]
    ) -> tuple[int, Violation] | None:
        """The first violation of one of the `wanted` invariants under `bug`, and its seed."""
        for seed in seeds:
            for found in self.play(seed, bug).violations:
                if found[1].invariant in wanted:
                    return found
        return None

    @contextmanager
    def world(
        self, choose: Callable[[Account], Fault] = lambda _account: HONEST, timeout: str = TIMEOUT
    ) -> Iterator[World]:
        """A new machine and its gateway, for tests that go their own way."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            machine = Machine(Path(folder), self.zygote, self.places, None)
            blamed: list[Violation] = []
            with SimGateway(
                journal=machine.journal,
                choose=choose,
                blame=lambda invariant, text: blamed.append(Violation(invariant, text)),
                moment=machine.strike,
                alias=machine.alias,
            ) as gateway:
                machine.configure(gateway.url, timeout=timeout)
                yield World(machine, gateway, blamed)
            assert not gateway.bugs, "\n".join(gateway.bugs)


def work(seeds: Sequence[int], bug: str | None) -> None:
    """A worker: play `seeds`, one JSON line on stdout for each."""
    with Simulator() as simulator:
        for seed in seeds:
            report = simulator.play(seed, bug)
            line = {
                "seed": seed,
                "counts": report.counts,
                "violations": [violation for _seed, violation in report.violations],
                "trace": report.trace if report.violations else [],
            }
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()


def run_many(
    first: int, last: int, jobs: int, say: Callable[[str], None], bug: str | None = None
) -> Report:
    """Play the seeds from `first` up to `last`, in `jobs` processes."""
    total = Report()
    began_s = time.monotonic()
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, "--worker", f"{first + job}:{last}:{jobs}"]
            + (["--bug", bug] if bug else []),
            stdout=subprocess.PIPE,
            text=True,
        )
        for job in range(jobs)
    ]
    lock = threading.Lock()

    def listen(worker: subprocess.Popen[str]) -> None:
        assert worker.stdout
        for line in worker.stdout:
            with lock:
                _add(total, json.loads(line), say)
                done = total.counts["schedules"]
                if done % 100 == 0:
                    spent_s = time.monotonic() - began_s
                    say(
                        f"{done}/{last - first} schedules, {total.counts['runs']} runs, "
                        f"{len(total.violations)} violations, {spent_s:.0f} s"
                    )

    threads = [threading.Thread(target=listen, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    codes = [worker.wait() for worker in workers]
    for worker in workers:
        if worker.stdout:
            worker.stdout.close()
    if any(codes):
        raise RuntimeError("a worker failed")
    total.counts["seconds"] = round(time.monotonic() - began_s)
    return total


def _add(total: Report, line: Mapping[str, Any], say: Callable[[str], None]) -> None:
    total.counts.update(line["counts"])
    found = [Violation(*violation) for violation in line["violations"]]
    total.violations += [(line["seed"], violation) for violation in found]
    if found:
        say(f"\nseed {line['seed']}:")
        say("\n".join([*line["trace"], *map(str, found), ""]))
        total.trace += line["trace"]


def hunt(seeds: Sequence[int], bugs: Iterable[str], say: Callable[[str], None]) -> bool:
    """Look for each bug, with the seeds in turn; whether all were found."""
    everything = True
    with Simulator() as simulator:
        for bug in bugs:
            found = simulator.hunt(seeds, bug, KNOWN[bug].invariants)
            everything = everything and found is not None
            say(f"{bug}: " + (f"seed {found[0]}, {found[1]}" if found else "not found"))
    return everything


def missing(counts: Mapping[str, int]) -> list[str]:
    """The events, faults and crash points that did not come up."""
    wanted = [
        *(f"event {event}" for event in (*EVENTS, CRASHED)),
        *(f"point {point}" for point in POINTS),
        *(f"fault {fault}" for fault in FAULTS),
        *(f"broken {kind}" for kind in BROKEN),
        *(f"people {do} {arg}".strip() for do, arg in PEOPLE),
    ]
    return [name for name in wanted if not counts.get(name)]


def summary(report: Report) -> str:
    """The counts, one group a line."""
    counts = report.counts
    plain = ("schedules", "runs", "console", "killed", "requests", "tries", "charges", "seconds")
    lines = [", ".join(f"{counts[name]} {name}" for name in plain)]
    for group in (
        "event",
        "point",
        "fault",
        "action",
        "way",
        "stall",
        "broken",
        "people",
        "journal",
        "exit",
    ):
        found = sorted(
            (k.partition(" ")[2], n) for k, n in counts.items() if k.startswith(group + " ")
        )
        lines.append(f"{group}: " + ", ".join(f"{name} {n}" for name, n in found))
    lines.append(f"not seen: {', '.join(missing(counts)) or 'nothing'}")
    lines.append(f"violations: {len(report.violations)}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, help="play this one, and tell every step")
    parser.add_argument("--seeds", help="FIRST:LAST, the last one not included")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--everything", action="store_true", help="fail unless every event, fault and point came up"
    )
    parser.add_argument("--hunt", action="store_true", help="look for each bug among the --seeds")
    parser.add_argument("--bug", help="put in a deliberate bug of sim_child.py")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()

    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    if given.worker:
        first, last, step = map(int, given.worker.split(":"))
        work(range(first, last, step), given.bug)
        return 0
    if given.seeds:
        first, last = map(int, given.seeds.split(":"))
        if given.hunt:
            return not hunt(range(first, last), [given.bug] if given.bug else KNOWN, say)
        report = run_many(first, last, given.jobs, say, given.bug)
        say(summary(report))
        return bool(report.violations or (given.everything and missing(report.counts)))
    if given.seed is None:
        parser.error("--seed or --seeds")
    with Simulator() as simulator:
        report = simulator.play(given.seed, given.bug)
        for _ in range(RACES - 1):
            if not report.violations:
                report = simulator.play(given.seed, given.bug)
    say("\n".join(report.trace))
    say(summary(report))
    for _seed, violation in report.violations:
        say(str(violation))
    return bool(report.violations)


if __name__ == "__main__":
    sys.exit(main())
