"""What the numbers were measured on."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

import confluent_kafka

import kjobs
from tests.servers.distribution import KAFKA_VERSION


def describe(*, own_broker: bool) -> dict[str, str]:
    """The machine and the versions, each as a word for people.

    Args:
        own_broker: the broker is one that this run started, so its version is known.
    """
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{_memory_gib():.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "kafka": f"{KAFKA_VERSION}, one broker on the same machine"
        if own_broker
        else "one that was running already (KJOBS_TEST_KAFKA)",
        "client": f"confluent-kafka {confluent_kafka.__version__}",
        "librdkafka": str(confluent_kafka.libversion()[0]),
        "msgspec": version("msgspec"),
        "kjobs": kjobs.__version__,
    }


def _processor() -> str:
    name = _found(Path("/proc/cpuinfo"), r"model name\s*:\s*(.+)")
    return name or platform.processor() or platform.machine()


def _memory_gib() -> float:
    return float(_found(Path("/proc/meminfo"), r"MemTotal:\s*(\d+) kB") or 0) / 2**20


def _found(path: Path, pattern: str) -> str:
    match = re.search(pattern, path.read_text()) if path.exists() else None
    return match[1].strip() if match else ""
