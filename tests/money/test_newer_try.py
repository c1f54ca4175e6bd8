"""An answer, or a person's word, about a payment that was tried again meanwhile closes nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from conftest import Shop
from merciless import Merciless, told
from pty_run import pty_run

PENDING = told({"result_status": 3})


@pytest.fixture
def gateway(shop: Shop) -> Iterator[Merciless]:
    """A merciless gateway, and the profile that points at it."""
    with Merciless() as server:
        shop.profile(server.url)
        yield server


def open_payment(shop: Shop, gateway: Merciless) -> str:
    gateway.answer = lambda _members: PENDING
    ran = shop.run("pay", "--fee", "100", "--checkout", "c1", "--json")
    assert ran.code == 20
    return str(ran.json["request_id"])


def resolve(request_id: str, *more: str) -> tuple[str, ...]:
    return ("resolve", request_id, "--as", "not-paid", "--note", "seen in the console", *more)


def test_resolve_is_refused_after_another_try(shop: Shop, gateway: Merciless) -> None:
    """With --tries of what was looked at, a try since then refuses the word (30); without it, in a
    pipe, it counts.
    """
    request_id = open_payment(shop, gateway)
    assert shop.run("retry", request_id).code == 20
    ran = shop.run(*resolve(request_id, "--tries", "1", "--json"))
    assert (ran.code, ran.json["error"]["code"]) == (30, "tried_again")
    assert shop.run("pending", "--check").code == 20
    assert shop.run(*resolve(request_id, "--tries", "2")).code == 0


def test_resolve_asks_on_a_terminal(shop: Shop, gateway: Merciless) -> None:
    """A person sees the payment and when it was last tried, and says yes or no; --yes answers."""
    request_id = open_payment(shop, gateway)
    command = [*shop.command, *resolve(request_id)]
    asked = ("[y/N]", "n\r")
    shown = pty_run(command, env=shop.env, answers=[asked])
    text = shown.raw.decode()
    assert shown.exit_code == 30
    assert "PENDING" in text
    assert "Tried once, " in text
    assert shop.run("pending", "--check").code == 20
    assert pty_run([*command, "--yes"], env=shop.env).exit_code == 0
    assert shop.run("pending", "--check").code == 0


def test_nobody_is_asked_about_what_is_being_sent(shop: Shop, gateway: Merciless) -> None:
    """While a payment is on its way nobody can know what becomes of it: `resolve` asks no person at
    a terminal (30), and nothing is closed when that process is killed then.
    """
    shop.profile(gateway.url, timeout="{connect: 5, read: 60, total: 90}")
    request_id = open_payment(shop, gateway)
    gateway.hold_at = 0
    retry = subprocess.Popen([*shop.command, "retry", request_id], env=shop.env)
    try:
        gateway.wait_for(lambda: gateway.held == 1)
        shown = pty_run([*shop.command, *resolve(request_id)], env=shop.env)
    finally:
        retry.kill()
        retry.wait()
    assert shown.exit_code == 30
    assert "sending this payment" in shown.flow
    assert "[y/N]" not in shown.flow
    assert shop.run("pending", "--check").code == 20
