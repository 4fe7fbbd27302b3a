"""The index of kjobs' deferred store in Redis, or Valkey: ``delay_store = "redis://…"``.

Kafka stays the truth: whatever Redis loses is read again from a queue's ``.delayed`` topic.
"""

from __future__ import annotations

from .opener import RedisOpener
from .store import RedisStore

__all__ = ["RedisOpener", "RedisStore"]
