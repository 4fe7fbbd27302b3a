"""A record that never was in Kafka."""

from __future__ import annotations

from dataclasses import dataclass, field

from kjobs.core.ports import Headers


@dataclass(frozen=True, slots=True)
class FakeRecord:
    """What the core needs of a record."""

    at: int = 0
    text: bytes | None = b'{"job":"j"}'
    by: bytes | None = None
    written_ms: int = 1_000_000_000
    noted: Headers = field(default_factory=list)

    def offset(self) -> int:
        return self.at

    def key(self) -> bytes | None:
        return self.by

    def value(self) -> bytes | None:
        return self.text

    def headers(self) -> Headers | None:
        return self.noted or None

    def timestamp(self) -> tuple[int, int]:
        return 1, self.written_ms

    def __len__(self) -> int:
        return len(self.text or b"")
