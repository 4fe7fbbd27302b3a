"""Settings: what they are, where they come from, and which of them was set where.

A setting comes from the first of: an argument (``App(group="shop")`` or a command's option), the
environment (``KJOBS_GROUP``), a file (``kjobs.toml``, or ``[tool.kjobs]`` in ``pyproject.toml``, found
in the working directory or above it), the default. A setting that is not set anywhere is not the same
as one that is set to its default: ``Settings.sources`` tells.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from .core.duration import seconds
from .errors import ConfigError

#: librdkafka options that kjobs' promises rest on; the ``kafka`` table may not set them.
FIXED = frozenset(
    {
        "acks",
        "auto.offset.reset",
        "bootstrap.servers",
        "check.crcs",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "enable.partition.eof",
        "group.id",
        "group.instance.id",
        "group.protocol",
        "isolation.level",
        "partition.assignment.strategy",
        "partitioner",
        "request.required.acks",
        "session.timeout.ms",
        "transactional.id",
    }
)
#: librdkafka options that would run code or print secrets.
UNSAFE = frozenset({"debug", "plugin.library.paths", "interceptors"})

_SECRET = re.compile(r"password|secret|token|credential|jaas|pem|\.key$|private", re.IGNORECASE)
_IN_QUERY = re.compile(rf"([?&][^=&]*(?:{_SECRET.pattern})[^=&]*=)[^&]*", re.IGNORECASE)
_WITH_UNDERSCORE = {"log.level": "log_level"}


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expected a text that is not empty")
    return value.strip()


def _count(lowest: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if isinstance(value, str) and value.strip().isdigit():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
            raise ValueError(f"expected a whole number of at least {lowest}")
        return value

    return parse


def _flag(value: Any) -> bool:
    if isinstance(value, str):
        spelled = {
            "1": True,
            "true": True,
            "yes": True,
            "on": True,
            "0": False,
            "false": False,
            "no": False,
            "off": False,
        }
        value = spelled.get(value.strip().lower(), value)
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def _length(value: Any) -> float:
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value.strip()):
        value = float(value)
    return seconds(value)


def _list(value: Any) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise ValueError("expected a list of texts, or one text with commas")
    return tuple(item.strip() for item in items if item.strip())


def _choice(*choices: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return str(value)

    return parse


def _prefix(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", value):
        raise ValueError("expected letters, digits, '.', '_' and '-', at most 100")
    return value


def _address(value: Any) -> tuple[str, int]:
    match = re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^:\s]+):(\d{1,5})", value) if isinstance(value, str) else None
    if match is None or int(match[2]) > 65535:
        raise ValueError("expected host:port")
    return match[1].strip("[]"), int(match[2])


def _instance(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9._-]{1,200}", value):
        raise ValueError("expected letters, digits, '.', '_' and '-', at most 200")
    return value


def _store(value: Any) -> str:
    if not isinstance(value, str) or not re.match(r"[a-z][a-z0-9+]*://.", value):
        raise ValueError("expected an address, such as redis://127.0.0.1:6379/0")
    return value


def _kafka(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("expected a table of librdkafka options")
    for option in value:
        if option in FIXED:
            raise ValueError(f"{option} cannot be set: kjobs' promises rest on it")
        if option in UNSAFE:
            raise ValueError(f"{option} cannot be set: it would load code or print secrets")
    return dict(value)


def _setting(default: Any, parse: Callable[[Any], Any], about: str) -> Any:
    factory = default if callable(default) else (lambda: default)
    return field(default_factory=factory, metadata={"parse": parse, "about": about})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of an app, checked. Lengths of time are in seconds, sizes in bytes."""

    bootstrap_servers: str = _setting("127.0.0.1:9092", _text, "Kafka's addresses, host:port, with commas")
    prefix: str = _setting("kjobs", _prefix, "what the names of all topics begin with")
    group: str = _setting("kjobs", _text, "the consumer group of the workers")
    modules: tuple[str, ...] = _setting((), _list, "modules that declare jobs")
    processes: int | None = _setting(
        None, _count(1), "worker processes; as many as there are cores if not set"
    )
    threads: int = _setting(8, _count(1), "thread slots of a worker process")
    async_slots: int = _setting(256, _count(1), "calls of async jobs a worker process runs at a time")
    grace: float = _setting(25.0, _length, "how long a stopping worker waits for its running calls")
    revoke_grace: float = _setting(
        10.0, _length, "how long a worker waits for running calls of a partition that is taken away"
    )
    watchdog: float = _setting(
        60.0, _length, "after how long without a sign a worker process is killed and replaced; 0 for never"
    )
    recycle_calls: int = _setting(0, _count(0), "attempts after which a process is replaced; 0 for never")
    recycle_age: float = _setting(0.0, _length, "how long a process lives before it is replaced; 0 for ever")
    recycle_size: int = _setting(0, _count(0), "bytes of memory at which a process is replaced; 0 for never")
    health: tuple[str, int] | None = _setting(
        None, _address, "host:port at which /healthz and /readyz are answered, such as 0.0.0.0:8901"
    )
    state_dir: str | None = _setting(
        None, _text, "directory of the indexes of delayed calls; ~/.local/state/kjobs if not set"
    )
    delay_store: str | None = _setting(
        None, _store, "redis://… or rediss://… to keep the indexes of delayed calls in Redis instead of files"
    )
    lane_wait: float = _setting(
        30.0,
        _length,
        "the longest a retry waits in a worker's memory; longer ones wait in the deferred store",
    )
    enqueue_timeout: float = _setting(5.0, _length, "how long .delay() waits for the acknowledgement")
    max_size: int = _setting(256 * 1024, _count(1), "bytes of the largest call")
    create_topics: bool = _setting(False, _flag, "create missing topics at once")
    partitions: int = _setting(8, _count(1), "partitions of topics that kjobs creates")
    replication: int | None = _setting(
        None, _count(1), "replicas of topics that kjobs creates; the broker's default if not set"
    )
    group_protocol: str | None = _setting(
        None,
        _choice("classic", "consumer"),
        "classic (cooperative-sticky) or consumer (KIP-848); classic if not set",
    )
    session_timeout: float = _setting(
        10.0, _length, "after how long without a sign a worker is taken for dead"
    )
    instance: str | None = _setting(
        None,
        _instance,
        "the name of this worker, for static membership; with several processes each adds its number",
    )
    buffer: int = _setting(5_000, _count(1), "calls a worker process holds in memory")
    buffer_size: int = _setting(64 * 1024 * 1024, _count(1), "bytes of the calls it holds in memory")
    kafka: Mapping[str, Any] = _setting(dict, _kafka, "librdkafka options, as they are")

    sources: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __repr__(self) -> str:
        shown = (f"{f.name}={redacted(f.name, getattr(self, f.name))!r}" for f in _fields())
        return f"Settings({', '.join(shown)})"

    def source(self, name: str) -> str:
        """Where a setting comes from: "argument", a variable's name, a file's path, or "default"."""
        return self.sources.get(name, "default")


