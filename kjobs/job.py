"""The definition of a job, and the ways to enqueue calls of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, NamedTuple, ParamSpec, Protocol, TypeVar
from uuid import UUID

import msgspec

from .core.arguments import Arguments, Mismatch, encode_other
from .core.deferred import Verdict
from .core.duration import Duration, seconds
from .core.envelope import LATEST, Outgoing
from .core.policy import Policy
from .core.ports import Headers
from .errors import ArgumentError, DeclarationError
from .handle import Handle, milliseconds, moment_ms

P = ParamSpec("P")
R = TypeVar("R")

#: What an ordering key may be.
Key = str | int | UUID | None

_encode = msgspec.json.Encoder(enc_hook=encode_other).encode
_NO_KWARGS: dict[str, Any] = {}

#: The longest delay, in seconds: a time must be one that a ``datetime`` knows.
_LONGEST = 7_000 * 365.25 * 86_400


class CallArguments(NamedTuple):
    """The arguments of one call, for ``delay_many``; made by :func:`args`."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def args(*args: Any, **kwargs: Any) -> CallArguments:
    """The arguments of one call, for ``delay_many``.

    >>> send_email.delay_many([args(7), args(8, template="bye")])
    """
    return CallArguments(args, kwargs)


class Call(msgspec.Struct, gc=False, eq=False):
    """One call, ready to be sent.

    ``relaxed``: later calls of its key may pass it while it waits.
    """

    handle: Handle
    value: bytes
    key: bytes | None
    headers: Headers | None
    ack: str
    relaxed: bool = False


