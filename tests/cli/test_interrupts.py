"""Ctrl-C is let through around the network alone, and counts once."""

from __future__ import annotations

import signal

import pytest

from posctl.cli.run import Interrupts


def ctrl_c(interrupts: Interrupts) -> None:
    interrupts._on_signal(signal.SIGINT, None)


def test_it_waits_for_the_network() -> None:
    """Between an answer and its record it waits; the next place that lets it through raises it."""
    interrupts = Interrupts()
    ctrl_c(interrupts)
    with pytest.raises(KeyboardInterrupt), interrupts.allowed():
        pytest.fail("it has waited")
    with interrupts.allowed():
        pass


def test_around_the_network_it_comes_at_once() -> None:
    """And only once: nothing of it waits for the next time."""
    interrupts = Interrupts()
    with pytest.raises(KeyboardInterrupt), interrupts.allowed():
        ctrl_c(interrupts)
    ctrl_c(interrupts)  # a second one waits
    with pytest.raises(KeyboardInterrupt), interrupts.allowed():
        pytest.fail("it has waited")


def test_at_the_threshold_it_counts_once() -> None:
    """Python may raise it while the place is entered or left, and then nothing shuts the door: a
    second one must still wait for its turn, and the first must not come again.
    """
    interrupts = Interrupts()
    door = interrupts.allowed()
    door.__enter__()
    with pytest.raises(KeyboardInterrupt):
        ctrl_c(interrupts)
    ctrl_c(interrupts)  # while the first is handled: it waits
    with pytest.raises(KeyboardInterrupt), interrupts.allowed():
        pytest.fail("it has waited")
    with interrupts.allowed():
        pass
