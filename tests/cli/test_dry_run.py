"""--dry-run of what resends, closes by hand and deletes: it tells, and leaves everything."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import Ran, Shop
from merciless import Merciless

from posctl.journal.prune import prune
from posctl.times import now_ms

Training = Callable[..., Ran]
CUT = "280000000000000009"  # the training gateway's: the outcome is unknown


@pytest.fixture
def unknown(trained: Training) -> str:
    """The request_id of an open payment."""
    ran = trained("pay", "--fee", "100", "--checkout", "1", "--code-stdin", "--json", stdin=CUT)
    assert ran.code == 21
    return str(ran.json["request_id"])


def state(trained: Training, request_id: str) -> tuple[object, ...]:
    one = trained("show", request_id, "--json").json
    return one["payment"]["outcome"], len(one["tries"])


@pytest.mark.parametrize("which", [("--all",), ("--last",), ("--checkout", "1")])
def test_retry_tells_what_it_would_send(
    trained: Training, unknown: str, which: tuple[str, ...]
) -> None:
    """Each payment that is meant, with why it would not be sent if so; no try is made."""
    before = state(trained, unknown)
    ran = trained("retry", *which, "--dry-run", "--json")
    assert (ran.code, ran.json["dry_run"]) == (0, True)
    (one,) = ran.json["payments"]
    assert (one["request_id"], one["refused"]) == (unknown, None)
    text = trained("retry", *which, "--dry-run", "--format", "text")
    assert "would be sent again" in text.out
    assert "Nothing was sent." in text.err
    assert state(trained, unknown) == before


def test_retry_tells_why_it_would_not(trained: Training, unknown: str) -> None:
    """A closed payment would be told again; --due leaves out what is closed."""
    paid = trained("pay", "--fee", "100", "--checkout", "2", "--json").json["request_id"]
    (one,) = trained("retry", paid, "--dry-run", "--json").json["payments"]
    assert "closed" in one["refused"]
    trained("resolve", unknown, "--as", "not-paid", "--note", "seen", "--yes")
    assert trained("retry", "--due", "--dry-run", "--json").json["payments"] == []


def test_retry_tells_who_is_sending(shop: Shop) -> None:
    """What another process is sending at this moment would not be sent a second time, and it is
    said who that is; what one that died was sending would be.
    """
    with Merciless() as gateway:
        gateway.hold_at = 0
        shop.profile(gateway.url, timeout="{connect: 60, read: 60, total: 60}")
        with shop.start("pay", "--fee", "100", "--checkout", "1") as sending:
            gateway.wait_for(lambda: gateway.held == 1)
            (one,) = shop.run("retry", "--all", "--dry-run", "--json").json["payments"]
            assert f"process {sending.pid}" in one["refused"]
            sending.kill()
        (one,) = shop.run("retry", "--last", "--dry-run", "--json").json["payments"]
        assert one["refused"] is None
        assert len(gateway.requests) == 1
        gateway.forget_held()


def test_resolve_refuses_as_it_would_and_closes_nothing(trained: Training, unknown: str) -> None:
    """What would be closed is shown and stays open; what would be refused is refused alike."""
    words = ("--as", "paid", "--note", "seen")
    before = state(trained, unknown)
    ran = trained("resolve", unknown, *words, "--dry-run", "--json")
    assert (ran.code, ran.json["dry_run"]) == (0, True)
    assert ran.json["payment"]["request_id"] == unknown
    assert state(trained, unknown) == before
    assert trained("resolve", unknown, *words, "--tries", "9", "--dry-run").code == 30
    for more in (("--correct", *words), ("--acknowledge", "--note", "seen")):
        tried = trained("resolve", unknown, *more, "--dry-run", "--json")
        real = trained("resolve", unknown, *more, "--yes", "--json")
        assert (tried.code, tried.json["error"]) == (real.code, real.json["error"]), more
    trained("resolve", unknown, *words, "--yes")
    after = state(trained, unknown)
    for again in (words, ("--correct", *words)):
        tried = trained("resolve", unknown, *again, "--dry-run", "--json")
        real = trained("resolve", unknown, *again, "--yes", "--json")
        assert (tried.code, tried.json["error"]) == (real.code, real.json["error"]), again
        assert tried.code == 2
    other = ("--correct", "--as", "not-paid", "--note", "seen", "--dry-run")
    assert trained("resolve", unknown, *other).code == 0
    assert state(trained, unknown) == after


def test_prune_counts_and_deletes_nothing(trained: Training, shop: Shop) -> None:
    """The numbers are those of the real run, no file is needed, and nothing is deleted."""
    for checkout in ("1", "2"):
        trained("pay", "--fee", "100", "--checkout", checkout)
    later_ms = now_ms() + 1000
    would = prune(shop.journal, later_ms, None)
    assert (would.payments, would.tries, would.kept) == (2, 2, 0)
    assert prune(shop.journal, later_ms, list)[:3] == would[:3]  # type: ignore[arg-type]  # reads all
    ran = trained("journal", "prune", "--older-than", "7", "--dry-run", "--json")
    assert (ran.code, ran.json["dry_run"], ran.json["export"]) == (0, True, None)
