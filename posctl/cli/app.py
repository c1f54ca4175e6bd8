"""The command table, and the only map from errors to exit codes.

A command's module is imported when the command is called, and not before: start-up is a feature.
The options that stand before and after a command's name are declared once, here, and given to
every command; what a command function gets is its own options and a `Run` (`ctx.obj`).
"""

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperOption

from posctl import __version__
from posctl.cli.early import Early, look_early
from posctl.cli.framework import GivenTwice, Group, NeedsValue, NoArguments, UnknownCommand, new_app
from posctl.cli.run import Globals, Run
from posctl.errors import (
    AfterSending,
    Busy,
    ConfigError,
    Interrupted,
    JournalError,
    PosctlError,
    UsageError,
)
from posctl.hint import Hint, Say, Type, said
from posctl.messages import LANGUAGES, N_, _, use_language
from posctl.money.codes import discreet
from posctl.money.outcome import Exit, Outcome
from posctl.money.result import Asked, Problem, Result, result_json
from posctl.screen.contract import envelope, fields_of, is_field
from posctl.screen.screen import FORMATS, Manner, Screen, View
from posctl.shell import shell_at_hand, use_shell

# What each does, in the order of the help; its module has its name.
COMMANDS = {
    "pay": N_("Take one payment."),
    "retry": N_("Resend open payments, each under its own request_id."),
    "pending": N_("The open payments, oldest first."),
    "show": N_("Show one payment with every try."),
    "checkout": N_("All payments of one checkout, and what is still due."),
    "history": N_("List payments by day, shop, checkout, operator, outcome."),
    "status": N_("Ask the platform about a payment without paying."),
    "resolve": N_("Close an open payment by hand, on evidence."),
    "report": N_("Sum up a shift or a day, and close the shift."),
    "receipt": N_("Print the customer's or the store's copy."),
    "till": N_("Take payments at the counter, one after another."),
    "batch": N_("Take many payments from a file, resumable."),
    "init": N_("Make the first configuration, by questions."),
    "reconcile": N_("Set the journal beside the platform's statement."),
    "config": N_("Show, check and find the configuration."),
    "journal": N_("Begin, check, back up, restore and prune the journal."),
    "metrics": N_("The journal's state for a monitoring system."),
    "doctor": N_("Check everything that a payment needs."),
    "explain": N_("Say what a code means, and what to do."),
    "help": N_("Explain a command and its options."),
    "completion": N_("Complete command lines in your shell."),
    "training": N_("Run or empty the local training gateway."),
}
GLOBAL_NAMES = Globals._fields
LISTED = ("history", "pending", "checkout", "show", "report", "reconcile")  # as CSV, too
PAYING = frozenset({"pay", "retry"})  # their errors carry every key of a payment


def exit_code(error: BaseException) -> Exit:
    """The only map from errors to exit codes; outcomes have theirs in `outcome.EXIT_OF`."""
    # An argument of bytes that are not UTF-8 can be given to no journal. Met before sending only.
    if isinstance(error, (UsageError, typer.TyperException, UnicodeEncodeError)):
        return Exit.USAGE
    if isinstance(error, ConfigError):
        return Exit.CONFIG
    if isinstance(error, JournalError):
        return Exit.JOURNAL
    if isinstance(error, Busy):
        return Exit.BLOCKED
    if isinstance(error, AfterSending):
        return Exit.UNKNOWN
    if isinstance(error, (Interrupted, KeyboardInterrupt, typer.Abort)):
        return Exit.INTERRUPTED
    return Exit.BUG


def run(
    argv: Sequence[str],
    environ: Mapping[str, str],
    stdin: TextIO | None,
    stdout: TextIO | None,
    stderr: TextIO | None,
) -> int:
    """Run one command line; returns its exit code and raises nothing."""
    early = look_early(argv, COMMANDS)
    use_language(_language(early.lang, environ))
    use_shell(shell_at_hand(os.name, environ), argv)
    asked = "json" if early.json else early.format
    asked = asked if asked in FORMATS else None  # else it is refused below
    manner = Manner(
        format=asked, field=early.field, color=None, quiet=early.quiet, codes=early.codes
    )
    screen = Screen(stdout, stderr, manner)
    the_run = Run(Globals(), environ, stdin, screen)
    try:
        rv = _app().main(list(argv), prog_name="posctl", standalone_mode=False, obj=the_run)
        if rv == Exit.INTERRUPTED and not isinstance(rv, Exit):
            return _tell(KeyboardInterrupt(), early, the_run)  # typer made a bare 130 of it
        return int(rv or 0)
    except NoArguments as error:
        screen.lines(error.message)
        return Exit.USAGE
    except typer.Exit as leave:
        return leave.exit_code
    except BaseException as error:  # noqa: BLE001  no traceback ever reaches a cashier
        return _tell(error, early, the_run)
    finally:
        the_run.close()


