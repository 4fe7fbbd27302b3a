"""All histories again, a file per partition of a queue: a part of them fits into memory, the whole would not.

What is of no partition, such as the end of a process, is of all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import msgspec

from tests.proof import history as h

_EVERYWHERE = "everywhere"
#: What shows that the group counts a process as a member is written down a second time.
_HEARD = "heard"
_BUFFER = 1 << 18


class _Line(msgspec.Struct):
    """As much of an event as tells where it belongs."""

    ev: str
    place: h.Place | None = None


class Shards:
    """The files.

    Args:
        folder: where they are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, IO[bytes]] = {}
        self._decode = msgspec.json.Decoder(_Line).decode
        self._encode = msgspec.json.Encoder().encode

    def split(self, paths: Iterable[Path]) -> None:
        """Take in files of events; a last line without an end is what a dying process left."""
        for path in paths:
            with path.open("rb", _BUFFER) as file:
                for line in file:
                    if not line.endswith(b"\n"):
                        continue
                    event = self._decode(line)
                    if event.ev in ("Committed", "AssignedTo"):
                        self._named(_HEARD).write(line)
                    self._named(_EVERYWHERE if event.place is None else file_name(event.place)).write(line)

    def add(self, event: h.Event, place: h.Place) -> None:
        """Take in an event of a partition."""
        self._named(file_name(place)).write(self._encode(event) + b"\n")

    def close(self) -> None:
        """Finish the files."""
        for file in self._files.values():
            file.close()

    def _named(self, name: str) -> IO[bytes]:
        file = self._files.get(name)
        if file is None:
            file = self._files[name] = (self._folder / name).open("ab", _BUFFER)
        return file


def home(place: h.Place) -> h.Place:
    """The partition of the queue that one of its companion topics belongs to."""
    return (h.home(place)[0].removesuffix(".dead"), place[1])


def file_name(place: h.Place) -> str:
    """The name of the file of a partition, which is that of the queue's."""
    topic, number = home(place)
    return f"{topic}-{number}.jsonl"


def shards_in(folder: Path) -> list[Path]:
    """The files of partitions, the largest first."""
    return sorted(folder.glob("*-*.jsonl"), key=lambda path: -path.stat().st_size)


def events_of(shard: Path) -> Iterator[h.AnyEvent]:
    """What concerns a partition."""
    return _read(shard, shard.with_name(_EVERYWHERE))


def processes_in(folder: Path) -> Iterator[h.AnyEvent]:
    """What concerns processes, and no calls."""
    return _read(folder / _EVERYWHERE, folder / _HEARD)


def _read(*paths: Path) -> Iterator[h.AnyEvent]:
    decode = msgspec.json.Decoder(h.AnyEvent).decode
    for path in paths:
        if path.exists():
            with path.open("rb", _BUFFER) as file:
                yield from map(decode, file)
