"""The store in Redis does what every store must do."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.deferred.conformance import Conformance
from tests.deferred.logs import MadeUpLog
from tests.redis.log import Log
from tests.servers.redis import Redis


class TestRedisStore(Conformance):
    @pytest.fixture
    def log(self, shared_redis: Redis) -> Iterator[MadeUpLog]:
        known, epochs = Log(), count(1)
        log = MadeUpLog(lambda: known.open(shared_redis.url, next(epochs)))
        yield log
        log.store.close()
