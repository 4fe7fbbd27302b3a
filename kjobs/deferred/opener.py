"""Where the indexes of the deferred store are: how a worker gets one for a partition it was assigned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from ..config import Settings
from ..core.events import Place
from ..core.ports import DeferredStore
from ..errors import ConfigError


@dataclass(frozen=True, slots=True)
class LogState:
    """The log of one partition as it is when a worker takes over.

    Attributes:
        place: the partition of the queue.
        cluster_id: Kafka's id of the cluster.
        log_id: Kafka's id of the log's topic; "" where it is unknown.
        queue_id: that of the queue's topic, which ranks are about.
        low: the first offset the log still has.
        high: one past its last offset.
        epoch: of the assignment.
        now_ms: the present (ms since the epoch).
    """

    place: Place
    cluster_id: str
    log_id: str
    queue_id: str
    low: int
    high: int
    epoch: int
    now_ms: int


class Opener(Protocol):
    """Gives a worker the store of a partition; what cannot be trusted any more is made anew, empty."""

    def check(self) -> None:
        """See that stores can be kept here, when the worker starts.

        Raises:
            ConfigError: they cannot.
        """
        ...

    def open(self, state: LogState) -> DeferredStore:
        """The store of a partition.

        Raises:
            Exception: it cannot be opened now; the worker will try again.
        """
        ...

    def renew(self, state: LogState) -> DeferredStore:
        """An empty store for a partition, in place of one that failed."""
        ...

    def describe(self) -> str:
        """Where they are, for people."""
        ...


#: What an adapter registers under ``[project.entry-points."kjobs.delay_stores"]``, by the scheme of its URL.
Maker = Callable[[str, Settings], Opener]


def opener(settings: Settings) -> Opener:
    """What the settings ask for.

    Raises:
        ConfigError: ``delay_store`` names nothing that is installed.
    """
    if settings.delay_store is None:
        from .files import Files

        return Files(settings)
    from importlib.metadata import entry_points

    scheme = urlsplit(settings.delay_store).scheme
    makers = entry_points(group="kjobs.delay_stores")
    for found in makers:
        if found.name == scheme:
            try:
                maker: Maker = found.load()
            except ImportError as error:
                raise ConfigError(
                    f"delay_store={scheme}://…: its adapter cannot be imported: {error}. Install "
                    "kjobs[redis]."
                ) from None
            return maker(settings.delay_store, settings)
    known = ", ".join(sorted({f"{found.name}://" for found in makers})) or "none"
    raise ConfigError(
        f"delay_store={scheme}://…: there is no store for this scheme; installed are: {known}. Leave "
        "delay_store out to keep the deferred store in Kafka, with an index in state_dir."
    )
