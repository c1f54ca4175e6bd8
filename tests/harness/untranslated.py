"""The sentences of the catalogue that are not translated yet, one a line; 1 when there are any."""

from __future__ import annotations

import sys
from pathlib import Path

from babel.messages.pofile import read_po

CATALOGUE = Path(__file__).parents[2] / "posctl/locale/zh/LC_MESSAGES/posctl.po"


def main() -> int:
    """Print them. Exit code 1 lets `nox -s words` say that it is not done."""
    with CATALOGUE.open("rb") as opened:
        left = [one.id for one in read_po(opened) if one.id and not one.string]
    sys.stdout.writelines(f"not translated: {one}\n" for one in left)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
