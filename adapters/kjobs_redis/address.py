"""The address of a Redis, as the setting ``delay_store`` has it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from kjobs.config import redacted
from kjobs.errors import ConfigError

#: The schemes of Valkey, which speaks as Redis does.
_SAME = {"valkey": "redis", "valkeys": "rediss"}
#: What the query may say besides ``prefix``: options of the client by the same name.
_OPTIONS = frozenset(
    {
        "db",
        "password",
        "socket_connect_timeout",
        "socket_timeout",
        "ssl_ca_certs",
        "ssl_ca_path",
        "ssl_cert_reqs",
        "ssl_certfile",
        "ssl_check_hostname",
        "ssl_keyfile",
        "username",
    }
)
#: Seconds for an answer, and for a connection. Whoever waits writes no calls meanwhile.
_TIMEOUTS = {"socket_timeout": 5.0, "socket_connect_timeout": 2.0}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Redis is, and under which keys.

    Attributes:
        url: for the client, with the password.
        prefix: what all keys begin with, after the brace.
        shown: for people.
    """

    url: str
    prefix: str
    shown: str

    def __repr__(self) -> str:
        return f"Address({self.shown!r}, prefix={self.prefix!r})"

    def connect(self) -> redis.Redis:
        """Connections, which are made when they are needed.

        Raises:
            ConfigError: the options do not fit.
        """
        # Nothing is tried twice behind our back: a script whose answer is lost may have run.
        options: dict[str, Any] = {**_TIMEOUTS, "retry": Retry(NoBackoff(), 0), "protocol": 2}
        try:
            return redis.Redis.from_url(self.url, **options)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"delay_store={self.shown}: {error}") from None


def address(url: str) -> Address:
    """Take an address apart.

    Raises:
        ConfigError: it is malformed, or has an option that nobody knows.
    """
    parts = urlsplit(url)
    scheme = _SAME.get(parts.scheme, parts.scheme)
    # Whatever is wrong with it: a password in it is not told.
    wrong = f"delay_store={redacted('delay_store', url)}"
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    prefix = query.pop("prefix", "kjobs")
    if not re.fullmatch(r"[A-Za-z0-9._:-]{1,100}", prefix):
        raise ConfigError(
            f"{wrong}: prefix={prefix!r} must be letters, digits, '.', '_', ':' and '-', at most 100 of them"
        )
    if unknown := sorted(query.keys() - _OPTIONS):
        raise ConfigError(
            f"{wrong}: unknown option {unknown[0]!r}. Options: prefix, {', '.join(sorted(_OPTIONS))}."
        )
    if scheme != "rediss" and any(name.startswith("ssl_") for name in query):
        raise ConfigError(f"{wrong}: options of TLS are for rediss:// only")
    try:
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        host = None
    if scheme != "unix" and not host:
        raise ConfigError(
            f"{wrong}: there is no host in it, or a wrong port. It should be like redis://127.0.0.1:6379/0, "
            "with signs in a password that mean something in addresses written as %40 and the like."
        )
    if scheme != "unix" and not re.fullmatch(r"/?\d*", parts.path):
        raise ConfigError(f"{wrong}: what follows the host should be the number of a database, such as /0")
    url = f"{scheme}://{parts.netloc}{parts.path}?{urlencode(query)}"
    return Address(url, prefix, _shown(parts))


def _shown(parts: SplitResult) -> str:
    """An address without its password and options."""
    userinfo, at, host = parts.netloc.rpartition("@")
    user = unquote(userinfo.partition(":")[0])
    return f"{parts.scheme}://{quote(user)}{at if user else ''}{host}{parts.path}"


def tag(prefix: str, *names: str | int) -> str:
    """The hash tag of a partition's keys: names with colons between them, and none inside."""
    return ":".join([prefix, *(quote(str(name), safe="") for name in names)])
