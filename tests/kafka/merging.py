"""Histories of several processes made one: what a process could not know when it wrote is filled in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tests.proof import history as h


class Histories:
    """The histories that processes are writing into a folder.

    Args:
        folder: where each of them has its file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, tuple[int, list[h.AnyEvent]]] = {}
        self._decode = msgspec.json.Decoder(h.AnyEvent).decode

    def events(self) -> Iterator[h.AnyEvent]:
        """Everything so far, one process after the other, as it was written."""
        for path in sorted(self._folder.glob("*.jsonl")):
            yield from self._catch_up(path)

    def merged(self) -> list[h.AnyEvent]:
        """Everything so far, by time, each process' history completed."""
        paths = sorted(self._folder.glob("*.jsonl"))
        return h.merge(*(completed(self._catch_up(path)) for path in paths))

    def _catch_up(self, path: Path) -> list[h.AnyEvent]:
        at, events = self._read.get(path, (0, []))
        with path.open("rb") as file:
            file.seek(at)
            # A line without an end is being written, or was when its process died.
            *lines, _ = file.read().split(b"\n")
        events += map(self._decode, lines)
        self._read[path] = (at + sum(len(line) + 1 for line in lines), events)
        return events


def completed(events: Sequence[h.AnyEvent]) -> list[h.AnyEvent]:
    """The history of one incarnation with what became known later put where it belongs.

    * kjobs tells that partitions were assigned before it has read which epoch that is; the calls that
      begin in it say so.
    * An attempt ends before it is decided whether it is retried; the decision is a second ``Ended``.
    """
    return _with_epochs(_with_decisions(events))


def _with_decisions(events: Sequence[h.AnyEvent]) -> list[h.AnyEvent]:
    out: list[h.AnyEvent] = []
    ended: dict[tuple[h.Place, int], int] = {}
    for event in h.merge(events):
        if isinstance(event, h.Started):
            ended.pop((event.place, event.offset), None)
        elif isinstance(event, h.Ended):
            token = (event.place, event.offset)
            index = ended.get(token)
            if index is not None:
                # It is told a second time without having begun again.
                known = out[index]
                assert isinstance(known, h.Ended)
                # That it is tried again is told of failures and of crashes alike.
                result = known.result if known.result == "crashed" else event.result
                out[index] = msgspec.structs.replace(known, result=result, due=event.due)
                continue
            ended[token] = len(out)
        out.append(event)
    return out


def _with_epochs(events: Sequence[h.AnyEvent]) -> list[h.AnyEvent]:
    out = list(events)
    epochs: dict[h.Place, int] = {}
    # A dead letter may be acknowledged in a later assignment than it is of: it says less.
    burials: dict[h.Place, int] = {}
    for index in range(len(out) - 1, -1, -1):
        event = out[index]
        if isinstance(event, h.Started):
            epochs[h.home(event.place)] = event.epoch
        elif isinstance(event, h.Buried) and event.epoch is not None:
            burials[h.home(event.place)] = event.epoch
        elif isinstance(event, h.AssignedTo):
            # If nothing began or was given up in it, no event names its epoch, either.
            told = burials.pop(event.place, 0)
            out[index] = msgspec.structs.replace(event, epoch=epochs.pop(event.place, told))
    return out
