"""How a command of posctl's takes its options from typer, and how its help is laid out.

Modules with typer functions have no `from __future__ import annotations`: typer would evaluate
every annotation from its text, several times at each start (3 ms for `pay`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from posctl.messages import N_, _
from posctl.text import breaks

HEADINGS = (N_("Options"), N_("Commands"))  # typer's own; it translates nothing


class NoArguments(typer.BadParameter):
    """A group was named alone; the message is its help."""


class GivenTwice(typer.BadParameter):
    """An option that takes one value stands twice on the command line."""

    def __init__(self, option: str, ctx: Any) -> None:
        super().__init__(option, ctx)
        self.option = option


class NeedsValue(GivenTwice):
    """An option stands where another's value should."""


class UnknownCommand(typer.BadParameter):
    """A group has no command of this name. `names` are those it has, `path` is its own."""

    def __init__(self, word: str, names: list[str], ctx: Any) -> None:
        super().__init__(word, ctx)
        self.word = word
        self.names = names
        self.path: str = ctx.command_path


def new_app(**how: Any) -> typer.Typer:
    """A typer app as all of posctl's are: no completion options, no markup in help texts."""
    return typer.Typer(
        add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, **how
    )


_TyperFormatter: Any = typer.Context.formatter_class


_WIDEST = 80  # what is longer is hard to read
_NARROWEST = 32  # typer stops at 50, and counts a Chinese character as one column
_BESIDE = 20  # less room than this beside the names, and what they mean stands below them


def _cells(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    from unicodedata import east_asian_width

    return sum(2 if east_asian_width(one) in "WF" else 1 for one in text)


class _Formatter(_TyperFormatter):  # type: ignore[misc]  # typer names the class by this only
    """Speaks the user's language, as wide as the terminal is, and marks what is required by having
    no brackets.
    """

    def __init__(self, **how: Any) -> None:
        from shutil import get_terminal_size

        columns = min(get_terminal_size().columns, _WIDEST) - 2
        super().__init__(**how | {"width": max(columns, _NARROWEST)})

    def write_text(self, text: str) -> None:
        for line in self._lines(text, 0):
            self.write(f"{'':{self.current_indent}}{line}\n")

    def write_dl(
        self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        column = min(max(_cells(name) for name, _text in rows), col_max) + col_spacing
        if self.width - self.current_indent - column < _BESIDE:
            column = 2
        margin = " " * self.current_indent
        for name, text in rows:
            first, *others = self._lines(text, column) or [""]
            beside = column - _cells(name)
            if beside >= col_spacing or not first:
                self.write(f"{margin}{name}{'':{beside}}{first}".rstrip() + "\n")
            else:
                self.write(f"{margin}{name}\n")
                others.insert(0, first)
            for line in others:
                self.write(f"{margin}{'':{column}}{line}\n")

    def _lines(self, text: str, column: int) -> list[str]:
        """`text` in lines that have room behind `column` of what is indented."""
        text = " ".join(text.split())
        cuts = breaks(text, self.width - self.current_indent - column, _cells)
        ends = pairwise((0, *cuts, len(text)))
        return [text[start:end].rstrip() for start, end in ends]

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        args = args.replace("{", "").replace("}", "")
        super().write_usage(prog, args, prefix or _("Usage: "))

    def write_heading(self, heading: str) -> None:
        super().write_heading(_(heading))


class _Context(typer.Context):
    formatter_class = _Formatter


def help_of(ctx: Any, words: Sequence[str]) -> str:
    """The help of the command that `words` name under the root. Raises UnknownCommand."""
    here = ctx.find_root()
    for word in words:
        names = here.command.list_commands(here) if hasattr(here.command, "commands") else []
        if word not in names:
            raise UnknownCommand(word, names, here)
        here = _Context(here.command.get_command(here, word), info_name=word, parent=here)
    return str(here.get_help())


def _show_help(ctx: Any, _option: Any, wanted: bool) -> None:  # noqa: FBT001  typer's signature
    """Like typer's own, but a full disk is no error of posctl's."""
    if wanted and not ctx.resilient_parsing:
        ctx.obj.screen.line(ctx.get_help())
        ctx.exit()


class _Help:
    """The help as posctl lays it out: the examples, whole and before the options.

    The epilog holds them, one a line.
    """

    epilog: str | None
    take_globals: Callable[..., None] | None = None
    """Gets `ctx.obj` and the options that stand on both sides of a command's name."""

    def invoke(self, ctx: Any) -> Any:
        if self.take_globals is not None:
            self.take_globals(ctx.obj, ctx.params, ctx.command_path.split()[1])
        return super().invoke(ctx)  # type: ignore[misc]  # the class beside this one

    def format_options(self, ctx: Any, formatter: Any) -> None:
        if self.epilog:  # however narrow the terminal: they are there to be copied
            formatter.write("\n" + _("Examples") + ":\n")
            for line in self.epilog.splitlines():
                formatter.write(f"  {line}\n")
        super().format_options(ctx, formatter)  # type: ignore[misc]  # as above

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Nothing: the examples came first."""

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)  # type: ignore[misc]  # as above
        if option is not None:
            option.help = _("Show this help.")
            option.callback = _show_help
        return option


class Command(_Help, TyperCommand):
    """A command that takes each option once: the last of two `--fee` must not win silently."""

    context_class = _Context

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        self._refuse_swallowed(ctx, args)
        parser = self.make_parser(ctx)
        try:
            _values, _rest, order = parser.parse_args(args=list(args))
        except typer.TyperException as error:
            if getattr(error, "ctx", None) is None:  # whose help to read
                vars(error)["ctx"] = ctx
            raise
        for param, times in Counter(order).items():
            if times > 1 and param.nargs == 1 and not getattr(param, "multiple", False):
                raise GivenTwice(param.opts[0], ctx)
        return super().parse_args(ctx, args)

    def _refuse_swallowed(self, ctx: Any, args: list[str]) -> None:
        """`--checkout --another` has no checkout: an option never is another one's value."""
        params = self.get_params(ctx)
        known = {opt for param in params for opt in param.opts}
        taking = {o for p in params if not getattr(p, "is_flag", True) for o in p.opts}
        for option, value in pairwise(args):
            if option == "--":
                return
            if option in taking and value in known:
                raise NeedsValue(option, ctx)


class Group(_Help, TyperGroup):
    """A command with commands of its own."""

    context_class = _Context

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args and self.no_args_is_help and not ctx.resilient_parsing:
            raise NoArguments(ctx.get_help(), ctx)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        names = self.list_commands(ctx)
        if args[0] not in names:
            raise UnknownCommand(args[0], names, ctx)
        return super().resolve_command(ctx, args)

    def summaries(self) -> dict[str, str]:
        """Its commands, and what each does in a few words."""
        return {name: inner.get_short_help_str(limit=100) for name, inner in self.commands.items()}
