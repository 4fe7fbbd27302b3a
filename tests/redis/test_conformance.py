"""The store in Redis does what every store must do."""

from __future__ import annotations

from itertools import count

import pytest

from tests.deferred.conformance import Conformance
from tests.deferred.logs import MadeUpLog
from tests.redis.log import Log
from tests.servers.redis import Redis


class TestRedisStore(Conformance):
    @pytest.fixture
    def log(self, shared_redis: Redis) -> MadeUpLog:
        partition, epochs = Log(), count(1)
        return MadeUpLog(lambda: partition.open(shared_redis.url, next(epochs)))
