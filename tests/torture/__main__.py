"""``python -m tests.torture``: torture kjobs, and tell what was found."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
from pathlib import Path

from tests.torture.run import run
from tests.torture.stage import Terms


def main() -> int:
    """Run as the arguments say; 0 if nothing was found, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--seed", type=int, help="draws the plan; a new one if not given")
    parser.add_argument("--seconds", type=float, help="how long it runs")
    parser.add_argument("--hours", type=float, help="the same, in hours")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="brokers")
    parser.add_argument("--protocol", choices=("classic", "consumer"), default="classic")
    parser.add_argument("--out", type=Path, help="where the plan, the verdict and the history go")
    parser.add_argument("--keep", action="store_true", help="keep the history of a good run, too")
    parser.add_argument("--json", action="store_true", help="the verdict as JSON")
    given = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    seconds = given.seconds or (given.hours or 0.05) * 3600
    root = given.out or Path(tempfile.mkdtemp(prefix=f"kjobs-torture-{seed}-"))
    began = time.monotonic()

    def told(line: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {line}", file=sys.stderr, flush=True)

    told(f"seed {seed}, in {root}")
    verdict = run(
        Terms(seed=seed, nodes=given.nodes, protocol=given.protocol),
        "x",
        seconds,
        root,
        told,
        keep=given.keep,
    )
    print(verdict.as_json() if given.json else verdict.table())
    for words in verdict.told[:10]:
        print(words[:3000], file=sys.stderr)
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main())
