"""All job systems side by side: what they did, and what they promise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.markdown import table
from benchmarks.measure import spelled

from .system import SYSTEMS

_UNITS = ("/s", "/s", "ms", "ms")
_KJOBS_MEASURES = ("drain.keyed.8", "pauses.10ms.threads.64", "latency.kjobs.p50", "latency.kjobs.p99")
_KJOBS_PROMISES = (
    "kjobs",
    "acknowledged by the brokers' logs; what a killed worker had runs again after the session timeout, 10 s",
    "as enqueued, one at a time, also over retries and crashes",
    "retried by default, with backoff; dead letters for 30 days, in Kafka",
    "defaults; 64 threads for the 10 ms jobs",
)


def tables(found: Mapping[str, Any]) -> Iterator[str]:
    """Parts of the page.

    Args:
        found: the results' measures.
    """
    lines = [_line(found, "kjobs", _KJOBS_MEASURES)]
    for system in SYSTEMS:
        names = tuple(f"peers.{system.name}.{what}" for what in ("noop", "pause", "p50", "p99"))
        lines.append(_line(found, system.title, names))
    yield table(("", "No-op jobs", "10 ms jobs, 64 threads", "Latency p50", "Latency p99"), lines)
    yield (
        "In brackets the smallest and the largest. kjobs runs in one process, with 8 slots for the no-op "
        "jobs (keyed), on a broker that writes to disk."
    )
    yield "They promise different things:"
    yield table(
        ("", "When something dies", "Order of one key", "When a call fails", "Set up"),
        [
            _KJOBS_PROMISES,
            *(
                (system.title, system.durability, system.order, system.retries, system.configuration)
                for system in SYSTEMS
            ),
        ],
        numbers=False,
    )
    yield (
        "Redis writes nothing to disk here, which is its fastest setting: when it ends, all calls are lost. "
        "With an append-only file that is flushed each second, those of the last second are."
    )


def _line(found: Mapping[str, Any], title: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return (title, *(_cell(found, name, unit) for name, unit in zip(names, _UNITS, strict=True)))


def _cell(found: Mapping[str, Any], name: str, unit: str) -> str:
    if name not in found:
        return ""
    seen = found[name]
    return f"{spelled(seen['median'], unit)} ({spelled(seen['min'])}–{spelled(seen['max'])})"
