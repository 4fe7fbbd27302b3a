"""Whether a Redis will do, found out when a worker starts."""

from __future__ import annotations

import logging
import re
from typing import Any

import redis
from redis import exceptions

from kjobs.core.ports import StoreAway
from kjobs.errors import ConfigError

from .address import Address
from .scripts import NotAllowedError, Scripts, keys_of

log = logging.getLogger("kjobs.worker")

#: The oldest release this is made for. Valkey tells the release of Redis that it is like.
_OLDEST = (6, 2)
#: Policies that evict nothing, or only keys with an end, of which there are none here.
_HARMLESS = re.compile(r"noeviction|volatile-\w+")


class Server:
    """A Redis that may be asked about itself.

    Args:
        client: connections.
        scripts: what is run there.
        address: where it is.
    """

    def __init__(self, client: redis.Redis, scripts: Scripts, address: Address) -> None:
        self._client = client
        self._scripts = scripts
        self._address = address

    def check(self) -> None:
        """See that it will do.

        Raises:
            ConfigError: it will not.
        """
        try:
            self._check_release()
            self._check_policy()
            self._check_rights()
        except exceptions.AuthenticationError as error:
            raise self._wrong(f"Redis does not let this worker in: {error}") from None
        except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
            raise self._wrong(
                f"Redis cannot be reached: {error}. Start it, or correct the address; leave delay_store out "
                "to keep the indexes in state_dir."
            ) from None
        except exceptions.ResponseError as error:
            raise self._wrong(f"Redis will not do: {error}") from None

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError(f"delay_store={self._address.shown}: {what}")

    def _info(self, section: str) -> dict[str, Any]:
        try:
            info: dict[str, Any] = self._client.info(section)
        except exceptions.NoPermissionError:
            return {}
        return info

    def _check_release(self) -> None:
        info = self._info("server")
        if info.get("redis_mode") == "cluster":
            raise self._wrong(
                "this is a node of a Redis Cluster, where the indexes of a worker's partitions would be on "
                "different nodes. Name a Redis that is none."
            )
        version = str(info.get("redis_version", ""))
        found = re.match(r"(\d+)\.(\d+)", version)
        if found and (int(found[1]), int(found[2])) < _OLDEST:
            oldest = ".".join(map(str, _OLDEST))
            raise self._wrong(f"this is Redis {version}, and at least {oldest} is needed.")

    def _check_policy(self) -> None:
        policy = self._policy()
        if policy is None:
            log.warning(
                "Redis at %s does not tell its eviction policy. It must be noeviction, or delayed calls will "
                "be read from Kafka again and again",
                self._address.shown,
                extra={"event": "store.policy"},
            )
        elif not _HARMLESS.fullmatch(policy):
            raise self._wrong(
                f"its maxmemory-policy is {policy}: when it is full it would throw away parts of the index "
                "of delayed calls. Set it to noeviction (CONFIG SET maxmemory-policy noeviction, and in its "
                "configuration file), or name a Redis of its own."
            )

    def _policy(self) -> str | None:
        """What it does when it is full; None if it does not say."""
        try:
            told: dict[str, Any] = self._client.config_get("maxmemory-policy")  # type: ignore[assignment]
            policy = told.get("maxmemory-policy")
        except exceptions.BusyLoadingError:
            policy = None
        except exceptions.ResponseError:
            # Forbidden, or unknown to a managed service.
            policy = None
        policy = policy or self._info("memory").get("maxmemory_policy")
        return None if policy is None else str(policy)

    def _check_rights(self) -> None:
        try:
            self._scripts.run("try", keys_of(f"{self._address.prefix}:check"))
        except NotAllowedError as error:
            raise self._wrong(
                f"its user may not do what is needed: {error}. It needs the keys that begin with "
                f"{{{self._address.prefix}: and the commands that docs/delay-stores.md lists."
            ) from None
        except StoreAway as error:
            # It is busy, full, or reads its data: the keeper waits for it, and says so.
            log.warning("the deferred store has to wait: %s", error, extra={"event": "store.waiting"})