def _fields() -> list[Any]:
    return [f for f in fields(Settings) if f.name != "sources"]


def names() -> list[str]:
    """The names of all settings."""
    return [f.name for f in _fields()]


def about(name: str) -> str:
    """What a setting is, in a few words."""
    return next(str(f.metadata["about"]) for f in _fields() if f.name == name)


def redacted(name: str, value: Any) -> Any:
    """A setting's value with secrets hidden, for people to see."""
    if isinstance(value, Mapping):
        return {key: redacted(key, inner) for key, inner in value.items()}
    if _SECRET.search(name) and value:
        return "[hidden]"
    if name == "delay_store" and isinstance(value, str):
        return _without_password(value)
    return value


def _without_password(address: str) -> str:
    """An address with the password in it hidden, however it is malformed."""
    before, at, host = address.rpartition("@")
    scheme, slashes, login = before.partition("://")
    if at:
        user, colon, _ = login.partition(":")
        before = f"{scheme}://{user}{':[hidden]' if colon else ''}" if slashes else "[hidden]"
    shown = f"{before}{at}{host}"
    return _IN_QUERY.sub(lambda found: f"{found[1]}[hidden]", shown)


def load(
    arguments: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Settings:
    """Gather the settings.

    Args:
        arguments: what was set in code or on the command line; None means not set.
        environ: the environment; that of the process if not given.
        directory: where to look for files, and above; the working directory if not given.

    Raises:
        ConfigError: a setting is unknown, malformed or not allowed.
    """
    found: dict[str, tuple[Any, str]] = {}
    for values, source in (
        _from_files(directory or Path.cwd()),
        (_from_environment(os.environ if environ is None else environ), None),
        ({k: v for k, v in (arguments or {}).items() if v is not None}, "argument"),
    ):
        for name, value in values.items():
            plain, origin = value if source is None else (value, source)
            if name == "kafka" and name in found and isinstance(plain, Mapping):
                below, below_origin = found[name]
                _checked(name, below, below_origin)
                plain = {**below, **plain}
                origin = f"{below_origin}, {origin}"
            found[name] = (plain, origin)
    checked = {name: _checked(name, value, origin) for name, (value, origin) in found.items()}
    return Settings(**checked, sources={name: origin for name, (_, origin) in found.items()})


def _checked(name: str, value: Any, origin: str) -> Any:
    setting = next((f for f in _fields() if f.name == name), None)
    if setting is None:
        import difflib  # only needed for this message

        close = difflib.get_close_matches(name, names(), n=1)
        hint = f" Did you mean {close[0]}?" if close else f" Settings: {', '.join(names())}."
        raise ConfigError(f"unknown setting {name!r} ({origin}).{hint}")
    try:
        return setting.metadata["parse"](value)
    except ValueError as error:
        # A table that is none may be a text with a secret anywhere in it.
        unreadable = name == "kafka" and not isinstance(value, Mapping)
        shown = f"a {type(value).__name__}" if unreadable else repr(redacted(name, value))
        raise ConfigError(f"setting {name}={shown} ({origin}): {error}") from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    found: dict[str, tuple[Any, str]] = {}
    kafka: dict[str, str] = {}
    origins: list[str] = []
    for variable, value in sorted(environ.items()):
        if not variable.startswith("KJOBS_") or variable in _OTHER_VARIABLES:
            continue
        name = variable.removeprefix("KJOBS_").lower()
        if name.startswith("kafka_"):
            option = name.removeprefix("kafka_").replace("_", ".")
            kafka[_WITH_UNDERSCORE.get(option, option)] = value
            origins.append(variable)
        elif name.startswith("test_"):
            continue  # KJOBS_TEST_…: for test suites, not for kjobs
        else:
            found[name] = (value, variable)
    if kafka:
        found["kafka"] = (kafka, ", ".join(origins))
    return found


#: Variables that are not settings: see ``kjobs/worker/failpoint.py``.
_OTHER_VARIABLES = frozenset({"KJOBS_FAILPOINT"})


def _from_files(directory: Path) -> tuple[dict[str, Any], str]:
    for folder in (directory, *directory.resolve().parents):
        own = folder / "kjobs.toml"
        if own.is_file():
            return _read(own), str(own)
        project = folder / "pyproject.toml"
        if project.is_file():
            table = _read(project).get("tool", {}).get("kjobs")
            if table is not None:
                if not isinstance(table, dict):
                    raise ConfigError(f"{project}: [tool.kjobs] is not a table")
                return table, f"{project} [tool.kjobs]"
    return {}, "file"


def _read(path: Path) -> dict[str, Any]:
    import tomllib  # only needed where there is a file

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}") from None
