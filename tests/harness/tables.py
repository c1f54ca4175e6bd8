"""Tables in the docs that a script writes: the mark before, the table, the mark behind."""

from __future__ import annotations


def with_table(page: str, begin: str, table: str, end: str) -> str:
    """`page` with `table` between the marks `begin` and `end`."""
    before, _begin, rest = page.partition(begin)
    return before + begin + "\n" + table + "\n" + end + rest.partition(end)[2]
