"""docs/counter.md says what a shift takes today, and where the shop's words stand."""

from __future__ import annotations

import keys
import pytest
import shop_words


def test_every_sentence_of_the_shop_stands_somewhere() -> None:
    """What retail people call things is said, each of it, and the page lists it."""
    assert "**nowhere**" not in shop_words.table()
    page = shop_words.PAGE.read_text()
    assert [row for row in shop_words.WORDS if "| {} | {} |".format(*row) not in page] == []


def test_no_word_of_accountants_is_left() -> None:
    """What no cashier says stands in no Chinese sentence."""
    left = [text for text in shop_words.said() for word in shop_words.GONE if word in text]
    assert left == []


@pytest.mark.long
def test_the_keys_of_each_scene_are_those_of_the_page() -> None:
    """Played again, each scene takes the keys that the page says."""
    page = keys.PAGE.read_text()
    assert keys.written(page, keys.played([one.now for one in keys.SCENES])) == page
