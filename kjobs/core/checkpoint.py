"""What a partition's commit says beside its offset, and its form in the commit's metadata.

Calls finish out of order, so the committed offset alone would repeat every call that finished above
the watermark and forget how often the others failed. The metadata string holds both. It may be at
most 4,095 characters at the broker, may be cut, and a client may hand it back with foreign bytes
behind it; so it carries its own length and checksum, and anything that does not match is no map.

    k1 <length, 4 hex> <crc32, 8 hex> <base85 of zlib or raw bytes>
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

#: Characters of metadata that kjobs allows itself; the broker's own limit is 4,095.
LIMIT = 4000

_MAGIC = "k1"
_HEAD = len(_MAGIC) + 4 + 8
_CLEAN = 1
_CRASHES = 2
_SUSPICION = 4


@dataclass(frozen=True, slots=True)
class Trial:
    """A call that failed and waits for its next attempt.

    ``crashes``: times that its process crashed, if it has one of its own.
    """

    offset: int
    failures: int
    due_ms: int
    crashes: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Accused:
    """A call that may have ended the processes it ran in.

    Attributes:
        delayed: its enqueuer had delayed it, so that it has never been in the queue.
        number: its offset in the queue; of a delayed one a checksum of its id.
        crashes: that are known to be its own.
        runs: it runs, or is about to.
    """

    delayed: bool
    number: int
    crashes: int
    runs: bool


@dataclass(frozen=True, slots=True)
class Suspected:
    """What is handed on if owners of a partition ended without a last word.

    Attributes:
        crashes: how many times in a row they did.
        window: calls of the queue below this offset may have been begun by them.
        accused: calls that may be the reason.
    """

    crashes: int
    window: int
    accused: tuple[Accused, ...] = ()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A partition's progress above its watermark.

    Attributes:
        high: one past the highest finished offset, or the watermark if none is above it.
        unfinished: ascending runs ``(first offset, length)`` of unfinished offsets below ``high``.
        trials: calls between two attempts, by offset.
        epoch: how many times the partition was assigned in this group; the base of ``ctx.fence``.
        topic_id: Kafka's id of the topic, or "" where it is unknown.
        clean: the partition was given back in order: this is the last word of who had it.
        suspected: what is known if earlier owners did not say one.
    """

    high: int
    unfinished: tuple[tuple[int, int], ...] = ()
    trials: tuple[Trial, ...] = ()
    epoch: int = 0
    topic_id: str = ""
    clean: bool = False
    suspected: Suspected | None = None


