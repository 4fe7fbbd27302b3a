"""A real ``kjobs`` command that writes down what it tells: ``python -m tests.kafka.worker_process``."""

from __future__ import annotations

from kjobs.cli import main
from tests.kafka.witness import witness

if __name__ == "__main__":
    witness().watch()
    main()
