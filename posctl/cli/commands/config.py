"""`posctl config show|check|path`: what is configured. Secrets are looked after, never shown."""

from collections.abc import Mapping
from typing import Any

import typer

from posctl.cli.configured import check_config
from posctl.cli.framework import Command, Group, new_app
from posctl.cli.run import Run
from posctl.config.profile import Profile
from posctl.config.profiles import config_path
from posctl.journal.place import masked_url
from posctl.messages import _
from posctl.money.codes import CODE_FIELDS, mask
from posctl.money.outcome import Exit
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
    return show_run(ctx.obj)


def show_run(run: Run) -> Exit:
    """The whole behaviour of `config show`, without the framework."""
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
    return check_config(ctx.obj)


@app.command(
    cls=Command,
    help=_("Print where the configuration is, or would be."),
    epilog='"$EDITOR" "$(posctl config path)"',
)
def path(ctx: typer.Context) -> int:
    return path_run(ctx.obj)


def path_run(run: Run) -> Exit:
    """The whole behaviour of `config path`, without the framework."""
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
        "notify_command": list(profile.notify_command),
        "receipt": profile.receipt._asdict(),
        "statement": profile.statement._asdict(),
        "till": profile.till._asdict(),
    }


def _masked(defaults: Mapping[str, str]) -> dict[str, str]:
    return {name: mask(v) if name in CODE_FIELDS else v for name, v in defaults.items()}
