"""``python -m benchmarks``: measure, or write the page."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from tests.servers.failure import NoServerError

from . import readme, report
from .children import ROOT
from .plan import rows
from .results import LATEST, read
from .rows.row import Row
from .run import run
from .scale import FULL, QUICK

#: Where the results of runs go that are not for the documentation: of some rows, quick, or with failures.
_ASIDE = ROOT / ".cache" / "benchmarks.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    options = _parser().parse_args(arguments)
    if options.action == "report":
        _write_pages(options.json or LATEST)
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    chosen = _chosen(options.only)
    scale = QUICK if options.quick else FULL
    if options.rounds:
        scale = replace(scale, rounds=options.rounds)
    try:
        text, failed = run(chosen, scale, "quick" if options.quick else "full")
    except NoServerError as failure:
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; everything that was started has ended, and nothing was written", file=sys.stderr)
        return 130
    whole = not (options.quick or options.only or failed)
    path: Path = options.json or (LATEST if whole else _ASIDE)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(report.summary(read(path)))
    print(f"\nwrote {path}")
    if path == LATEST:
        _write_pages(LATEST)
    return 1 if failed else 0


def _write_pages(path: Path) -> None:
    for page in (report, readme):
        page.write(read(path))
        print(f"wrote {page.PAGE.relative_to(ROOT)}")


def _parser() -> argparse.ArgumentParser:
    names = [row.name for row in rows()]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure kjobs, or write docs/benchmarks.md."
    )
    parser.add_argument(
        "action", nargs="?", choices=("run", "report"), default="run", help="report: only write the page"
    )
    parser.add_argument("--quick", action="store_true", help="small counts, one round: does everything work?")
    parser.add_argument(
        "--only", action="append", default=[], metavar="ROW", help=f"some rows: {', '.join(names)}"
    )
    parser.add_argument("--rounds", type=_rounds, metavar="N", help=f"rounds (default {FULL.rounds})")
    parser.add_argument("--json", type=Path, metavar="PATH", help="where the results go, or come from")
    return parser


def _rounds(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number of at least 1")
    return int(text)


def _chosen(only: Sequence[str]) -> list[Row]:
    known = rows()
    if not only:
        return known
    wanted = [name for text in only for name in text.split(",")]
    unknown = set(wanted) - {row.name for row in known}
    if unknown:
        raise SystemExit(
            f"no such row: {', '.join(sorted(unknown))}; rows: {', '.join(row.name for row in known)}"
        )
    return [row for row in known if row.name in wanted]


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
