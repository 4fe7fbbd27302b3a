"""Writes ``docs/benchmarks.md`` from results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .children import ROOT
from .measure import spelled
from .peers.system import SYSTEMS
from .plan import rows
from .rows.row import Row

PAGE = ROOT / "docs" / "benchmarks.md"

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
make bench                            # everything, about 15 minutes
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
    if results["scale"] != "full":
        yield (
            "**These numbers are of a quick run**, which only shows that everything works. They say nothing "
            "about speed."
        )
    yield from _figures(results)
    for row in rows():
        yield from _row(row, results)
    count = results["rounds"]
    yield _METHOD.format(rounds="one round" if count == 1 else f"{count} rounds")
    yield from _machine(results)


def _figures(results: Mapping[str, Any]) -> Iterator[str]:
    yield "## Figures"
    yield (
        "What each change of kjobs has to keep. A figure is missed if it is below the minimum, or above it "
        "where "
        "it says at most."
    )
    yield _table(
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
    yield f"## {row.title}"
    yield row.about
    if row.name in results["not_measured"]:
        yield f"Not measured in this run: {results['not_measured'][row.name]}"
        return
    found = results["measures"]
    taken = [measure for measure in row.measures if measure.name in found]
    if row.name == "peers":
        yield from _peers(found)
        return
    yield _table(
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


def _peers(found: Mapping[str, Any]) -> Iterator[str]:
    """All systems side by side, kjobs first."""

    def cell(name: str, unit: str) -> str:
        if name not in found:
            return ""
        seen = found[name]
        return f"{spelled(seen['median'], unit)} ({spelled(seen['min'])}–{spelled(seen['max'])})"

    kjobs = ("drain.keyed.8", "pauses.10ms.threads.64", "latency.kjobs.p50", "latency.kjobs.p99")
    lines = [("kjobs", *(cell(name, unit) for name, unit in zip(kjobs, _PEER_UNITS, strict=True)))]
    for system in SYSTEMS:
        names = (f"peers.{system.name}.{what}" for what in ("noop", "pause", "p50", "p99"))
        lines.append(
            (system.title, *(cell(name, unit) for name, unit in zip(names, _PEER_UNITS, strict=True)))
        )
    yield _table(
        ("", "No-op jobs", "10 ms jobs, 64 threads", "Latency p50", "Latency p99"),
        lines,
    )
    yield (
        "In brackets the smallest and the largest. kjobs runs in one process, with 8 slots for the no-op "
        "jobs "
        "(keyed), on a broker that writes to disk."
    )
    yield "What the others were set to, and what they do not do:"
    yield _table(
        ("", "Set up", "Does not"),
        [
            (
                "kjobs",
                "defaults; 64 threads for the 10 ms jobs",
                "order across keys; exactly-once side effects",
            ),
            *((system.title, system.configuration, system.lacks) for system in SYSTEMS),
        ],
    )
    yield (
        "With all three, what is enqueued is in the memory of one Redis. Here it writes nothing to disk; "
        "with an "
        "append-only file, flushed each second, a crash loses up to a second of acknowledged calls, and "
        "every "
        "number above is smaller."
    )


_PEER_UNITS = ("/s", "/s", "ms", "ms")


def _machine(results: Mapping[str, Any]) -> Iterator[str]:
    yield "## The machine"
    known = results["machine"]
    lines = [(title, known[name]) for name, title in _MACHINE if name in known]
    if results["others"] is not None:
        lines.append(("Other processes", f"{results['others']:.0%} of the machine's time during the run"))
    lines.append(("Run", f"{results['began']}, {results['seconds']:,} s"))
    yield _table(("", ""), lines)


def _limit(figure: Mapping[str, Any], which: str) -> str:
    value, unit = figure[which], figure["unit"]
    text = f"{value:,g}" if value < 1000 else f"{value:,.0f}"
    return f"{text} {unit}" if unit else text


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---" if number == 0 else "---:" for number in range(len(head))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *lines))
