"""The places of posctl that the simulator replaces."""

import pytest
import seams

from posctl.money import admit


def test_every_seam_is_there() -> None:
    """What the simulator replaces exists under its name: none of its faults has become a dud."""
    assert seams.missing() == []


def test_nothing_but_a_seam_is_replaced() -> None:
    """A place that is not in the list cannot be replaced, so the list is whole."""
    with pytest.raises(LookupError, match="due is not in SEAMS"):
        seams.patch(admit, "due", admit.due)
