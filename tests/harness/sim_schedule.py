"""What a seed means: the checkouts, the operator's steps, and what goes wrong when.

`make_schedule` is pure. Consecutive seeds take turns with faults, points, networks and broken
journals, so that a few hundred of them meet everything there is.
"""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

from sim_gateway import FAULTS, NETS, NETS_PROXY, NETS_TLS

# Where posctl writes, sends or reads; a name is passed each time the place is.
POINTS = (
    "begin.before",  # the first transaction
    "begin.before_commit",  # the payment's row and its try
    "begin.after_commit",
    "post.before",  # nothing is connected yet
    "first_byte.before",
    "first_byte.after",
    "send.middle",  # half of the body is out
    "send.after",  # all of it, nothing read
    "read.first",  # some of the answer is there
    "post.after",  # all of it, nothing recorded
    "record.before_commit",
    "record.after_commit",
    "forget.before",  # the checkpoint that erases codes
    "forget.after",
    "print.before",
    "print.middle",
    "print.after",
    "told.before",  # the journal learns that it was printed
    "told.after",
    "exit.before",
    "resolve.before_commit",
    "resolve.after_commit",
    "status.before_commit",
    "status.after_commit",
)
CONSOLE_EVERY = 50  # so many schedules, one is played with processes from the shell
BROKEN = ("empty", "no_sqlite", "damaged", "newer", "foreign", "folder", "dangling")
# What people do to what posctl stands on. Each schedule has one of these, in turn.
PEOPLE = (
    ("edit", "gateway"),
    ("edit", "session"),
    ("edit", "name"),
    ("edit", "sign_method"),
    ("whose", ""),
    ("seller", ""),
    ("asleep", "3600"),
    ("asleep", "90000"),
    ("asleep", "3600 resolved"),
    ("old_news", ""),
    ("rebatch", "saved"),
    ("rebatch", "corrected"),
    ("code", ""),
    ("alarm", ""),
    ("home", "config"),
    ("home", "journal"),
    ("journal", "older"),
    ("journal", "older_both"),
    ("journal", "older_folder"),
    ("journal", "other"),
    ("journal", "no_companion"),
    ("journal", "cut_companion"),
    ("journal", "linked"),
    ("journal", "cloned"),
    ("journal", "copied"),
    ("restore", ""),
    ("lost", "adopted"),
    ("lost", "adopted_folder"),
    ("lost", "restored"),
)
SWALLOWED_EVERY = 16  # in some, all day, the first address of the gateway's name swallows all
CORRECT_EVERY = 11  # besides, in some schedules a person takes back what was closed by mistake
JUMPS_S = (660.0, -660.0, 86_400.0, -86_400.0, 90_000.0, 1200.0, 61.0, -61.0)


class Key(NamedTuple):
    """What one charge and one part of a checkout are matched by."""

    checkout_id: str
    order_id: str
    fee: int


@dataclass(frozen=True, slots=True)
class Part:
    """One payment that a customer owes. `ordinal` counts the parts with the same key."""

    key: Key
    ordinal: int
    with_code: bool
    scripted: bool  # by a script that gives its own request_id
    attributes: str | None


@dataclass(frozen=True, slots=True)
class How:
    """Under which circumstances one process runs."""

    net: str | None = None
    armed: tuple[tuple[str, int, str], ...] = ()
    moment: str | None = None  # the gateway strikes the process then: first_byte, parsed, answered
    after_s: float | None = None  # or the clock on the wall does
    strike: int = 9  # SIGKILL, for which Windows has no name
    readonly: bool = False
    stdout: str = "pipe"  # or "closed", "full"
    form: str = "json"  # or "plain"
    wait: bool = False
    console: bool = False
    busy_s: float | None = None
    same_pid: bool = False

    @property
    def harms_the_disk(self) -> bool:
        """Whether exit 31 may be right."""
        harms = ("full", "pages", "lock", "move", "nofile")
        return self.readonly or any(
            action.partition(":")[0] in harms for _point, _nth, action in self.armed
        )

    def __str__(self) -> str:
        usual = asdict(How())
        return " ".join(f"{k}={v}" for k, v in asdict(self).items() if v != usual[k])