def _tell(error: BaseException, early: Early, the_run: Run) -> int:
    """Put an error into words, on stderr or as the JSON object; returns the exit code."""
    if the_run.decided is not None:
        if not isinstance(error, KeyboardInterrupt):
            words = _("Internal error ({name}) while the result was shown.")
            the_run.screen.note(words.format(name=type(error).__name__))
        return the_run.decided
    code = exit_code(error)
    problem = _problem(error)
    if early.debug and code is Exit.BUG:
        import traceback

        # Frames only: the text of an unforeseen exception might quote a secret.
        the_run.screen.lines("".join(traceback.format_tb(error.__traceback__)))
    command = early.command
    outcome = Outcome.UNKNOWN if isinstance(error, AfterSending) else None
    if command in PAYING or command is None:
        asked = Asked(request_id=error.request_id if isinstance(error, AfterSending) else None)
        result = Result(code, outcome, asked=asked, problem=problem)
        data = result_json(result, command or "", the_run.profile_name, live=the_run.live)
    else:
        data = envelope(command, code, problem)
    if (the_run.screen.json or the_run.screen.field is not None) and not the_run.screen.begun:
        the_run.screen.show(View(data, lambda _canvas: None))
    the_run.screen.problem(problem)
    return code


def _problem(error: BaseException) -> Problem:
    if isinstance(error, PosctlError):
        return Problem.of(error)
    if isinstance(error, typer.TyperException):
        message, hint = _usage_words(error)
        return Problem("usage", "bad_command_line", message, hint)
    if isinstance(error, UnicodeEncodeError):
        return Problem("usage", "not_text", _("An argument is not text in UTF-8."))
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return Problem("interrupted", "interrupted", _("Interrupted. Nothing was sent."))
    return Problem(
        "internal",
        "bug",
        _("Internal error ({name}). Nothing was sent.").format(name=type(error).__name__),
        (Say(_("Run it again with --debug and report what it prints.")),),
    )


def _usage_words(error: typer.TyperException) -> tuple[str, Hint]:
    """The framework's complaints in our words; values are not repeated, they may be codes. What
    kind one is, its attributes tell: typer's own classes are none of its public names.
    """
    ctx, message = getattr(error, "ctx", None), str(getattr(error, "message", ""))
    path = ctx.command_path if ctx else "posctl"
    hint: Hint = (Say(_("Help:")), Type((*path.split()[1:], "-h")))
    if isinstance(error, (UnknownCommand, GivenTwice)):
        return _own_words(error, hint)
    option = str(getattr(error, "option_name", ""))
    if hasattr(error, "possibilities"):
        from posctl.cli.slips import option_meant

        known = option_meant(option, ctx.command.params if ctx else ())
        if known:
            hint = said(_("Did you mean {name}?").format(name=known))
        elif error.possibilities:
            names = " / ".join(sorted(error.possibilities))
            hint = said(_("Did you mean {name}?").format(name=names))
        return _("There is no option {name}.").format(name=discreet(option)), hint
    param = getattr(error, "param", None)
    if hasattr(error, "param_type") and param is not None:
        name = param.opts[0] if param.opts else str(param.name)
        if not name.startswith("-"):
            name = str(param.metavar or name).strip("[]…").upper()
        return _("{name} is missing.").format(name=name), hint
    if option:
        is_flag = "does not take" in message
        what = _("{name} takes no value.") if is_flag else _("{name} needs a value.")
        return what.format(name=option), hint
    if "unexpected extra" in message:
        words = discreet(message.partition(" (")[2].removesuffix(")"))
        return _("Unexpected argument: {words}").format(words=words), hint
    return discreet(error.format_message()), hint


def _own_words(error: UnknownCommand | GivenTwice, hint: Hint) -> tuple[str, Hint]:
    if isinstance(error, UnknownCommand):
        from posctl.cli.slips import meant

        hint = meant(error.word, error.names, error.path) or hint
        return _("There is no command {word}.").format(word=discreet(error.word)), hint
    if isinstance(error, NeedsValue):
        return _("{name} needs a value.").format(name=error.option), hint
    return _("{option} was given twice.").format(option=error.option), hint


# ── the language ─────────────────────────────────────────────────────────────────────────────


