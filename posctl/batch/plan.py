"""What becomes of each line of a batch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
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
    for line, found, known in _looked_up(batch.lines, journal, said):
        job = found
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


LOOKED_UP = 1000  # lines whose payments are asked for at once


def _looked_up(
    lines: Sequence[Line], journal: Journal, said: Mapping[int, Said]
) -> Iterator[tuple[Line, Job, Payment | None]]:
    """Each line under the request_id that counts now, and its payment if there is one."""
    for at in range(0, len(lines), LOOKED_UP):
        jobs = [_first_job(line, said.get(line.number)) for line in lines[at : at + LOOKED_UP]]
        found: list[Payment | None] = [None] * len(jobs)
        asked = list(range(len(jobs)))
        while asked:
            known = journal.payments([jobs[n].request_id for n in asked])
            again = []
            for n in asked:
                found[n] = known.get(jobs[n].request_id)
                later = _next_job(jobs[n], found[n])
                if later is not None:
                    jobs[n] = later
                    again.append(n)
            asked = again
        yield from ((job.line, job, payment) for job, payment in zip(jobs, found, strict=True))


def _first_job(line: Line, said: Said | None) -> Job:
    """What its results call by another id was sent by posctl 0.1, which made ids of the whole
    file.
    """
    if line.order.request_id is not None:
        return Job(line, line.order.request_id, None)
    if said is not None and said.of_old and said.request_id is not None:
        return Job(line, said.request_id, 0)
    return Job(line, request_id_of(line.says, 0), 0)


def _next_job(job: Job, known: Payment | None) -> Job | None:
    """What to try when the business never saw the payment of `job`; None when `job` counts."""
    if job.attempt is None or known is None or known.standing.state not in UNSEEN:
        return None
    first = request_id_of(job.line.says, 0)
    attempt = 0 if job.attempt == 0 and job.request_id != first else job.attempt + 1
    return Job(job.line, request_id_of(job.line.says, attempt), attempt)


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
