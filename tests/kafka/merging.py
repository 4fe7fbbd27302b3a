"""Histories of several processes made one: what a process could not know when it wrote is filled in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.proof import history as h


def merged(folder: Path) -> list[h.AnyEvent]:
    """The histories below a folder, as one."""
    paths = sorted(folder.rglob("*.jsonl"))
    if not paths:
        raise FileNotFoundError(f"no history below {folder}: nothing was recorded")
    return h.merge(*(completed(h.read(path)) for path in paths))


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
                out[index] = msgspec.structs.replace(out[index], result=event.result, due=event.due)
                continue
            ended[token] = len(out)
        out.append(event)
    return out


def _with_epochs(events: Sequence[h.AnyEvent]) -> list[h.AnyEvent]:
    out = list(events)
    epochs: dict[h.Place, int] = {}
    for index in range(len(out) - 1, -1, -1):
        event = out[index]
        if isinstance(event, h.Started):
            epochs[event.place] = event.epoch
        elif isinstance(event, h.AssignedTo):
            # None began in it: then no event names its epoch, either.
            out[index] = msgspec.structs.replace(event, epoch=epochs.pop(event.place, 0))
    return out
