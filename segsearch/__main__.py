"""The `segsearch` command, and `python -m segsearch`."""

from __future__ import annotations

import signal


def main() -> None:
    """The command line. Stopped while its parts still load, it ends as other programs do."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # it would tell of every import under way
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from segsearch.cli.app import main as run

    signal.signal(signal.SIGINT, handler)
    run()


if __name__ == "__main__":
    main()
