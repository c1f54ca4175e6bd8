"""The pages of the first day are what a cashier sees today."""

from __future__ import annotations

from pathlib import Path

from first_day import first_day

DOCS = Path(__file__).parents[2] / "docs"


def test_the_english_page_is_what_the_screens_say() -> None:
    """Recorded again, the first day is word for word the English page."""
    assert first_day("en") == (DOCS / "first-day.md").read_text()


def test_the_chinese_page_is_what_the_screens_say() -> None:
    """Recorded again, the first day is word for word the Chinese page."""
    assert first_day("zh") == (DOCS / "first-day.zh.md").read_text()