def _language(flag: str | None, environ: Mapping[str, str]) -> str:
    """`--lang`, $POSCTL_LANG, the locale, the language of the user's Windows. A wrong flag is
    refused later, in English.
    """
    for wanted in (flag, environ.get("POSCTL_LANG")):
        if wanted in LANGUAGES:
            return wanted
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if environ.get(name):
            return "zh" if environ[name].lower().startswith("zh") else "en"
    if sys.platform == "win32":  # which sets none of them
        from posctl.windows import display_language

        return display_language()
    return "en"


# ── typer, lazily ────────────────────────────────────────────────────────────────────────────


class Root(Group):
    """The commands of COMMANDS, each imported when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"posctl.cli.commands.{cmd_name}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return _with_globals(command, self.params)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The table from COMMANDS: the help imports no command."""
        with formatter.section(_("Commands")):
            formatter.write_dl(list(self.summaries().items()))

    def summaries(self) -> dict[str, str]:
        return {name: _(line) for name, line in COMMANDS.items()}


def _with_globals(command: Any, root_params: list[Any]) -> Any:
    """Let the global options stand after the command's name too."""
    shared = [param for param in root_params if param.name in GLOBAL_NAMES]
    for inner in getattr(command, "commands", {}).values():
        _with_globals(inner, root_params)
    command.params = [*command.params, *shared]
    command.take_globals = _take_globals
    return command


def _take_globals(the_run: Run, params: dict[str, Any], command: str) -> None:
    """What stood after the command's name goes to the run, not to the command."""
    shared = {name: params.pop(name) for name in GLOBAL_NAMES if name in params}
    the_run.add_globals(Globals(**shared))
    _refuse_unknown_field(the_run.screen.field, command)
    if the_run.screen.manner.format == "csv" and command not in LISTED:
        raise UsageError(
            "no_list",
            _("{command} lists nothing: --format csv is for {names}.").format(
                command=command, names=", ".join(LISTED)
            ),
        )


def _refuse_unknown_field(field: str | None, command: str) -> None:
    """A `--field` that no result of the command has, before anything is done for an empty line.
    Raises UsageError.
    """
    if field is None:
        return
    schema = fields_of(command)
    if schema and not is_field(schema, field):
        raise UsageError(
            "bad_field",
            _("There is no field {name}.").format(name=field[:64]),
            _("There are: {names}").format(names=", ".join(schema["properties"])),
        )


def _print_version(ctx: typer.Context, wanted: bool) -> None:
    """Before anything else is looked at: `posctl --version` names no command."""
    if wanted:
        screen = ctx.obj.screen
        if screen.json or screen.field is not None:
            _refuse_unknown_field(screen.field, "version")
            data = envelope("version", Exit.OK, version=__version__)
            screen.show(View(data, lambda _canvas: None))
        else:
            screen.line(f"posctl {__version__}")
        raise typer.Exit


def _root(
    ctx: typer.Context,
    profile: Annotated[
        str | None, typer.Option(help=N_("The profile to use."), metavar="NAME")
    ] = None,
    config: Annotated[
        str | None, typer.Option(help=N_("The configuration file."), metavar="PATH")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help=N_("Print one JSON object on one line."))
    ] = False,
    format: Annotated[  # noqa: A002  the option's name
        str | None,
        typer.Option(
            help=N_("text as on a terminal, keys, json, or csv of a list; also into a pipe."),
            metavar="text|keys|json|csv",
        ),
    ] = None,
    field: Annotated[
        str | None, typer.Option(help=N_("Print one bare value of it."), metavar="KEY")
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", help=N_("No notes on stderr, errors and warnings alone."))
    ] = False,
    lang: Annotated[str | None, typer.Option(help=N_("en or zh."), metavar="LANG")] = None,
    no_color: Annotated[bool, typer.Option("--no-color", help=N_("Use no colour."))] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help=N_("Say what travels, secrets and codes masked."))
    ] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", help=N_("Print the version."), is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    the_run: Run = ctx.obj
    given = Globals(
        profile=profile,
        config=config,
        as_json=as_json,
        format=format,
        field=field,
        quiet=quiet,
        lang=lang,
        no_color=no_color,
        debug=debug,
    )
    the_run.add_globals(given)


def _app() -> Any:
    """The root command, made after the language is known: its help is in it."""
    app = new_app(
        cls=Root,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        help=_("Take payments through Alibaba's alibaba.pos.order.pay: never twice, never lost."),
        epilog="posctl --profile training pay --shop 1 --fee 100 --checkout 111",
    )
    app.callback()(_root)
    command = typer.main.get_command(app)
    for option in command.params:  # made when this file was loaded, before the language was known
        if isinstance(option, TyperOption) and option.help:
            option.help = _(option.help)
    return command
