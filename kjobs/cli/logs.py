"""Log lines of commands: one format, to standard error."""

from __future__ import annotations

import logging


def set_up(*, verbose: bool = False, process: int | None = None) -> None:
    """Send log lines to standard error, unless the program has set up logging already.

    Args:
        verbose: show every call's start and end.
        process: the number of this process, if a supervisor has several.
    """
    which = "" if process is None else f"[{process}] "
    logging.basicConfig(format=f"%(asctime)s %(levelname)-7s {which}%(message)s", level=logging.INFO)
    logging.getLogger("kjobs").setLevel(logging.DEBUG if verbose else logging.INFO)
    # The client's own lines are about connections; kjobs says what matters of them.
    logging.getLogger("kjobs.kafka").setLevel(logging.DEBUG if verbose else logging.WARNING)
