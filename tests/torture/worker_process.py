"""A real ``kjobs`` command under torture: ``python -m tests.torture.worker_process worker …``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.torture.lifeline import tie
from tests.torture.sabotage import sabotage

if __name__ == "__main__":
    sabotage()
    tie(Path(os.environ["KJOBS_TEST_DESK"]))
    # A supervisor has nothing to tell; with one process there is none.
    if {"--seat", "--cell"} & set(sys.argv) or os.environ.get("KJOBS_PROCESSES") == "1":
        from tests.torture.testimony import testify

        testify()
    from kjobs.cli import main

    main()