class Sender(Protocol):
    """What takes calls: an app, or a test."""

    def new_id(self) -> tuple[str, int]:
        """A new id for a call, and the time (ms since the epoch)."""
        ...

    def send(self, call: Call) -> Handle: ...
    async def asend(self, call: Call) -> Handle: ...
    def send_many(self, calls: Iterable[Call]) -> list[Handle]: ...
    def cancel(self, handle: Handle) -> Verdict: ...
    def reschedule(self, handle: Handle, due_ms: int) -> Verdict: ...
    def check_queue(self, queue: str) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What one call may have otherwise than its job."""

    key: Key = None
    queue: str | None = None
    delay: float | None = None
    at: datetime | None = None
    expires: float | None = None
    id: str | None = None
    headers: Headers | None = None
    ack: str = "all"


_PLAIN = Options()


class Enqueue(Generic[P]):
    """A job with options: ``job.options(...)`` gives one, and it can be used many times."""

    def __init__(self, job: Job[P, Any], options: Options) -> None:
        self._job = job
        self._options = options

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> Handle:
        """Enqueue a call; returns once Kafka has it.

        Raises:
            ArgumentError: the arguments do not fit the job, or cannot travel as JSON.
            EnqueueError: Kafka did not take it; the subclass says why.
        """
        job = self._job
        return job.sender.send(job.compose(args, kwargs, self._options))

    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> Handle:
        """Enqueue a call without blocking the event loop; otherwise as :meth:`delay`."""
        job = self._job
        return await job.sender.asend(job.compose(args, kwargs, self._options))

    def delay_many(self, calls: Iterable[tuple[Any, ...] | CallArguments]) -> list[Handle]:
        """Enqueue many calls and wait once for all of them.

        Args:
            calls: the arguments of each: a tuple of positional ones, or :func:`kjobs.args`.

        Returns:
            The handles, in the same order.

        Raises:
            ArgumentError: the arguments of one do not fit; calls before it may have been sent.
            BatchError: some calls were not enqueued; it lists them.
        """
        return self._job.sender.send_many(map(self._composed, calls))

    def _composed(self, call: tuple[Any, ...] | CallArguments) -> Call:
        if type(call) is tuple:
            return self._job.compose(call, _NO_KWARGS, self._options)
        if type(call) is CallArguments:
            return self._job.compose(call.args, call.kwargs, self._options)
        raise ArgumentError(
            f"{self._job.name}.delay_many(): {_short(call)} is a {type(call).__name__}; each call is a tuple "
            "of its arguments, as in delay_many([(7,), (8,)]), or kjobs.args(7, template='bye')"
        )


class Job(Generic[P, R]):
    """A function that can be enqueued. Calling it runs it here and now.

    Attributes:
        name: under which it is enqueued and found again.
        aliases: other names under which calls of it may still be waiting.
        queue: where its calls go.
        policy: what becomes of failures.
        is_async: the function is ``async def``.
    """

    def __init__(
        self,
        function: Callable[P, R],
        sender: Sender,
        *,
        name: str,
        aliases: tuple[str, ...] = (),
        queue: str = "default",
        key: str | Callable[..., Any] | None = None,
        policy: Policy | None = None,
        expires: float | None = None,
    ) -> None:
        self.function = function
        self.sender = sender
        self.name = name
        self.aliases = aliases
        self.queue = queue
        self.policy = policy or Policy()
        self.expires = expires
        self.is_async = inspect.iscoroutinefunction(function)
        self.__name__ = getattr(function, "__name__", name)
        self.__qualname__ = getattr(function, "__qualname__", name)
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.__wrapped__ = function
        try:
            self.arguments = Arguments(function)
        except (TypeError, ValueError) as error:
            raise DeclarationError(f"job {name}: {error}") from None
        self._key_of = self._compiled_key(key)
        self._enqueue: Enqueue[P] = Enqueue(self, _PLAIN)

    def __repr__(self) -> str:
        return f"<Job {self.name} on queue {self.queue}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now, without Kafka."""
        return self.function(*args, **kwargs)

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> Handle:
        """Enqueue a call; returns once Kafka has it. See :meth:`Enqueue.delay`."""
        return self.sender.send(self.compose(args, kwargs, _PLAIN))

    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> Handle:
        """Enqueue a call without blocking the event loop. See :meth:`Enqueue.adelay`."""
        return await self.sender.asend(self.compose(args, kwargs, _PLAIN))

    def delay_many(self, calls: Iterable[tuple[Any, ...] | CallArguments]) -> list[Handle]:
        """Enqueue many calls and wait once for all of them. See :meth:`Enqueue.delay_many`."""
        return self._enqueue.delay_many(calls)

    def options(
        self,
        *,
        key: Key = None,
        queue: str | None = None,
        delay: Duration | None = None,
        at: datetime | None = None,
        expires: Duration | None = None,
        id: str | None = None,  # noqa: A002 - the word users know
        headers: Mapping[str, str | bytes] | None = None,
        ack: str = "all",
    ) -> Enqueue[P]:
        """The same job, with options for calls enqueued through the result.

        >>> send_email.options(key="7", headers={"traceparent": "00-…"}).delay(7)

        Args:
            key: the ordering key, instead of the job's.
            queue: the queue, instead of the job's.
            delay: do not start before this much time has passed. The call waits in the deferred store, and
                takes its place in the order of its key when it is due.
            at: do not start before this time, an aware datetime.
            expires: drop the call if it has not started by then, counted from its time to start.
            id: the call's id, if you have a better one than a new one. Delaying a call again with the same id
                and key replaces the one that waits.
            headers: headers of the record, passed through to ``ctx.headers``.
            ack: ``"all"``: wait for all replicas. ``"none"``: return at once; a failure is an event.

        Raises:
            ValueError: an option is malformed.
        """
        if delay is not None and at is not None:
            raise ValueError("options(delay=…, at=…): give one of them, not both")
        if ack not in ("all", "none"):
            raise ValueError(f'options(ack={ack!r}): expected "all" or "none"')
        if at is not None and at.tzinfo is None:
            raise ValueError(f"options(at={at!r}): expected an aware datetime, such as datetime.now(UTC) + …")
        wait = None if delay is None else seconds(delay)
        if wait is not None and wait > _LONGEST:
            raise ValueError(f"options(delay={delay!r}): that is beyond the year 9999")
        if id is not None and (not isinstance(id, str) or not id or len(id) > 200):
            raise ValueError(f"options(id={id!r}): expected a text of 1 to 200 characters")
        return Enqueue(
            self,
            Options(
                key=key,
                queue=None if queue is None else self.sender.check_queue(queue),
                delay=wait,
                at=at,
                expires=None if expires is None else seconds(expires),
                id=id,
                headers=None if headers is None else _headers(headers),
                ack=ack,
            ),
        )

    def compose(self, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options) -> Call:
        """Write a call: check its arguments, find its key, give it an id.

        Raises:
            ArgumentError: the arguments do not fit the job, or cannot travel as JSON.
        """
        plain = self.arguments.plain(args, kwargs)
        if not plain:
            self._check(args, kwargs)
        call_id, now_ms = self.sender.new_id()
        due = expires = None
        if options is not _PLAIN or self.expires is not None:
            call_id = options.id or call_id
            due = self._due(options, now_ms)
            lifetime = self.expires if options.expires is None else options.expires
            # A time that has passed is as good as now.
            if lifetime is not None:
                expires = min(max(due or 0, now_ms) + int(lifetime * 1000), LATEST)
        try:
            value = _encode(Outgoing(call_id, self.name, args, kwargs, now_ms, due, expires))
            if not plain:
                self.arguments.verify(value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise ArgumentError(self._explained(args, kwargs, error)) from None
        key = self._key_of(args, kwargs) if options.key is None else options.key
        handle = Handle(call_id, self.name, options.queue or self.queue, key, due, sender=self.sender)
        return Call(
            handle,
            value,
            None if key is None else key_bytes(key),
            options.headers,
            options.ack,
            self.policy.order == "relaxed",
        )

    def _check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            self.arguments.check(args, kwargs)
        except Mismatch as error:
            raise ArgumentError(f"{self.name}.delay() {error}") from None

    def _due(self, options: Options, now_ms: int) -> int | None:
        if options.delay is not None:
            return now_ms + milliseconds(options.delay)
        return None if options.at is None else moment_ms(options.at)

    def _compiled_key(self, key: str | Callable[..., Any] | None) -> Callable[..., Any]:
        """A function from a call's arguments to its key."""
        if key is None:
            return lambda args, kwargs: None
        if callable(key):
            return lambda args, kwargs: key(*args, **kwargs)
        if key not in self.arguments.names:
            raise DeclarationError(
                f"job {self.name}: key={key!r} is not a parameter of {self.__qualname__}; its parameters are "
                f"{', '.join(sorted(self.arguments.names)) or 'none'}. A key is a parameter's name or a "
                "function."
            )
        name, position = key, self.arguments.position(key)
        default = self.arguments.defaults.get(name)

        def find(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if position is not None and position < len(args):
                return args[position]
            return kwargs.get(name, default)

        return find

    def _explained(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception) -> str:
        """What is wrong with arguments, with the first one that cannot travel named."""
        named = {**{self.arguments.label(i): value for i, value in enumerate(args)}, **kwargs}
        for name, value in named.items():
            try:
                _encode(value)
            except (TypeError, ValueError, OverflowError, RecursionError):
                return (
                    f"{self.name}.delay(): argument {name}={_short(value)} is of type {type(value).__name__} "
                    "and cannot travel as JSON, so no worker could read it. Pass something that names it, "
                    f"such as its id: {self.__name__}.delay({name}={name}.id)"
                )
        return f"{self.name}.delay(): {error}"


def key_bytes(key: Any) -> bytes:
    """An ordering key as it is written: UTF-8 text.

    Raises:
        ArgumentError: it is not a text, a whole number, a UUID or None.
    """
    if (
        type(key) is str
        or type(key) is int
        or (isinstance(key, str | int | UUID) and not isinstance(key, bool))
    ):
        try:
            return str(key).encode()
        except UnicodeEncodeError:
            raise ArgumentError(
                f"key={_short(key)} has a character that UTF-8 cannot write: half of a surrogate pair"
            ) from None
    raise ArgumentError(
        f"key={_short(key)} is a {type(key).__name__}; an ordering key is a text, a whole number, a UUID or "
        "None, because calls are ordered by its text, which must be the same every time"
    )


def _headers(headers: Mapping[str, str | bytes]) -> Headers:
    found: list[tuple[str, bytes | None]] = []
    for name, value in headers.items():
        if not isinstance(name, str) or name.startswith("kj-"):
            raise ValueError(
                f"options(headers=…): {name!r}: a header's name is a text that does not begin with kj-"
            )
        found.append((name, value.encode() if isinstance(value, str) else bytes(value)))
    return found


def _short(value: Any) -> str:
    try:
        shown = repr(value)
    except Exception:
        return f"<{type(value).__name__} whose repr() fails>"
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