def runs(offsets: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Ascending offsets as runs of ``(first, length)``."""
    out: list[tuple[int, int]] = []
    first = length = 0
    for offset in offsets:
        if length and offset == first + length:
            length += 1
            continue
        if length:
            out.append((first, length))
        first, length = offset, 1
    if length:
        out.append((first, length))
    return tuple(out)


def encode(watermark: int, checkpoint: Checkpoint, limit: int = LIMIT) -> str:
    """Write a checkpoint as commit metadata of at most ``limit`` characters.

    What does not fit is left out from the top: first the highest finished runs (their calls would run
    again after a crash), then the highest trials (their failures would be forgotten after one).
    """
    text = _write(watermark, checkpoint)
    if len(text) <= limit:
        return text
    whole = len(checkpoint.unfinished)
    kept = _most(whole, lambda n: len(_write(watermark, _lowest_runs(watermark, checkpoint, n))) <= limit)
    if kept is not None:
        return _write(watermark, _lowest_runs(watermark, checkpoint, kept))
    bare = _lowest_runs(watermark, checkpoint, 0)
    fitting = _most(
        len(bare.trials),
        lambda n: len(_write(watermark, replace(bare, trials=bare.trials[:n]))) <= limit,
    )
    return _write(watermark, replace(bare, trials=bare.trials[: fitting or 0]))


def fits(watermark: int, checkpoint: Checkpoint, limit: int = LIMIT) -> bool:
    """Whether :func:`encode` leaves nothing out."""
    return len(_write(watermark, checkpoint)) <= limit


def decode(watermark: int, text: str | None) -> Checkpoint | None:
    """Read commit metadata; None for anything that kjobs did not write whole."""
    if not text or not text.startswith(_MAGIC) or len(text) < _HEAD:
        return None
    try:
        length = int(text[2:6], 16)
        checksum = int(text[6:14], 16)
        body = text[_HEAD : _HEAD + length].encode("ascii")
        if len(body) != length or zlib.crc32(body, watermark & 0xFFFFFFFF) != checksum:
            return None
        raw = base64.b85decode(body)
        packed = raw[1:] if raw[:1] == b"\0" else zlib.decompress(raw[1:])
        return _unpack(watermark, packed)
    except (ValueError, IndexError, zlib.error):
        return None


def _most(upper: int, fits: Callable[[int], bool]) -> int | None:
    """The largest n in 0..upper for which ``fits(n)``, if it holds for 0; fits is monotone."""
    if not fits(0):
        return None
    low, high = 0, upper
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _lowest_runs(watermark: int, checkpoint: Checkpoint, kept: int) -> Checkpoint:
    """The checkpoint as if nothing had finished from the first unfinished run left out onwards."""
    if kept >= len(checkpoint.unfinished):
        return checkpoint
    high = checkpoint.unfinished[kept][0] if kept else watermark
    return replace(checkpoint, high=high, unfinished=checkpoint.unfinished[:kept])


def _write(watermark: int, checkpoint: Checkpoint) -> str:
    packed = _pack(watermark, checkpoint)
    squeezed = zlib.compress(packed, 6)
    raw = b"\1" + squeezed if len(squeezed) < len(packed) else b"\0" + packed
    body = base64.b85encode(raw)
    # The watermark seeds the checksum: metadata copied to another offset is not taken for its map.
    checksum = zlib.crc32(body, watermark & 0xFFFFFFFF)
    return f"{_MAGIC}{len(body):04x}{checksum:08x}{body.decode('ascii')}"


def _pack(watermark: int, checkpoint: Checkpoint) -> bytes:
    crashed = any(trial.crashes for trial in checkpoint.trials)
    suspected = checkpoint.suspected
    flags = (_CLEAN * checkpoint.clean) | (_CRASHES * crashed) | (_SUSPICION * (suspected is not None))
    out = bytearray([flags])
    _put(out, checkpoint.epoch)
    topic_id = checkpoint.topic_id.encode()
    _put(out, len(topic_id))
    out += topic_id
    _put(out, max(0, checkpoint.high - watermark))
    _put(out, len(checkpoint.unfinished))
    at = watermark
    for first, length in checkpoint.unfinished:
        _put(out, first - at)
        _put(out, length)
        at = first + length
    earliest = min((trial.due_ms for trial in checkpoint.trials), default=0)
    _put(out, len(checkpoint.trials))
    _put(out, earliest)
    at = watermark
    for trial in checkpoint.trials:
        _put(out, trial.offset - at)
        _put(out, trial.failures)
        _put(out, trial.due_ms - earliest)
        at = trial.offset
        if crashed:
            _put(out, trial.crashes)
    if suspected is not None:
        _put(out, suspected.crashes)
        _put(out, max(0, suspected.window - watermark))
        _put(out, len(suspected.accused))
        for one in suspected.accused:
            _put(out, 2 * one.crashes + one.runs)
            _put(out, 2 * one.number + one.delayed)
    return bytes(out)


def _unpack(watermark: int, data: bytes) -> Checkpoint:
    flags, at = data[0], 1
    epoch, at = _get(data, at)
    size, at = _get(data, at)
    topic_id, at = data[at : at + size].decode(), at + size
    window, at = _get(data, at)
    count, at = _get(data, at)
    unfinished: list[tuple[int, int]] = []
    offset = watermark
    for _ in range(count):
        gap, at = _get(data, at)
        length, at = _get(data, at)
        unfinished.append((offset + gap, length))
        offset += gap + length
    count, at = _get(data, at)
    earliest, at = _get(data, at)
    trials: list[Trial] = []
    offset = watermark
    for _ in range(count):
        gap, at = _get(data, at)
        failures, at = _get(data, at)
        later, at = _get(data, at)
        crashes, at = _get(data, at) if flags & _CRASHES else (0, at)
        offset += gap
        trials.append(Trial(offset, failures, earliest + later, crashes))
    return Checkpoint(
        high=watermark + window,
        unfinished=tuple(unfinished),
        trials=tuple(trials),
        epoch=epoch,
        topic_id=topic_id,
        clean=bool(flags & _CLEAN),
        suspected=_unpack_suspected(watermark, data, at) if flags & _SUSPICION else None,
    )


def _unpack_suspected(watermark: int, data: bytes, at: int) -> Suspected:
    crashes, at = _get(data, at)
    reach, at = _get(data, at)
    count, at = _get(data, at)
    accused: list[Accused] = []
    for _ in range(count):
        state, at = _get(data, at)
        name, at = _get(data, at)
        accused.append(Accused(bool(name & 1), name >> 1, crashes=state >> 1, runs=bool(state & 1)))
    return Suspected(crashes, watermark + reach, tuple(accused))


def _put(out: bytearray, number: int) -> None:
    """Append a whole number in base 128, low digits first."""
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)


def _get(data: Sequence[int], at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        digit = data[at]
        at += 1
        number |= (digit & 127) << shift
        if digit < 128:
            return number, at
        shift += 7
