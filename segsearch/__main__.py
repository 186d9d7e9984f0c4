"""The `segsearch` command, and `python -m segsearch`."""

from __future__ import annotations

import signal
import sys
import warnings

from segsearch.core.errors import InputError
from segsearch.core.heap import collect_less_often
from segsearch.core.install import needs_extra

# Their warnings about single files are said in our own words. Set here, for a process that is ours:
# a library that changes the filters does so for whoever uses it, and in other threads, too.
OUTSPOKEN = ("PIL", "pillow_heif", r"torch\.serialization")


def main() -> None:
    """Run the command line, or say in one sentence what it needs to run.

    Ctrl-C while its parts load ends it as it ends other programs, without a traceback.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    collect_less_often()
    for module in OUTSPOKEN:
        warnings.filterwarnings("ignore", module=module)
    try:
        with needs_extra():
            from segsearch.cli.app import main as run

            signal.signal(signal.SIGINT, handler)
            run()
    except InputError as problem:
        sys.stderr.write(f"segsearch: {problem}\n")
        sys.exit(problem.exit_code)


if __name__ == "__main__":
    main()
