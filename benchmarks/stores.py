"""Where a worker keeps its index of delayed calls, and how to make it forget them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Protocol

from .bench import Bench
from .peers import redis
from .peers.redis import Redis, RedisMissingError

#: What is said where both kinds are measured.
IN_REDIS = (
    "With its index in Redis (`delay_store`) instead of files where the adapter is installed, and then once "
    "in a run, in the first round."
)


class Store(Protocol):
    """A kind of index.

    Attributes:
        name: in the names of measures.
        title: for people, where it is not the default.
    """

    name: str
    title: str

    def variables(self, bench: Bench) -> Mapping[str, str]:
        """What a worker's environment needs."""
        ...

    def forget(self, bench: Bench, group: str) -> None:
        """Lose the index of a group, none of whose workers runs."""
        ...

    def size(self, bench: Bench, group: str) -> int:
        """The bytes of a group's index, none of whose workers runs."""
        ...


class Files:
    """The default: SQLite files."""

    name = "file"
    title = ""

    def variables(self, bench: Bench) -> Mapping[str, str]:
        """Nothing."""
        return {}

    def forget(self, bench: Bench, group: str) -> None:
        """Remove the files."""
        shutil.rmtree(bench.indexes / group, ignore_errors=True)

    def size(self, bench: Bench, group: str) -> int:
        """The bytes of the files."""
        found = (path for path in (bench.indexes / group).rglob("*") if path.is_file())
        return sum(path.stat().st_size for path in found)


class InRedis:
    """A Redis of this run's own, for all groups."""

    name = "redis"
    title = ", index in Redis"

    def __init__(self) -> None:
        self._server: Redis | None = None

    @staticmethod
    def installed() -> bool:
        """Whether there is an adapter for it, and a server."""
        try:
            (found,) = entry_points(group="kjobs.delay_stores", name="redis")
            found.load()
            redis.find()
        except (ValueError, ImportError, RedisMissingError):
            return False
        return True

    def variables(self, bench: Bench) -> Mapping[str, str]:
        """Its address."""
        return {"KJOBS_DELAY_STORE": self._running(bench).url}

    def forget(self, bench: Bench, group: str) -> None:
        """Clear it, of all groups."""
        self._running(bench).clear()

    def size(self, bench: Bench, group: str) -> int:
        """The memory that Redis has given out, for all groups."""
        return self._running(bench).memory()

    def _running(self, bench: Bench) -> Redis:
        if self._server is None:
            _, self._server = redis.start(bench)
        return self._server


class Stores:
    """The kinds that a run measures. The one in Redis is measured in the first round only: it takes long."""

    #: Every kind, whether it can be measured here or not: for the names of measures.
    KINDS: Sequence[type[Files | InRedis]] = (Files, InRedis)

    def __init__(self) -> None:
        self._files, self._redis = Files(), InRedis()

    def of_round(self, *, first: bool) -> Sequence[Store]:
        """Those of a round."""
        if first and self._redis.installed():
            return self._files, self._redis
        return (self._files,)
