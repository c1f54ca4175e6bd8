"""`posctl config show|check|path`: what is configured. Secrets are looked after, never shown."""

from collections.abc import Mapping
from typing import Any

import typer

from posctl.cli.framework import Command, Group, new_app
from posctl.cli.run import Run
from posctl.config.place import place_json, place_words
from posctl.config.profile import Config, Loaded, Profile
from posctl.config.profiles import config_path, read
from posctl.errors import ConfigError
from posctl.journal.place import masked_url
from posctl.messages import _
from posctl.money.codes import CODE_FIELDS, mask
from posctl.money.outcome import Exit
from posctl.money.result import Problem, problem_json
from posctl.screen.brush import draw_pairs
from posctl.screen.contract import envelope, plain
from posctl.screen.screen import View

app = new_app(
    cls=Group,
    no_args_is_help=True,
    help=_("Show, check and find the configuration."),
    epilog="posctl config show\nposctl config check\nposctl config path",
)


@app.command(
    cls=Command,
    help=_("Show what is in force for the profile in use, secrets masked."),
    epilog="posctl --profile store-1 config show",
)
def show(ctx: typer.Context) -> int:
    run: Run = ctx.obj
    loaded = run.load()
    run.screen.show(
        _pairs(
            path=str(loaded.path),
            journal=masked_url(loaded.journal),
            profile=loaded.profile.name,
            live=loaded.profile.live,
            settings=_settings(loaded.profile),
        )
    )
    return Exit.OK


@app.command(
    cls=Command,
    help=_(
        "Check every profile, that its secret can be read, and which journal is used. Sends "
        "nothing."
    ),
    epilog="posctl config check",
)
def check(ctx: typer.Context) -> int:
    run: Run = ctx.obj
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


@app.command(
    cls=Command,
    help=_("Print where the configuration is, or would be."),
    epilog='"$EDITOR" "$(posctl config path)"',
)
def path(ctx: typer.Context) -> int:
    run: Run = ctx.obj
    where, _named = config_path(run.globals.config, run.environ)
    if run.screen.json or run.screen.field is not None:
        run.screen.show(_pairs(path=str(where)))
    else:
        run.screen.line(str(where))
    return Exit.OK


def _pairs(**facts: Any) -> View:
    data = envelope("config", Exit.OK, **facts)
    return View(data, lambda canvas: draw_pairs(canvas, plain(facts)))


def _settings(profile: Profile) -> dict[str, Any]:
    return {
        "gateway": profile.gateway,
        "app_key": profile.app_key,
        profile.secret.kept_in: profile.secret.describe(),
        "sign_method": profile.sign_method,
        "session": "******" if profile.session else None,
        "timeout": {
            "connect": profile.timeout.connect_s,
            "read": profile.timeout.read_s,
            "total": profile.timeout.total_s,
        },
        "max_fee": profile.max_fee,
        "proxy": profile.proxy and "http://" + profile.proxy[7:].rpartition("@")[2],
        "ca": str(profile.ca) if profile.ca else None,
        "allow_card_numbers": profile.allow_card_numbers,
        "defaults": _masked(profile.defaults),
        "status_words": dict(profile.status_words),
        "decline_codes": list(profile.decline_codes),
        "receipt": profile.receipt._asdict(),
        "statement": profile.statement._asdict(),
        "till": profile.till._asdict(),
    }


def _masked(defaults: Mapping[str, str]) -> dict[str, str]:
    return {name: mask(v) if name in CODE_FIELDS else v for name, v in defaults.items()}


def _problem_with(profile: Profile, run: Run) -> Problem | None:
    """What would stop this profile from sending; its secret is read and dropped."""
    from posctl.gateway.client import proxy_for, trusting  # noqa: PLC0415  requests takes 100 ms

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
