"""arq's tasks: taken off the queue after they ran; no results kept."""

from __future__ import annotations

import os
import time
from typing import Any, ClassVar

from arq.connections import ArqRedis, RedisSettings, create_pool

from benchmarks.programs import mark

_REDIS = RedisSettings.from_dsn(os.environ["BENCH_REDIS"])


async def later(_context: dict[str, Any], due_ms: int) -> None:
    """Tell how long ago the call was due."""
    mark.number(time.time_ns() - due_ms * 1_000_000)


async def connected() -> ArqRedis:
    """What enqueues."""
    return await create_pool(_REDIS)


class WorkerSettings:
    """What the worker's command looks for."""

    redis_settings = _REDIS
    functions: ClassVar = [later]
    max_jobs = 100
    poll_delay = 0.01
    keep_result = 0
    log_results = False
