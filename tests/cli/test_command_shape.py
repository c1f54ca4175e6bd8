"""All commands are made in one shape, so that whoever knows one knows the others."""

import ast
from pathlib import Path

import pytest

import posctl.cli.commands

FOLDER = Path(posctl.cli.commands.__file__).parent
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def tree_of(module: str) -> ast.Module:
    return ast.parse((FOLDER / f"{module}.py").read_text())


def commands_of(tree: ast.Module) -> list[ast.FunctionDef]:
    """The functions that typer calls."""
    return [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any(
            isinstance(one, ast.Call) and ast.unparse(one.func) == "app.command"
            for one in node.decorator_list
        )
    ]


@pytest.mark.parametrize("module", MODULES)
def test_a_command_hands_its_options_to_the_function_that_is_its_behaviour(module: str) -> None:
    """What typer calls ends in `return NAME_run(…)`, which can be called without it."""
    commands = commands_of(tree_of(module))
    assert commands
    for command in commands:
        last = command.body[-1]
        assert isinstance(last, ast.Return), command.name
        assert isinstance(last.value, ast.Call), command.name
        assert ast.unparse(last.value.func) in (
            f"{command.name.rstrip('_')}_run",  # `list_` is no builtin
            f"{command.name}_{module}",  # shared with another command, so it stands beside them
        )


@pytest.mark.parametrize("module", MODULES)
def test_options_are_given_by_name(module: str) -> None:
    """Options of two commands that have changed places would be a payment of something else."""
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Options"):
            assert not node.args, ast.unparse(node)
