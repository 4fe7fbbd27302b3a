"""Writes ``docs/benchmarks.md`` from results."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .children import ROOT
from .disturbance import QUIET
from .markdown import table
from .measure import spelled
from .peers import comparison, timing
from .plan import rows
from .rows.row import Row
from .scale import FULL

PAGE = ROOT / "docs" / "benchmarks.md"

#: Rows whose numbers are more than a list.
_TABLES: Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    "peers": comparison.tables,
    "timers": timing.tables,
}

_MACHINE = (
    ("processor", "Processor"),
    ("cores", "Cores"),
    ("memory", "Memory"),
    ("kernel", "Kernel"),
    ("python", "Python"),
    ("kafka", "Kafka"),
    ("client", "Client"),
    ("librdkafka", "librdkafka"),
    ("msgspec", "msgspec"),
    ("redis", "Redis"),
    ("kjobs", "kjobs"),
)

_HEAD = """\
# Benchmarks

What kjobs can do and what it costs, measured against the bare client on the same broker, and against other \
Python job systems on the same machine. This page is written by `python -m benchmarks report` from \
`benchmarks/results/latest.json`; do not edit it.
"""

_METHOD = """\
## How it is measured

- Everything is measured in one run on one broker, in {rounds}. A round takes every measure once, and then
  comes the next round. What is told is the median; the smallest and the largest are beside it. Ratios are
  ratios of medians.
- The worker is the real command, `kjobs worker`, with default logging, to a file.
- Executions are counted from outside: a job appends one byte to a file with one system call, and the
  harness looks at the file's size each millisecond. The clock runs from the first byte seen to the last; what
  is there at the first look is not counted.
- Broker, worker, enqueuer and harness share the machine's cores. With more cores the numbers of all of them
  change, and not by the same factor.
- There is one broker, so `acks=all` waits for one log and no network. With replicas on other machines,
  enqueueing one call at a time is slower, for kjobs and for the bare client alike.

```console
make bench                            # everything, about {minutes} minutes
make bench ARGS="--only raw,drain"    # some rows
make bench ARGS="--quick"             # does it all still work? The numbers mean nothing
python -m benchmarks report           # write this page again
```
"""


def page(results: Mapping[str, Any]) -> str:
    """The text of the page."""
    return "\n".join(part.rstrip("\n") + "\n" for part in _parts(results))


def write(results: Mapping[str, Any], path: Path = PAGE) -> None:
    """Write the page."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(page(results), encoding="utf-8")


def summary(results: Mapping[str, Any]) -> str:
    """The figures, for a terminal."""
    lines = []
    for figure in results["figures"]:
        value = spelled(figure["value"], figure["unit"])
        wanted = f"{figure['limit']} {_limit(figure, 'minimum')}, aim {_limit(figure, 'aim')}"
        lines.append(f"{figure['verdict']:>15}  {value:>16}  {figure['title']} ({wanted})")
    return "\n".join(lines)


def _parts(results: Mapping[str, Any]) -> Iterator[str]:
    yield _HEAD
    yield from _cautions(results)
    yield from _figures(results)
    for row in rows():
        yield from _row(row, results)
    count = results["rounds"]
    yield _METHOD.format(
        rounds="one round" if count == 1 else f"{count} rounds",
        minutes=5 * math.ceil(results["seconds"] / 300),
    )
    yield from _machine(results)


def _cautions(results: Mapping[str, Any]) -> Iterator[str]:
    """What a reader must know before any number."""
    if results["scale"] != "full":
        yield "**These numbers are of a quick run**, which shows that everything works and no more."
    elif results["rounds"] < FULL.rounds:
        yield (
            f"**These numbers are not of a whole run**, which has {FULL.rounds} rounds: nothing tells how "
            "far they spread."
        )
    others = results["others"]
    if others is not None and others > QUIET:
        yield (
            f"**The machine was not quiet**: other processes used {others:.0%} of its time during the run. "
            "Take the numbers as too low, and the ratios with care."
        )


def _figures(results: Mapping[str, Any]) -> Iterator[str]:
    yield "## Figures"
    yield (
        "What each change of kjobs has to keep. A figure is missed if it is below the minimum, or above it "
        "where it says at most."
    )
    yield table(
        ("Figure", "Minimum", "Aim", "Measured", "Verdict"),
        [
            (
                figure["title"],
                f"{figure['limit']} {_limit(figure, 'minimum')}",
                _limit(figure, "aim"),
                spelled(figure["value"], figure["unit"]),
                f"**{figure['verdict']}**" if figure["verdict"] == "MISSED" else figure["verdict"],
            )
            for figure in results["figures"]
        ],
    )


def _row(row: Row, results: Mapping[str, Any]) -> Iterator[str]:
    found = results["measures"]
    taken = [measure for measure in row.measures if measure.name in found]
    if not taken and row.name not in results["not_measured"]:
        return  # a run of some rows, or of before there was this one
    yield f"## {row.title}"
    yield row.about
    if row.name in results["not_measured"]:
        yield f"Not measured in this run: {results['not_measured'][row.name]}"
        return
    if tables := _TABLES.get(row.name):
        yield from tables(found)
        return
    yield table(
        ("", "Median", "Smallest", "Largest"),
        [
            (
                measure.title,
                spelled(found[measure.name]["median"], measure.unit),
                spelled(found[measure.name]["min"]),
                spelled(found[measure.name]["max"]),
            )
            for measure in taken
        ],
    )


def _machine(results: Mapping[str, Any]) -> Iterator[str]:
    yield "## The machine"
    known = results["machine"]
    lines = [(title, known[name]) for name, title in _MACHINE if name in known]
    if results["others"] is not None:
        lines.append(("Other processes", f"{results['others']:.0%} of the machine's time during the run"))
    lines.append(("Run", f"{results['began']}, {results['seconds']:,} s"))
    yield table(("", ""), lines, numbers=False)


def _limit(figure: Mapping[str, Any], which: str) -> str:
    value, unit = figure[which], figure["unit"]
    text = f"{value:,g}" if value < 1000 else f"{value:,.0f}"
    return f"{text} {unit}" if unit else text
