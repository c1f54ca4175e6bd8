"""`posctl init`: the first configuration, by questions; then a training payment, if wanted."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from posctl.cli.framework import Command, new_app
from posctl.cli.run import Run, new_request_id
from posctl.config.new import GATEWAY, Draft, NewFile, add_profile, refuse_unless_addable, write
from posctl.config.profile import DEFAULT_TIMEOUT, TRAINING
from posctl.config.profiles import config_path, no_profile, read, usual_journal
from posctl.config.secret import KeptIn, Secret
from posctl.config.yamltext import Bad
from posctl.errors import ConfigError, Interrupted, UsageError
from posctl.hint import Hint, Say, Type, said
from posctl.journal.place import masked_url
from posctl.messages import N_, _
from posctl.money.order import Limits, check
from posctl.money.outcome import Exit
from posctl.shell import lines_of

app = new_app()


class InitOptions(NamedTuple):
    """The name of one more profile; None for the first configuration."""

    add: str | None


_DEFAULTS = {
    "shop_id": N_("The shop at the platform (shop_id), digits"),
    "operator_id": N_("Who works at the till (operator_id)"),
    "machine_id": N_("Which till (machine_id)"),
    "buyer_id": N_("The buyer's id at the platform (buyer_id), digits"),
    "source": N_("The business line (source), for example hema"),
    "merchant_code": N_("The merchant at the platform (merchant_code), for example HM"),
}
_WAYS: dict[str, tuple[KeptIn, str, str]] = {
    "1": (
        "secret_file",
        N_("type it now; it goes into a file of its own that only you can read"),
        "",
    ),
    "2": ("secret_file", N_("it is in a file already"), N_("The file")),
    "3": ("secret_env", N_("an environment variable holds it"), N_("The variable's name")),
    "4": ("secret_command", N_("a command prints it (a password manager)"), N_("The command")),
}


@app.command(
    cls=Command,
    help=_(
        "Make the first configuration: posctl asks for what a profile needs, checks each answer, "
        "writes the file so that only you can read it, and offers a training payment. An existing "
        "configuration is never touched, but for one more profile with --add."
    ),
    epilog="posctl init\nposctl init --lang zh\nposctl init --add store-2",
)
def init(
    ctx: typer.Context,
    add: Annotated[
        str | None,
        typer.Option("--add", help=_("One more profile, of this name."), metavar="NAME"),
    ] = None,
) -> int:
    return init_run(InitOptions(add=add), ctx.obj)


def init_run(options: InitOptions, run: Run) -> Exit:
    """The whole behaviour of `init`, without the framework."""
    path, _named = config_path(run.globals.config, run.environ)
    if options.add is not None:
        return _add(options.add, path, run)
    _refuse(path, run)
    place = usual_journal(run.environ)
    run.interrupts.install()  # from here on signals wait, but where somebody is asked
    try:
        questions = _Questions(path.absolute(), place, run)
        files = questions.ask_all()
    except (KeyboardInterrupt, EOFError):
        run.screen.note("")
        raise Interrupted("interrupted", _("Interrupted. Nothing was written.")) from None
    write(files)
    for file in files:
        run.screen.note(_("√ Written: {path}").format(path=file.path))
    _begin_journal(place, run)
    return _afterwards(run)


def _add(name: str, path: Path, run: Run) -> Exit:
    """One more profile, in the configuration that is there. Raises UsageError, ConfigError."""
    config = read(run.globals.config, run.environ)
    if not config.exists:
        raise no_profile(config)
    if name in config.profiles:
        raise UsageError(
            "profile_exists", _("There is a profile {name} already.").format(name=name[:64])
        )
    draft = Draft(name=name, journal=usual_journal(run.environ))
    try:
        draft.profile(path)
    except (Bad, ConfigError) as wrong:
        raise UsageError("bad_name", f"{wrong.message}.", wrong.hint) from None
    refuse_unless_addable(path, draft)
    _refuse_nobody(path, run)
    run.interrupts.install()  # as below
    try:
        secret, draft = _Questions(path.absolute(), draft.journal, run).ask_more(draft)
    except (KeyboardInterrupt, EOFError):
        run.screen.note("")
        raise Interrupted("interrupted", _("Interrupted. Nothing was written.")) from None
    if secret:
        write(secret)  # a profile never names what is not there
    add_profile(path, draft)
    for file in (*(one.path for one in secret), path):
        run.screen.note(_("√ Written: {path}").format(path=file))
    run.screen.note(
        _("To check the way to the gateway, without money:"), Type(("--profile", name, "doctor"))
    )
    return Exit.OK


def _refuse(path: Path, run: Run) -> None:
    """Raises UsageError where there is something already, or nobody to ask."""
    if os.path.lexists(path):
        raise UsageError(
            "config_exists",
            _("There is a configuration already: {path}").format(path=path),
            (
                *(Say(_("Edit that file. To ask for its path:")), Type(("config", "path"))),
                *(Say(_("For one more profile:")), Type(("init", "--add", "NAME"))),
            ),
        )
    _refuse_nobody(path, run)


def _refuse_nobody(path: Path, run: Run) -> None:
    if not run.can_ask():
        raise UsageError(
            "no_terminal",
            _("posctl init asks questions and needs a terminal to ask them on."),
            (
                Say(_("Or fill in by hand what this prints, as {path}:").format(path=path)),
                Type(("config", "example")),
            ),
        )


def _begin_journal(place: str, run: Run) -> None:
    """The journal, for live payments begin none. One that is there is kept. Raises JournalError."""
    from posctl.journal.open import begin_journal, note_of

    config, _named = config_path(run.globals.config, run.environ)
    begin_journal(place, DEFAULT_TIMEOUT.total_s, note_of(config, place, run.environ))
    run.screen.note(_("√ The journal: {path}").format(path=masked_url(place)))


def _afterwards(run: Run) -> Exit:
    """Check what was written as `posctl config check` does, and offer to practise."""
    from posctl.cli.configured import check_config

    code = check_config(run)
    run.screen.note(_("To check the way to the gateway, without money:"), Type(("doctor",)))
    if run.live:
        real = _("From now on posctl takes real money, with profile {name}.")
        run.screen.note(real.format(name=run.profile_name))
        run.screen.note(_("To practise:"), Type(("--profile", "training", "till")))
    if not run.confirm(_("Take a training payment now? No real money moves.")):
        return code
    return code or _train(run)


def _train(run: Run) -> Exit:
    """The payment that `posctl --profile training pay` takes."""
    from posctl.cli.tell import tell
    from posctl.paying.pay import pay

    members = {"pay_fee": "100", "checkout_id": f"training-{new_request_id()[:8]}"}
    practice = Run(run.globals._replace(profile=TRAINING), run.environ, run.stdin, run.screen)
    try:
        profile = practice.load().profile
        limits = Limits(profile.max_fee, profile.allow_card_numbers)
        order = check(members, {}, profile.defaults, limits)
        desk = practice.desk()
        practice.banner()
        with practice.screen.sending(order.pay_fee):
            result = pay(order, desk, frozenset(), None)
        return tell(result, "pay", practice)
    finally:
        practice.close()


class _Questions:
    """Asks on stderr until every answer is one that the configuration takes."""

    def __init__(self, path: Path, journal: str, run: Run) -> None:
        self._path = path
        self._run = run
        self._draft = Draft(journal=journal)

    def ask_all(self) -> list[NewFile]:
        """The files to write, the configuration last. Raises EOFError, KeyboardInterrupt."""
        say = self._run.screen.note
        say(_("This makes {path}.").format(path=self._path))
        say(_("Enter takes what stands in brackets; Ctrl-C leaves everything as it was."))
        named = self._run.globals.profile
        self._ask(
            "name", _("A name for the profile"), "store-1" if named in (None, TRAINING) else named
        )
        kept = self._ask_profile()
        return [*kept, NewFile(self._path, self._draft.text())]

    def ask_more(self, draft: Draft) -> tuple[list[NewFile], Draft]:
        """A file for the secret, if it was typed, and the profile. Raises as above."""
        self._draft = draft
        say = self._run.screen.note
        say(_("This adds the profile {name} to {path}.").format(name=draft.name, path=self._path))
        say(_("Enter takes what stands in brackets; Ctrl-C leaves everything as it was."))
        kept = self._ask_profile()
        return kept, self._draft

    def _ask_profile(self) -> list[NewFile]:
        """All but its name."""
        say = self._run.screen.note
        self._ask("gateway", _("The gateway"), GATEWAY)
        self._ask("app_key", _("The AppKey of the open platform's console"))
        kept = self._ask_secret()
        say(_("What is the same for every payment; posctl till needs it. Enter leaves it out:"))
        for name, question in _DEFAULTS.items():
            self._ask_default(name, _(question))
        self._ask("max_fee", _("The largest amount of one payment, in fen"), "500000")
        return kept

    def _ask(self, key: str, question: str, default: str = "") -> None:
        def with_answer(answer: str) -> Draft:
            return self._draft._replace(**{key: answer})  # type: ignore[arg-type]  # all are text

        self._draft = self._until_good(question, default, with_answer)

    def _ask_default(self, name: str, question: str) -> None:
        def with_answer(answer: str) -> Draft:
            more = {name: answer} if answer else {}
            return self._draft._replace(defaults={**self._draft.defaults, **more})

        self._draft = self._until_good(question, "", with_answer)

    def _until_good(
        self, question: str, default: str, with_answer: Callable[[str], Draft]
    ) -> Draft:
        """Ask until the strict reader takes the draft with the answer in it."""
        while True:
            draft = with_answer(self._answer(question, default))
            if draft.name == TRAINING:
                self._say_wrong(_("The profile training is there already."))
                continue
            try:
                draft.profile(self._path)
            except (Bad, ConfigError) as wrong:
                self._say_wrong(wrong.message, wrong.hint)
                continue
            return draft

    # ── the secret ───────────────────────────────────────────────────────────────────────────

    def _ask_secret(self) -> list[NewFile]:
        """Where the secret is; a file for it, when it was typed."""
        while True:
            self._run.screen.note(_("The AppSecret:"))
            for number, (_kept_in, words, _question) in _WAYS.items():
                self._run.screen.note(f"  {number}  {_(words)}")
            way = self._answer(_("How is it kept"), "1")
            if way == "1":
                typed = self._type_secret()
                if typed is not None:
                    return [typed]
            elif way in _WAYS and self._name_secret(way):
                return []

    def _type_secret(self) -> NewFile | None:
        """The secret's own file; None when an older one is to stay."""
        from getpass import getpass

        path = self._path.with_name(f"{self._draft.name}.secret")
        replaces = os.path.lexists(path)
        question = _("{path} is there already. Write over it?").format(path=path)
        if replaces and not self._run.confirm(question):
            return None
        while True:
            with self._run.interrupts.allowed():
                typed = getpass(_("The AppSecret (it is not shown): ")).strip()
            try:
                Secret("secret", typed).reveal({})
            except ConfigError as error:
                self._say_wrong(error.message)
                continue
            self._run.screen.note(_("{count} characters were read.").format(count=len(typed)))
            self._draft = self._draft._replace(kept_in="secret_file", secret=path.name)
            return NewFile(path, typed + "\n", replaces)

    def _name_secret(self, way: str) -> bool:
        """Whether the place that was named is to be used; it is tried out at once."""
        kept_in, _words, question = _WAYS[way]

        def with_answer(answer: str) -> Draft:
            return self._draft._replace(kept_in=kept_in, secret=answer)

        draft = self._until_good(_(question), "", with_answer)
        try:
            draft.profile(self._path).secret.reveal(self._run.environ)
        except ConfigError as error:
            self._say_wrong(error.message, error.hint)
            if not self._run.confirm(_("Use it anyway?")):
                return False
        self._draft = draft
        return True

    # ── one question ─────────────────────────────────────────────────────────────────────────

    def _answer(self, question: str, default: str = "") -> str:
        """One line, without the spaces around it. Raises EOFError at the end of the input."""
        self._run.screen.ask(f"{question} [{default}]: " if default else f"{question}: ")
        assert self._run.stdin is not None  # noqa: S101  `can_ask` has looked
        with self._run.interrupts.allowed():
            try:
                line = self._run.stdin.readline()
            except UnicodeDecodeError:
                return "\0"  # which no question takes for an answer
        if not line:
            raise EOFError
        return line.strip() or default

    def _say_wrong(self, message: str, hint: Hint | str = ()) -> None:
        self._run.screen.note(f"× {message}")
        for line in lines_of(said(hint)):
            self._run.screen.note(f"  → {line}")
