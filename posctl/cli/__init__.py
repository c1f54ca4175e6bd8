"""The command line: typer, bent; one run; the commands."""
