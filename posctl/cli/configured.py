"""Whether every profile can send, as `posctl config check` says, and `posctl init` at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from posctl.config.place import place_json, place_words
from posctl.config.profile import Config, Loaded, Profile
from posctl.config.profiles import read
from posctl.errors import ConfigError
from posctl.journal.place import masked_url
from posctl.messages import _
from posctl.money.outcome import Exit
from posctl.money.result import Problem, problem_json
from posctl.screen.brush import draw_pairs
from posctl.screen.contract import envelope
from posctl.screen.screen import View

if TYPE_CHECKING:
    from posctl.cli.run import Run


def check_config(run: Run) -> Exit:
    """Look at every profile and its secret, and tell. Raises ConfigError."""
    config = read(run.globals.config, run.environ)
    loaded = run.load()  # that a profile is chosen, and exists
    problems = {name: _problem_with(profile, run) for name, profile in config.profiles.items()}
    wrong = [problem for problem in problems.values() if problem]
    code = Exit.CONFIG if wrong else Exit.OK
    data = envelope(
        "config",
        code,
        wrong[0] if wrong else None,
        path=str(config.path),
        journal=place_json(loaded),
        profiles={
            name: {"ok": problem is None, "error": problem_json(problem)}
            for name, problem in problems.items()
        },
    )
    pairs = _summary(config, loaded, problems)
    run.screen.show(View(data, lambda canvas: draw_pairs(canvas, pairs)))
    for name, problem in problems.items():
        if problem:
            run.screen.note(f"{name}:")
            run.screen.problem(problem)
    return code


def _problem_with(profile: Profile, run: Run) -> Problem | None:
    """What would stop this profile from sending; its secret is read and dropped."""
    from posctl.gateway.client import proxy_for, trusting

    try:
        profile.secret.reveal(run.environ)
        if profile.gateway.startswith("https:"):
            trusting(profile.ca, run.environ)
        if profile.gateway.startswith("http"):
            proxy_for(profile.gateway, profile.proxy, run.environ)
    except ConfigError as error:
        return Problem.of(error)
    return None


def _summary(
    config: Config, loaded: Loaded, problems: Mapping[str, Problem | None]
) -> list[tuple[str, str]]:
    found = {name: problem.message if problem else _("good") for name, problem in problems.items()}
    return [
        ("path", str(config.path)),
        ("journal", masked_url(loaded.journal)),
        (_("used by"), place_words(loaded)),
        *found.items(),
    ]
