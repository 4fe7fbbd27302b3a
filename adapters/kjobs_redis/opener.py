"""How a worker gets the index of a partition from Redis."""

from __future__ import annotations

import logging
import secrets
from typing import Any

from kjobs.config import Settings
from kjobs.core.events import Place
from kjobs.core.ports import StoreAway
from kjobs.deferred.doubt import doubt, noted_of
from kjobs.deferred.opener import LogState

from .address import address, tag
from .scripts import Scripts, keys_of
from .server import Server
from .store import RedisStore

log = logging.getLogger("kjobs.worker")

#: Raised with every change of what is kept under the keys; an index of another schema is made anew.
SCHEMA = 2
#: Milliseconds after its last sign for which an assignment keeps an index from one that came before it.
_QUIET_MS = 60_000


class RedisOpener:
    """The indexes of one worker's group, in one Redis.

    Args:
        url: the setting ``delay_store``.
        settings: name the group.

    Raises:
        ConfigError: the address is wrong.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        self._address = address(url)
        self._group = settings.group
        client = self._address.connect()
        self._scripts = Scripts(client, self._address.shown)
        self._server = Server(client, self._scripts, self._address)
        #: What the tokens of this process begin with.
        self._name = secrets.token_hex(8)
        self._claims = 0
        #: Assignments that had their index before.
        self._before: set[tuple[Place, int]] = set()

    def check(self) -> None:
        """See that Redis can be reached, is new enough, evicts nothing of ours, and lets us.

        Raises:
            ConfigError: it is not so.
        """
        self._server.check()

    def describe(self) -> str:
        """Where they are."""
        return f"Redis at {self._address.shown}, keys {{{self._address.prefix}:…}}"

    def open(self, state: LogState) -> RedisStore:
        """The index of a partition, empty if there is none, or one that cannot be trusted.

        Raises:
            StoreAway: Redis cannot be asked, or a later assignment has it.
        """
        keys = self._keys(state)
        token, version, count, known = self._claim(keys, state)
        position = int(known.get("position", 0))
        noted: dict[str, Any] = {**known}
        noted.update({name: int(known[name]) for name in ("schema", "seen_ms") if name in known})
        why = doubt(noted, position, state, schema=SCHEMA)
        if why is None:
            if position >= state.high:
                version = int(self._scripts.run("seen", keys, token, version)[0])
            return self._store(keys, state, token, version, position, count)
        if count or position:
            log.warning(
                "the index {%s} in Redis is made anew: %s",
                self._tag(state),
                why,
                extra={"event": "store.renewed", "why": why},
            )
        return self._empty(keys, token, state)

    def renew(self, state: LogState) -> RedisStore:
        """An empty index in place of what is there.

        Raises:
            StoreAway: Redis cannot be asked, or a later assignment has it.
        """
        keys = self._keys(state)
        token, *_ = self._claim(keys, state)
        return self._empty(keys, token, state)

    def _claim(self, keys: list[str], state: LogState) -> tuple[str, int, int, dict[str, str]]:
        """Make the index this process's.

        Returns:
            The token, the version, the number of calls, and what the index says of itself.
        """
        self._claims += 1
        token = f"{self._name}.{self._claims}"
        assignment = (state.place, state.epoch)
        again = int(assignment in self._before)
        answer = self._scripts.run("claim", keys, token, self._name, state.epoch, again, _QUIET_MS)
        if answer[0] == b"kept":
            raise StoreAway(
                f"another worker has taken it over (assignment {int(answer[1])}; this one is {state.epoch})"
            )
        self._before = {known for known in self._before if known[0] != state.place} | {assignment}
        _, version, count, pairs = answer
        text = [part.decode("utf-8", "replace") for part in pairs]
        return token, int(version), int(count), dict(zip(text[::2], text[1::2], strict=True))

    def _empty(self, keys: list[str], token: str, state: LogState) -> RedisStore:
        noted: dict[str, Any] = {"schema": SCHEMA, "position": 0, **noted_of(state)}
        del noted["seen_ms"]  # by the clock of Redis, as later
        flat = [part for pair in noted.items() for part in pair]
        version = int(self._scripts.run("empty", keys, token, *flat))
        return self._store(keys, state, token, version)

    def _store(
        self,
        keys: list[str],
        state: LogState,
        token: str,
        version: int,
        position: int = 0,
        count: int = 0,
    ) -> RedisStore:
        return RedisStore(
            self._scripts,
            keys,
            token=token,
            version=version,
            position=position,
            count=count,
            whole_from=state.high,
        )

    def _keys(self, state: LogState) -> list[str]:
        return keys_of(self._tag(state))

    def _tag(self, state: LogState) -> str:
        return tag(self._address.prefix, state.cluster_id, self._group, *state.place)
