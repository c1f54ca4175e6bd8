"""`posctl config show|check|path|list|use|example`: what is configured. No secret is ever shown."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from posctl.cli.configured import check_config
from posctl.cli.framework import Command, Group, new_app
from posctl.cli.run import Run
from posctl.config.example import CONFIG, EXAMPLES, example_text, fitted
from posctl.config.new import choose_default
from posctl.config.profile import Profile
from posctl.config.profiles import config_path, no_profile, read, unknown_profile
from posctl.errors import UsageError
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
    help=_(
        "Show, check and find the configuration; list its profiles, choose the usual one; print an "
        "example."
    ),
    epilog="posctl config show\nposctl config check\nposctl config list\n"
    "posctl config use store-2\nposctl config example",
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
    inherited = loaded.profile.inherited
    facts: dict[str, Any] = {
        "path": str(loaded.path),
        "journal": masked_url(loaded.journal),
        "profile": loaded.profile.name,
        "live": loaded.profile.live,
        "settings": _settings(loaded.profile),
    }
    data = envelope("config", Exit.OK, **facts, inherited=list(inherited))
    run.screen.show(View(data, lambda canvas: draw_pairs(canvas, _told(facts, inherited))))
    return Exit.OK


def _told(facts: Mapping[str, Any], inherited: tuple[str, ...]) -> list[tuple[str, str]]:
    """As lines, those marked that the file says for every profile."""
    mark = _("(for every profile)")
    return [
        (name, f"{value}  {mark}" if key in inherited or key[:-2] in inherited else value)
        for name, value in plain(facts)
        for key in (name.removeprefix("settings."),)  # the first item of a list ends in .1
    ]


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


@app.command(
    name="list",
    cls=Command,
    help=_("List the profiles, with their merchants; * marks the one that is used without asking."),
    epilog="posctl config list",
)
def list_(ctx: typer.Context) -> int:
    return list_run(ctx.obj)


def list_run(run: Run) -> Exit:
    """The whole behaviour of `config list`, without the framework."""
    config = read(run.globals.config, run.environ)
    usual = run.environ.get("POSCTL_PROFILE") or config.default_profile
    data = envelope(
        "config",
        Exit.OK,
        path=str(config.path),
        default_profile=usual,
        profiles={
            one.name: {
                "live": one.live,
                "merchant": one.merchant.name,
                "gateway": one.gateway,
                "shop_id": one.defaults.get("shop_id"),
                "default": one.name == usual,
            }
            for one in config.profiles.values()
        },
    )
    pairs = [
        (f"{'*' if one.name == usual else ' '} {one.name}", f"{one.merchant.name}  {one.gateway}")
        for one in config.profiles.values()
    ]
    run.screen.show(View(data, lambda canvas: draw_pairs(canvas, pairs)))
    return Exit.OK


class UseOptions(NamedTuple):
    """A profile of the configuration."""

    name: str


@app.command(
    cls=Command,
    help=_(
        "Use this profile when none is named: writes default_profile into the configuration, and "
        "changes nothing else in it."
    ),
    epilog="posctl config use store-2",
)
def use(
    ctx: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME", hidden=True)]
) -> int:
    return use_run(UseOptions(name=name), ctx.obj)


def use_run(options: UseOptions, run: Run) -> Exit:
    """The whole behaviour of `config use`, without the framework."""
    config = read(run.globals.config, run.environ)
    if options.name not in config.profiles:
        raise unknown_profile(options.name, config)
    if not config.exists:
        raise no_profile(config)
    choose_default(config.path, options.name)
    run.screen.show(_pairs(path=str(config.path), default_profile=options.name))
    if run.environ.get("POSCTL_PROFILE"):
        run.screen.warn(
            _("POSCTL_PROFILE={name} is set, and wins over it.").format(
                name=run.environ["POSCTL_PROFILE"]
            ),
            (),
        )
    return Exit.OK


class ExampleOptions(NamedTuple):
    """One of EXAMPLES."""

    name: str


@app.command(
    cls=Command,
    help=_(
        "Print a configuration that explains every key, or what runs retry --due each minute: "
        "posctl-retry.service and posctl-retry.timer for systemd, posctl-retry.cron, "
        "posctl-retry.xml for Windows. The path of posctl, the profile and the user are those of "
        "this call."
    ),
    epilog="posctl config example\n"
    "posctl --profile store-1 config example posctl-retry.cron\n"
    "posctl --profile store-1 config example posctl-retry.service "
    ">/etc/systemd/system/posctl-retry.service",
)
def example(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="EXAMPLE", hidden=True, show_default=False)
    ] = CONFIG,
) -> int:
    return example_run(ExampleOptions(name=name), ctx.obj)


def example_run(options: ExampleOptions, run: Run) -> Exit:
    """The whole behaviour of `config example`, without the framework."""
    if options.name not in EXAMPLES:
        words = _("There is no example {name}. There are: {choice}.")
        raise UsageError(
            "unknown_example", words.format(name=options.name, choice=", ".join(EXAMPLES))
        )
    text = example_text(options.name)
    if options.name != CONFIG:
        profile = run.globals.profile or run.environ.get("POSCTL_PROFILE")
        text = fitted(text, _own_path(), profile, _user())
    if run.screen.json or run.screen.field is not None:
        data = envelope("config", Exit.OK, name=options.name, text=text)
        run.screen.show(View(data, lambda _canvas: None))
    else:
        run.screen.line(text.rstrip("\n"))
    return Exit.OK


def _own_path() -> str | None:
    """Where the posctl that runs is, None for `python -m posctl`."""
    called = Path(sys.argv[0]).absolute()
    return None if called.suffix == ".py" else str(called)


def _user() -> str | None:
    import getpass

    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # in no list of the system's
        return None


def _pairs(**facts: Any) -> View:
    data = envelope("config", Exit.OK, **facts)
    return View(data, lambda canvas: draw_pairs(canvas, plain(facts)))


def _settings(profile: Profile) -> dict[str, Any]:
    return {
        "gateway": profile.gateway,
        "app_key": profile.app_key,
        "merchant": profile.merchant_name,
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
