"""Each deliberate bug of `sim_child.BUGS`: what finds it, and a seed at which that happens.

Schedules depend on the code of the simulator. After a change there a seed may mean something else:

    python tests/harness/simulator.py --hunt --seeds 0:300           # the first seed for each, anew
    python tests/harness/simulator.py --hunt --seeds 0:300 --bug told_too_early
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Known(NamedTuple):
    """`invariants`: one of them is found broken, if somewhere else in a race, too."""

    seed: int
    invariants: frozenset[int]


KNOWN: Mapping[str, Known] = {
    bug: Known(seed, frozenset(invariants))
    for bug, seed, invariants in (
        ("new_uuid_on_retry", 0, (1, 2)),
        ("commit_after_send", 4, (2,)),
        ("timeout_is_failure", 45, (1, 4, 5)),
        ("failure_closes_unknown", 9, (1, 4, 5)),
        ("refusal_by_words", 3, (1, 4, 5)),
        ("redirect_followed", 34, (3,)),
        ("resolved_resent", 4, (2, 3)),
        ("lease_for_ever", 2, (5,)),
        ("payload_from_flags", 0, (3,)),
        ("hold_for_everyone", 12, (6,)),
        ("told_too_early", 15, (1,)),
        ("codes_kept", 4, (9,)),
        ("late_resend", 26, (8,)),
        ("identity_by_url", 0, (1,)),
        ("session_ignored", 5, (3, 11)),
        ("no_last_look", 6, (8,)),
        ("status_by_old_news", 96, (14,)),
        ("status_beside_a_sender", 67, (14,)),
        ("batch_id_by_bytes", 39, (1,)),
        ("companion_not_looked_at", 16, (12,)),
        ("clone_allowed", 110, (12,)),
        ("note_not_looked_at", 47, (12,)),
        ("link_allowed", 22, (12,)),
        ("silent_new_journal", 44, (11,)),
        ("restore_forgets", 170, (12,)),
        ("restored_may_send", 170, (12,)),
        ("copy_not_sealed", 24, (12,)),
        ("code_pays_twice", 215, (1,)),
        ("alarm_ignored", 13, (1,)),
        ("correction_ignored", 21, (1,)),
        ("merchant_forgotten", 4, (11,)),
    )
}
