"""Many payments from one file: read and checked as a whole, resumable at any point.

The memory of a batch is the journal, where every payment is found by its request_id, and the
results file beside it. Both survive a kill at any moment, because a line's request_id is the same
in every run, whatever file it stands in: the one it gives, or one made of the merchant, what the
line says and the attempt. A line is attempted again, under its next id, only when the journal
proves that the attempt before never reached the business (`not_sent`, `rejected`).
"""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from posctl.batch.csv import ATTEMPT, Read, bad_file, csv_records
from posctl.config.profile import Profile
from posctl.errors import UsageError
from posctl.messages import _
from posctl.money.codes import one_time_code
from posctl.money.order import Limits, PayRequest, check, read_file
from posctl.shell import lines_of
from posctl.table import SNIFFED, refuse_binary
from posctl.text import uuid_text

MAX_BYTES = 64 << 20
MAX_LINES = 100_000
MAX_SHOWN = 20  # bad lines that are listed


class Line(NamedTuple):
    """One payment of the file; `number` is its line, from 1. `order` has a request_id only if the
    file gives one. `says` is the merchant and what the line says, for the ids that are made of it;
    `meant` tells that the line itself says it is a payment besides others of the same.
    """

    number: int
    order: PayRequest
    says: str
    meant: bool = False

    @property
    def id(self) -> str:
        """What the line is known by, in whatever file: the request_id of its first attempt."""
        return self.order.request_id or request_id_of(self.says, 0)


class Batch(NamedTuple):
    """A whole file, checked. `id` names its lines, in whatever order."""

    id: str
    lines: Sequence[Line]


def read_batch(raw: bytes, name: str, profile: Profile, *, another: bool) -> Batch:
    """Check every line of the file called `name`, CSV or JSON Lines.

    Without `another` no checkout_id may be asked the same fee twice. Raises UsageError, which
    lists the bad lines with their numbers and reasons.
    """
    if len(raw) > MAX_BYTES:
        raise bad_file(name, _("it is larger than {most} MiB").format(most=MAX_BYTES >> 20))
    limits = Limits(profile.max_fee, profile.allow_card_numbers)
    refuse_binary(raw[:SNIFFED], name, "bad_file")
    records = csv_records(raw, name) if _is_csv(raw, name) else _json_records(raw, name)
    bad = BadLines(name)
    twice = _Twice(another=another)
    lines: list[Line] = []
    alike: Counter[str] = Counter()
    for number, read in records:
        if len(lines) == MAX_LINES:
            raise bad_file(name, _("it holds more than {most} payments").format(most=MAX_LINES))
        try:
            members = read()
            attempt = _attempt(members)
            order = check({}, members, profile.defaults, limits)
            twice.refuse(number, order, attempt)
        except UsageError as error:
            bad.add(number, error)
        else:
            says = _says(members, attempt, order, profile)
            lines.append(Line(number, order, f"{says} {alike[says]}", attempt is not None))
            alike[says] += 1
    bad.refuse()
    if not lines:
        raise bad_file(name, _("it holds no payment"))
    names = "\n".join(sorted(line.id for line in lines))
    return Batch(hashlib.sha256(names.encode()).hexdigest()[:32], lines)


def _says(
    members: Mapping[str, Any], attempt: int | None, order: PayRequest, profile: Profile
) -> str:
    """Whose payment a line is, and what it says: in whatever order, spelling or file format."""
    said = {name: str(value) for name, value in members.items()}
    what = [*profile.merchant, order.shop_id, attempt, sorted(said.items())]
    return hashlib.sha256(json.dumps(["posctl batch line", what]).encode()).hexdigest()


def _attempt(members: dict[str, Any]) -> int | None:
    """Take the line's own count of payments of the same out of its members."""
    attempt = members.pop(ATTEMPT, None)
    if attempt is None or re.fullmatch(r"[1-9][0-9]{0,5}", str(attempt)):
        return attempt if attempt is None else int(attempt)
    raise UsageError("bad_attempt", _("attempt is a whole number from 1, as in 2."))


def _json_records(raw: bytes, name: str) -> Iterator[tuple[int, Read]]:
    try:
        raw.decode()
    except UnicodeDecodeError:
        raise bad_file(name, _("it is not UTF-8 text")) from None
    for number, line in enumerate(raw.removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
        if line.strip():
            yield number, partial(read_file, line, _("this line"), ATTEMPT)


def _is_csv(raw: bytes, name: str) -> bool:
    """By its name; without one that says so, by its first character: JSON Lines begin with {."""
    ends = name.lower().rpartition(".")[2]
    if ends in ("csv", "json", "jsonl"):
        return ends == "csv"
    return not raw.removeprefix(codecs.BOM_UTF8).lstrip().startswith((b"{", b"["))


class _Twice:
    """Refuses what stands in one file twice."""

    def __init__(self, *, another: bool) -> None:
        self._another = another
        self._first: dict[object, int] = {}

    def refuse(self, number: int, order: PayRequest, attempt: int | None) -> None:
        """Raises UsageError when an earlier line has the same request_id or the same wallet's
        code, or asks the same.
        """
        code = one_time_code(order.members)
        if code is not None:
            first = self._first.setdefault(("code", code), number)
            if first != number:
                raise UsageError(
                    "same_code",
                    _("It has the payment code of line {first}.").format(first=first),
                    _("A code pays once: each payment needs its own."),
                )
        if order.request_id is not None:
            first = self._first.setdefault(order.request_id, number)
            if first != number:
                raise UsageError(
                    "same_id", _("It has the request_id of line {first}.").format(first=first)
                )
        what = (order.shop_id, order.checkout_id, order.pay_fee, attempt)
        first = self._first.setdefault(what, number)
        if first != number and not self._another:
            raise UsageError(
                "same_payment",
                _("It has checkout_id and pay_fee of line {first}.").format(first=first),
                _("If both are meant, give --another, or each its own attempt: 1, 2."),
            )


class BadLines:
    """Collects what is wrong with the lines of one file, to refuse it as a whole."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0
        self._shown: list[str] = []

    def add(self, number: int, error: UsageError) -> None:
        self._count += 1
        if self._count <= MAX_SHOWN:
            names_flags = error.code.startswith("missing_")
            what = [error.message, *lines_of(() if names_flags else error.hint)]
            line = _("line {number}: {what}").format(number=number, what=" ".join(what))
            self._shown.append(line.rstrip())

    def refuse(self) -> None:
        """Raises UsageError when there are any."""
        if not self._count:
            return
        if self._count > MAX_SHOWN:
            self._shown.append(_("and {count} more").format(count=self._count - MAX_SHOWN))
        raise UsageError(
            "bad_lines",
            _("{path}: lines that cannot be used: {count}. Nothing was sent.").format(
                path=self._name, count=self._count
            ),
            "\n".join(self._shown),
        )


def request_id_of(says: str, attempt: int) -> str:
    """The request_id of a line that gives none: the same in every run, whatever file it is in.

    A UUID of version 8, for ids made in a way of their own (RFC 9562).
    """
    raw = bytearray(hashlib.sha256(f"{says} {attempt}".encode()).digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    return uuid_text(raw)
