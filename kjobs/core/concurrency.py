"""How many calls of a job may run at a time in one worker process."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Concurrency:
    """A limit of the calls that run at a time in each worker process; more wait, and others pass them.

    >>> Concurrency(2, prefix=":").token("mail.send", b"shop-7:user-9")
    ('mail.send', b'shop-7')

    Args:
        most: calls at a time.
        prefix: text that ends a part of the key, such as ":"; the limit is then for each such part by itself,
            as for the keys "shop-7:user-1" and "shop-7:user-2" together. A key without it is a part as a
            whole, and calls without a key are one part. None: for all calls of the job together.

    Raises:
        ValueError: ``most`` is no number of at least 1, or ``prefix`` is empty.
    """

    most: int
    prefix: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.most, int) or isinstance(self.most, bool) or self.most < 1:
            raise ValueError(f"concurrency={self.most!r}: expected a whole number of at least 1")
        if self.prefix is not None and (not isinstance(self.prefix, str) or not self.prefix):
            raise ValueError(f"Concurrency(prefix={self.prefix!r}): expected a text that is not empty")

    def token(self, job: str, key: bytes | None) -> tuple[str, bytes | None]:
        """What calls have in common that count together."""
        if self.prefix is None or key is None:
            return job, None
        return job, key.partition(self.prefix.encode())[0]
