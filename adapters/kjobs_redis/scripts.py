"""The scripts that Redis runs, and what their failures mean.

Every script gets all keys of one partition, which are under one hash tag. What it does is done as a whole or
not at all.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

import redis
from redis import exceptions
from redis.commands.core import Script

from kjobs.core.ports import StoreAway

#: Scripts that look for themselves whose the index is.
_FREE = ("claim", "empty", "try")
#: Scripts that only the owner may run.
_OWNED = ("apply", "ask", "due", "hold", "lane", "lanes", "release", "seen")
#: In the order in which the scripts name them.
_KEYS = ("state", "rows", "ids", "lanes", "queued", "turns", "taken", "free", "dated", "ranked")

#: What Redis says when it could do something at another time.
_LATER = re.compile(
    r"\b(BUSY|CLUSTERDOWN|KJOBSBACK|KJOBSFENCED|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|READONLY|TRYAGAIN)\b"
)
_LATER_TYPES = (exceptions.ClusterDownError, exceptions.ReadOnlyError, exceptions.TryAgainError)
#: What it says when its user may not do it, directly or within a script.
_FORBIDDEN = re.compile(r"\bNOPERM\b|user executing the script|ACL failure")


class IndexLostError(Exception):
    """What Redis had of an index is gone, or damaged: it must be made anew."""


class NotAllowedError(StoreAway):
    """The user of Redis lacks a right."""


class Scripts:
    """The scripts, on one connection pool.

    Args:
        client: the connections.
        shown: its address, as people may see it.
    """

    def __init__(self, client: redis.Redis, shown: str) -> None:
        self._shown = shown
        folder = files(__package__) / "lua"
        names = ("keys", "owner", *_FREE, *_OWNED)
        text = {name: (folder / f"{name}.lua").read_text(encoding="utf-8") for name in names}
        self._scripts: dict[str, Script] = {}
        for name in _FREE:
            self._scripts[name] = client.register_script(text["keys"] + text[name])
        for name in _OWNED:
            self._scripts[name] = client.register_script(text["keys"] + text["owner"] + text[name])

    def run(self, name: str, keys: list[str], *arguments: bytes | str | int) -> Any:
        """Run a script.

        Raises:
            StoreAway: Redis cannot be reached, or cannot do it now; it may have done it all the same.
            IndexLostError: the keys are not what they were.
            redis.RedisError: it cannot do it at all.
        """
        try:
            return self._scripts[name](keys=keys, args=arguments)
        except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
            raise StoreAway(f"Redis at {self._shown} does not answer: {error}") from None
        except exceptions.ResponseError as error:
            raise self._meant(error) from None

    def _meant(self, error: exceptions.ResponseError) -> Exception:
        said = str(error)
        if "KJOBSGONE" in said or "KJOBSTORN" in said:
            return IndexLostError(f"Redis at {self._shown} has lost it: {said}")
        if isinstance(error, exceptions.OutOfMemoryError) or re.search(r"\bOOM\b", said):
            return StoreAway(
                f"Redis at {self._shown} is full: it has reached its maxmemory. Calls are safe in Kafka; "
                "those that are delayed wait until it has room. Give it more memory"
            )
        if isinstance(error, exceptions.NoPermissionError) or _FORBIDDEN.search(said):
            return NotAllowedError(f"Redis at {self._shown}: {said}")
        if isinstance(error, _LATER_TYPES) or _LATER.search(said):
            return StoreAway(f"Redis at {self._shown}: {said}")
        return error


def keys_of(tag: str) -> list[str]:
    """The keys of one partition; what is in braces decides the node of a cluster they are on."""
    return [f"{{{tag}}}:{name}" for name in _KEYS]
