"""What becomes of each line of a batch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from posctl.batch.file import BadLines, Batch, Line, request_id_of
from posctl.batch.results import Said
from posctl.config.profile import Profile
from posctl.errors import JournalError, UsageError
from posctl.journal import Journal
from posctl.messages import _
from posctl.money.order import PayRequest, intent
from posctl.money.outcome import Outcome, State
from posctl.money.record import Payment
from posctl.paying.row import checkout_of

# Nobody was charged, and the business never saw it: a later run may attempt the line once more.
UNSEEN = frozenset({State.NOT_SENT, State.REJECTED})


class Job(NamedTuple):
    """A line to be sent, under the request_id of this attempt. `attempt` is None when the file
    gave the id: then there is no other.
    """

    line: Line
    request_id: str
    attempt: int | None

    @property
    def order(self) -> PayRequest:
        return PayRequest({**self.line.order.members, "request_id": self.request_id})


class Plan(NamedTuple):
    """What a run has to do: the lines that are decided, and those to send or to ask about.

    A decided line without a request_id stands in the results file alone: its payment was pruned.
    """

    decided: list[tuple[Line, str | None]]
    jobs: list[Job]


def make_plan(
    batch: Batch, name: str, profile: Profile, journal: Journal, said: Mapping[int, Said]
) -> Plan:
    """Look every line up in the journal and among the results. Reads only.

    Raises UsageError when a request_id belongs to another payload, JournalError when the results
    tell of open payments that the journal does not hold.
    """
    bad = BadLines(name)
    lost = 0
    plan = Plan([], [])
    for line in batch.lines:
        job, known = _job(line, journal, said.get(line.number))
        if known is not None and known.open and _is_same(known, job, profile):
            job = _as_begun(job, known)
        earlier = said[line.number].outcome if line.number in said else None
        if known is not None and not _is_same(known, job, profile):
            bad.add(line.number, _other_payload(job))
        elif known is not None and (not known.open or known.standing.state is State.CONFLICT):
            plan.decided.append((line, known.request_id))
        elif known is None and earlier in (Outcome.SUCCESS, Outcome.FAIL):
            plan.decided.append((line, None))
        elif known is None and earlier in (Outcome.PENDING, Outcome.UNKNOWN, Outcome.CONFLICT):
            lost += 1
        else:
            plan.jobs.append(job)
    bad.refuse()
    if lost:
        raise JournalError(
            "journal_lacks_payments",
            _("Open payments in the results that this journal does not hold: {count}.").format(
                count=lost
            ),
            _("Use the journal that the batch was begun with, or restore a backup of it."),
        )
    return plan


def _job(line: Line, journal: Journal, said: Said | None) -> tuple[Job, Payment | None]:
    """The line under the request_id that counts now, and its payment if there is one.

    What its results call by another id was sent by posctl 0.1, which made ids of the whole file.
    """
    if line.order.request_id is not None:
        given = Job(line, line.order.request_id, None)
        return given, journal.payment(given.request_id)
    if said is not None and said.of_old and said.request_id is not None:
        known = journal.payment(said.request_id)
        if known is None or known.standing.state not in UNSEEN:
            return Job(line, said.request_id, 0), known
    attempt = 0
    while True:
        job = Job(line, request_id_of(line.says, attempt), attempt)
        known = journal.payment(job.request_id)
        if known is None or known.standing.state not in UNSEEN:
            return job, known
        attempt += 1


def _is_same(known: Payment, job: Job, profile: Profile) -> bool:
    """Whether the line's id bears its payment. An id that was made of the line does, also when the
    profile's defaults have changed since.
    """
    order = job.order
    if known.checkout != checkout_of(order, profile) or known.pay_fee != order.pay_fee:
        return False
    return job.attempt is not None or intent(known.pay_request) == intent(
        order.wire(known.request_id)
    )


def _as_begun(job: Job, known: Payment) -> Job:
    """The job with the payload that its open payment was begun with."""
    order = PayRequest(json.loads(known.pay_request))
    return job._replace(line=job.line._replace(order=order)) if job.attempt is not None else job


def _other_payload(job: Job) -> UsageError:
    what = _("The request_id {request_id} belongs to another payment.")
    return UsageError("request_id_taken", what.format(request_id=job.request_id))


def checkout_of_line(job: Job) -> tuple[str, str]:
    return job.line.order.shop_id, job.line.order.checkout_id
