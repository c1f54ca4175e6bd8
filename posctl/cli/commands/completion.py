"""`posctl completion SHELL`: what makes a shell complete posctl's command lines."""

from typing import Annotated, NamedTuple

import typer

from posctl.cli.framework import Command, new_app
from posctl.cli.run import Run
from posctl.errors import UsageError
from posctl.messages import _
from posctl.money.outcome import Exit
from posctl.screen.contract import envelope
from posctl.screen.screen import View
from posctl.text import one_line

app = new_app()


class CompletionOptions(NamedTuple):
    """A shell; or "words" and those of a command line up to the one that is being typed, "next"
    when none of that one is there yet.
    """

    shell: str | None
    words: tuple[str, ...]


_BASH = r"""# Completion of posctl for bash: source <(posctl completion bash)
_posctl() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ $line == :files ]]; then
            compopt -o default 2>/dev/null
            return
        fi
        COMPREPLY+=("${line%%$'\t'*}")
    done < <("${1/#\~/$HOME}" completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" \
        2>/dev/null </dev/null)
}
complete -F _posctl posctl
"""

_ZSH = r"""#compdef posctl
# Completion of posctl for zsh: source <(posctl completion zsh), behind compinit;
# or as a file _posctl in a folder of $fpath.
_posctl() {
    local line word
    local -a described
    while IFS= read -r line; do
        if [[ $line == :files ]]; then
            _files
            return
        fi
        word=${${line%%$'\t'*}//:/\\:}
        [[ $line == *$'\t'* ]] && word+=:${line#*$'\t'}
        described+=("$word")
    done < <("${words[1]/#\~/$HOME}" completion words -- "${(@)words[2,CURRENT]}" \
        2>/dev/null </dev/null)
    _describe -V posctl described
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _posctl "$@"
else
    compdef _posctl posctl
fi
"""

_FISH = r"""# Completion of posctl for fish: posctl completion fish | source
function __posctl_complete
    set -l words (commandline -opc)
    set -l command (string replace -r '^~' $HOME -- $words[1])
    set -l current (commandline -ct)
    set -l lines ($command completion words -- $words[2..-1] "$current" 2>/dev/null </dev/null)
    if test "$lines[1]" = :files
        __fish_complete_path "$current"
    else if set -q lines[1]
        printf '%s\n' $lines
    end
end
complete -c posctl -f -k -a '(__posctl_complete)'
"""

# `next` stands for a word that is not begun: Windows PowerShell passes no empty argument on.
# A completer that returns nothing gets names of files, one that returns "" gets nothing.
_POWERSHELL = r"""# Completion of posctl for PowerShell, as a line of $PROFILE:
# posctl completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName posctl -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $last = Get-Variable LASTEXITCODE -Scope Global -ValueOnly -ErrorAction Ignore
    $kind = 'next'
    $words = @(foreach ($element in $commandAst.CommandElements | Select-Object -Skip 1) {
        $extent = $element.Extent
        if ($extent.StartOffset -ge $cursorPosition) { break }
        if ($extent.EndOffset -ge $cursorPosition) {
            $kind = 'words'
            $extent.Text.Substring(0, $cursorPosition - $extent.StartOffset).TrimStart("'", '"')
        } else {
            $extent.Text.Trim("'", '"')
        }
    })
    $command = $commandAst.GetCommandName()
    try {
        $lines = @(& $command completion $kind '--' $words 2>$null)
    } catch {
        $lines = @()
    }
    $global:LASTEXITCODE = $last
    if ($lines.Count -eq 0) { return '' }
    if ($lines[0] -eq ':files') { return }
    foreach ($line in $lines) {
        $word, $about = $line -split "`t", 2
        if (-not $about) { $about = $word }
        [System.Management.Automation.CompletionResult]::new($word, $word, 'ParameterValue', $about)
    }
}
"""

_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH, "powershell": _POWERSHELL}


@app.command(
    cls=Command,
    help=_(
        "Print what makes a shell complete commands, options, profiles and open request ids. To "
        "have it always, put the line for your shell into ~/.bashrc, behind compinit in ~/.zshrc, "
        "into ~/.config/fish/config.fish, or into the file that $PROFILE names in PowerShell."
    ),
    epilog="source <(posctl completion bash)\nsource <(posctl completion zsh)\n"
    "posctl completion fish | source\n"
    "posctl completion powershell | Out-String | Invoke-Expression",
)
def completion(
    ctx: typer.Context,
    shell: Annotated[
        str | None,
        typer.Argument(metavar="bash|zsh|fish|powershell", hidden=True, show_default=False),
    ] = None,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="", hidden=True, show_default=False)
    ] = None,
) -> int:
    options = CompletionOptions(shell=shell, words=tuple(words or ()))
    return completion_run(options, ctx, ctx.obj)


def completion_run(options: CompletionOptions, ctx: typer.Context, run: Run) -> Exit:
    """The whole behaviour of `completion`. The framework alone knows all commands and options:
    they are read from `ctx`.
    """
    words = list(options.words)
    if options.shell in ("words", "next"):  # what the scripts ask for at each Tab
        is_next = options.shell == "next" or not words
        _print_candidates([*words, ""] if is_next else words, ctx, run)
        return Exit.OK
    if options.shell not in _SCRIPTS or words:
        raise UsageError("which_shell", _("Name one shell: bash, zsh, fish or powershell."))
    script = _SCRIPTS[options.shell]
    if run.screen.json or run.screen.field is not None:
        data = envelope("completion", Exit.OK, script=script)
        run.screen.show(View(data, lambda _canvas: None))
    else:
        run.screen.line(script.rstrip("\n"))
    return Exit.OK


def _print_candidates(words: list[str], ctx: typer.Context, run: Run) -> None:
    """One a line, with what it is behind a tab. Silent about whatever is wrong."""
    from posctl.cli.complete import complete

    try:
        found = complete(words, ctx.find_root().command, ctx, run.environ)
    except Exception:  # noqa: BLE001  a half-typed line is no place for an error
        return
    lines = [f"{one.word}\t{one_line(one.about)}" if one.about else one.word for one in found]
    if lines:
        run.screen.line("\n".join(lines))
