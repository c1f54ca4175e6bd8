"""Look for bytes that one of the four parsers cannot take, guided by coverage.

    pip install atheris
    python tests/fuzz/fuzz.py config|request_file|answer|typed [libFuzzer options] [corpus folders]

libFuzzer's own options do the rest, such as `-max_total_time=900` and `-artifact_prefix=`. The
corpus beside this file is where it begins unless folders are named; what crashes it lies in
`crash-…` files. `test_fuzz_corpus.py` replays the corpus without atheris.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Fuzz the parser that is named first until libFuzzer says stop."""
    sys.path.insert(0, str(HERE.parent))
    atheris = importlib.import_module("atheris")  # it ships no types, and no test needs it
    with atheris.instrument_imports(include=["posctl", "json", "xml", "shlex", "fuzz"]):
        targets = importlib.import_module("fuzz.targets")
    name, *options = sys.argv[1:]
    if not any(not option.startswith("-") for option in options):
        options.append(str(HERE / "corpus" / name))
    words = f"-dict={HERE / 'words.dict'}"
    atheris.Setup(
        [sys.argv[0], "-timeout=10", "-max_len=4096", words, *options], targets.TARGETS[name]
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