@dataclass(frozen=True, slots=True)
class Step:
    """One thing the operator does. `hows` has one entry for each process that runs at once."""

    do: str
    pick: int = 0  # which of the candidates it is about
    hows: tuple[How, ...] = (How(),)
    arg: str = ""

    def __str__(self) -> str:
        return f"{self.do} {self.arg} [{' | '.join(map(str, self.hows))}]"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A seed, spelt out."""

    seed: int
    tls: bool
    proxy: bool
    sign_method: str
    merchant: str | None  # the name that the configuration gives the seller; else it is the app_key
    checks_clock: bool
    honesty: float
    theme: str
    parts: tuple[Part, ...]
    steps: tuple[Step, ...]
    finish: bool

    @property
    def totals(self) -> dict[str, int]:
        sums: Counter[str] = Counter()
        for part in self.parts:
            sums[part.key.checkout_id] += part.key.fee
        return dict(sums)


_KINDS = tuple(FAULTS)


def make_schedule(seed: int) -> Schedule:
    """The schedule of `seed`; consecutive seeds take turns with faults, points and networks."""
    rng = random.Random(seed)
    tls = seed % 8 in (3, 7)
    proxy = seed % 16 == 7
    special = NETS_PROXY if proxy else NETS_TLS if tls else NETS
    return Schedule(
        seed=seed,
        tls=tls,
        proxy=proxy,
        sign_method=rng.choice(("hmac-sha256", "hmac", "md5")),
        merchant="hema" if seed % 4 else None,
        checks_clock=rng.random() < 0.3,
        honesty=rng.choice((0.2, 0.5, 0.8)),
        theme=_KINDS[seed % len(_KINDS)],
        parts=tuple(_parts(rng)),
        steps=tuple(_steps(rng, seed, special)),
        finish=rng.random() < 0.8,
    )


def _parts(rng: random.Random) -> Iterator[Part]:
    for n in range(rng.choice((1, 1, 2, 3))):
        checkout_id = f"{rng.randrange(100, 999)}{n}"
        ordinals: Counter[Key] = Counter()
        fee = rng.randrange(1, 9999)
        for k in range(rng.choice((1, 1, 2, 3))):
            if rng.random() < 0.7:
                fee = rng.randrange(1, 9999)
            order_id = f"{checkout_id}-{k}" if n % 2 else checkout_id
            key = Key(checkout_id, order_id, fee)
            yield Part(
                key,
                ordinals[key],
                with_code=rng.random() < 0.7,
                scripted=rng.random() < 0.15,
                attributes="a" * 1000 if rng.random() < 0.2 else None,
            )
            ordinals[key] += 1


def _steps(rng: random.Random, seed: int, special: Sequence[str]) -> Iterator[Step]:
    nets = (*NETS, *special)
    turn, n = divmod(seed, len(POINTS))
    steps = [_any_step(rng, nets) for _ in range(rng.randrange(4, 9))]
    themed = _themed_step(rng, POINTS[n], kill=turn % 3 != 2)
    steps.insert(rng.randrange(1, len(steps)), themed)
    if seed % 3 == 0:
        how = How(net=special[seed // 3 % len(special)])
        steps.insert(rng.randrange(len(steps)), Step("pay", rng.randrange(9), (how,)))
    if seed % 5 == 0:
        broken = BROKEN[seed // 5 % len(BROKEN)]
        steps.insert(rng.randrange(1, len(steps)), Step("broken", 0, (How(),), broken))
    if seed % CONSOLE_EVERY == CONSOLE_EVERY - 1:
        steps = [_console_step(rng) for _ in range(5)]
    else:
        do, arg = PEOPLE[seed % len(PEOPLE)]
        people = random.Random(f"{seed} people")
        where = people.randrange(1, len(steps) + 1)
        steps.insert(where, Step(do, people.randrange(1000), (How(),), arg))
        if seed % CORRECT_EVERY == CORRECT_EVERY - 1:
            where = people.randrange(1, len(steps) + 1)
            steps.insert(where, Step("correct", people.randrange(1000), (How(),)))
    if seed % SWALLOWED_EVERY == 1:
        steps = [replace(step, hows=tuple(map(_swallowed, step.hows))) for step in steps]
    for step in steps:
        if seed % 9 == 0 and step.hows and not step.hows[0].console:
            first, *others = step.hows
            yield replace(step, hows=(replace(first, same_pid=True), *others))
        else:
            yield step


def _swallowed(how: How) -> How:
    return how if how.net or how.console else replace(how, net="first_swallows")


def _console_step(rng: random.Random) -> Step:
    """`python -m posctl`, struck at some moment or left alone."""
    after_s = rng.choice((None, rng.uniform(0.05, 0.5)))
    strike = rng.choice((signal.SIGKILL, signal.SIGINT, signal.SIGTERM))
    how = How(console=True, after_s=after_s, strike=strike)
    return Step(rng.choice(("pay", "pay", "retry")), rng.randrange(9), (how,), "all")


def _themed_step(rng: random.Random, point: str, *, kill: bool) -> Step:
    """A step in which something happens at `point`, kill -9 if it says so."""
    action = "kill" if kill else rng.choice(_suited(point))
    do = point.partition(".")[0]
    busy_s = 0.05 if action == "lock" else None
    # What comes after a payment is closed is reached sooner by one that goes on asking.
    how = How(armed=((point, 1, action),), busy_s=busy_s, wait=do in ("forget", "told"))
    return Step(do if do in ("resolve", "status") else "pay", rng.randrange(9), (how,))


def _suited(point: str) -> tuple[str, ...]:
    """What else may happen at a point, besides kill -9."""
    at = {
        "begin.before": ("pages", "full", "full:4096", "move"),
        "begin.before_commit": ("full", "full:4096", "move"),
        "begin.after_commit": ("full", "lock", "clock:-700"),
        "post.before": ("full", "lock", "nofile", "nofile", "clock:700", "move"),
        "post.after": ("full", "full:4096", "lock", "clock:90000", "move"),
        "record.before_commit": ("full", "full:4096"),
        "record.after_commit": ("lock", "full"),
        "forget.before": ("lock",),
        "print.before": ("lock",),
    }
    return ("int", "term", "int_twice", *at.get(point, ()))


def _any_step(rng: random.Random, nets: Sequence[str]) -> Step:
    do = rng.choices(
        ("pay", "retry", "clock", "differ", "broken", "again", "status", "resolve", "look", "disk"),
        (50, 16, 8, 4, 4, 4, 4, 2, 3, 5),
    )[0]
    pick = rng.randrange(1000)
    if do == "clock":
        return Step(do, pick, (), str(rng.choice((*JUMPS_S, 0.0, 0.0, 0.0))))
    if do == "broken":
        return Step(do, pick, (How(),), rng.choice(BROKEN))
    if do == "disk":
        return Step("pay", pick, (_bad_disk(rng),))
    if do == "differ":
        return Step(do, pick, (How(),), rng.choice(("fee", "taken", "other_id")))
    if do == "retry":
        ways = ("rid", "rid", "checkout", "last", "all", "all", "due")
        return Step(do, pick, tuple(_crowd(rng, nets)), rng.choice(ways))
    if do == "pay":
        return Step(do, pick, tuple(_crowd(rng, nets)))
    return Step(do, pick, (How(),) if do != "status" else (_how(rng, nets),))


def _bad_disk(rng: random.Random) -> How:
    match rng.randrange(4):
        case 0:
            return How(readonly=True)
        case 1:
            return How(armed=(("start", 1, "full"),))
        case 2:
            return How(armed=(("start", 1, "lock"),), busy_s=0.05)
        case _:
            return How(armed=(("begin.before", 1, rng.choice(("pages", "full", "full:5000"))),))


def _crowd(rng: random.Random, nets: Sequence[str]) -> Iterator[How]:
    for _ in range(rng.choices((1, 2, 3, 4), (80, 12, 5, 3))[0]):
        yield _how(rng, nets)


def _how(rng: random.Random, nets: Sequence[str]) -> How:
    """Most runs are ordinary; the rest suffer one thing."""
    form = rng.choices(("json", "plain"), (85, 15))[0]
    wait = rng.random() < 0.15
    strike = rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM))
    match rng.choices(
        ("fine", "point", "moment", "after", "net", "stdout"),
        (47, 25, 8, 6, 10, 4),
    )[0]:
        case "point":
            point = rng.choice(POINTS)
            action = rng.choice(("kill", "kill", "kill", *_suited(point)))
            if action == "move":
                action = "kill"
            busy_s = 0.05 if action == "lock" else None
            nth = rng.choices((1, 2, 3, 4), (70, 15, 10, 5))[0]
            armed = ((point, nth, action),)
            return How(armed=armed, form=form, wait=wait, busy_s=busy_s)
        case "moment":
            moment = rng.choice(("first_byte", "parsed", "answered"))
            return How(moment=moment, strike=strike, form=form, wait=wait)
        case "after":
            return How(after_s=rng.uniform(0, 0.03), strike=strike, form=form)
        case "net":
            return How(net=rng.choice(nets), form=form, wait=wait)
        case "stdout":
            return How(stdout=rng.choice(("closed", "full")), form=form)
    return How(form=form, wait=wait)
