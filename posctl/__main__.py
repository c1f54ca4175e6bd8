"""`posctl` and `python -m posctl`: the way in, and the quick way out."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Run the command line and leave with its exit code.

    While the modules load the collector would only walk what lives until the end; afterwards it
    runs, and never looks at them: a shift, a batch or a sweep is long. The interpreter's shutdown
    is a fifth of a run: every file is closed and every stream flushed by then, so leave at once.
    """
    gc.disable()
    try:
        from posctl.startup import light_imports

        with light_imports():
            from posctl.cli.app import run

        gc.freeze()
        gc.enable()
        code = run(sys.argv[1:], os.environ, sys.stdin, sys.stdout, sys.stderr)
    except KeyboardInterrupt:  # before it began, or while it was being told of the first one
        code = 130
    os._exit(code)


if __name__ == "__main__":
    main()
