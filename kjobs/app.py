"""The app: a registry of jobs, their configuration, and the one producer of a process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from .config import Settings, load
from .core.concurrency import Concurrency
from .core.deferred import Verdict
from .core.duration import Duration, seconds
from .core.isolation import Isolation
from .core.policy import Backoff, Order, Policy
from .core.topics import Names, check_queue
from .errors import DeclarationError, UnknownJob
from .handle import Handle
from .ids import Ids, IdSource
from .job import Call, Job, Key
from .sender import KafkaSender, Transport

if TYPE_CHECKING:
    from .middleware import Middleware

P = ParamSpec("P")
R = TypeVar("R")


class App:
    """Jobs and their configuration. Most programs need none: ``kjobs.job`` belongs to a default app.

    >>> app = App(bootstrap_servers="kafka:9092", group="shop")
    >>> @app.job(queue="mail")
    ... def send_email(user_id: int) -> None: ...

    Args:
        settings: any setting of :class:`kjobs.config.Settings`; they win over environment and files.
    """

    def __init__(self, **settings: Any) -> None:
        self._arguments = settings
        self._settings: Settings | None = None
        self._jobs: dict[str, Job[Any, Any]] = {}
        #: What makes the calls' ids; tests put another one here.
        self.ids: IdSource = Ids()
        #: What sends the calls; tests put another one here.
        self.sender: Transport = KafkaSender(lambda: self.settings)
        self.middleware: list[Middleware] = []

    # --- configuration -----------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """The settings, gathered when they are first needed.

        Raises:
            ConfigError: a setting is unknown, malformed or not allowed.
        """
        if self._settings is None:
            self._settings = load(self._arguments)
        return self._settings

    def configure(self, **settings: Any) -> None:
        """Set settings in code, over those given before; None leaves one as it is.

        Raises:
            ConfigError: a setting is unknown, malformed or not allowed.
        """
        arguments = {**self._arguments, **{k: v for k, v in settings.items() if v is not None}}
        self._settings = load(arguments)
        self._arguments = arguments

    @property
    def names(self) -> Names:
        """How queues and topics are named."""
        return Names(self.settings.prefix)

    # --- jobs --------------------------------------------------------------------------------------

    @overload
    def job(self, function: Callable[P, R], /) -> Job[P, R]: ...
    @overload
    def job(
        self,
        /,
        *,
        name: str | None = None,
        aliases: Iterable[str] = (),
        queue: str = "default",
        key: str | Callable[..., Key] | None = None,
        retries: int = 8,
        backoff: Backoff = ...,
        retry_on: type[BaseException] | tuple[type[BaseException], ...] = ...,
        discard_on: type[BaseException] | tuple[type[BaseException], ...] = (),
        deadline: Duration | None = None,
        timeout: Duration | None = None,
        expires: Duration | None = None,
        order: Order = "strict",
        concurrency: int | Concurrency | None = None,
        isolate: bool | Isolation = False,
    ) -> Callable[[Callable[P, R]], Job[P, R]]: ...
    def job(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        aliases: Iterable[str] = (),
        queue: str = "default",
        key: str | Callable[..., Key] | None = None,
        retries: int = 8,
        backoff: Backoff = Backoff(),  # noqa: B008 - frozen
        retry_on: type[BaseException] | tuple[type[BaseException], ...] = (Exception,),
        discard_on: type[BaseException] | tuple[type[BaseException], ...] = (),
        deadline: Duration | None = None,
        timeout: Duration | None = None,
        expires: Duration | None = None,
        order: Order = "strict",
        concurrency: int | Concurrency | None = None,
        isolate: bool | Isolation = False,
    ) -> Any:
        """Turn a function into a job.

        >>> @job(queue="mail", key="user_id", retries=8)
        ... def send_email(user_id: int, template: str = "welcome") -> None: ...

        Args:
            function: the function, where the decorator is used bare.
            name: under which calls are enqueued; ``module.function`` if not given. A stable name of your
                own survives moving the function.
            aliases: other names under which calls may still be waiting.
            queue: where its calls go.
            key: what its calls are ordered by: a parameter's name, or a function of the arguments.
                Without a key they are not ordered.
            retries: attempts after the first. With the default backoff, 8 retries take about four minutes,
                eight and a half at most.
            backoff: how long to wait before each retry.
            retry_on: exceptions worth another attempt; any other ends as a dead letter at once.
            discard_on: exceptions that end a call quietly.
            deadline: after this much time since enqueueing, no further attempt is begun.
            timeout: how long one attempt may take.
            expires: a call that has not started by then is dropped.
            order: ``"strict"``: a failing call holds its key. ``"relaxed"``: later calls pass it.
            concurrency: how many calls may run at a time in each worker process; others wait aside and block
                nobody. :class:`kjobs.Concurrency` limits them by a part of the key.
            isolate: run each call in a process of its own, which may crash and takes nothing else with it;
                :class:`kjobs.Isolation` also limits its memory and processor time.

        Raises:
            DeclarationError: something of this cannot be.
        """

        def declare(function: Callable[..., Any]) -> Job[..., Any]:
            label = name or f"{_module_name(function)}.{function.__qualname__}"
            try:
                declared = Job(
                    function,
                    self,
                    name=label,
                    aliases=tuple(aliases),
                    queue=check_queue(queue),
                    key=key,
                    policy=Policy(
                        retries=retries,
                        backoff=backoff,
                        retry_on=_classes(retry_on),
                        discard_on=_classes(discard_on),
                        deadline=None if deadline is None else seconds(deadline),
                        timeout=None if timeout is None else seconds(timeout),
                        order=order,
                        concurrency=Concurrency(concurrency) if isinstance(concurrency, int) else concurrency,
                        isolate=Isolation() if isolate is True else isolate or None,
                    ),
                    expires=None if expires is None else seconds(expires),
                )
            except DeclarationError:
                raise
            except ValueError as error:
                raise DeclarationError(f"job {label}: {error}") from None
            self._register(declared)
            return declared

        return declare if function is None else declare(function)

    def _register(self, job: Job[Any, Any]) -> None:
        names = (job.name, *job.aliases)
        for name in names:
            other = self._jobs.get(name)
            if other is not None and (other.__module__, other.__qualname__) != (
                job.__module__,
                job.__qualname__,
            ):
                raise DeclarationError(
                    f"job {name} is declared twice: by {other.__module__}.{other.__qualname__} and by "
                    f"{job.__module__}.{job.__qualname__}. A worker could not tell whose a call is; give one "
                    "of them another name=."
                )
        for name in names:
            self._jobs[name] = job

    @property
    def jobs(self) -> dict[str, Job[Any, Any]]:
        """The jobs by name and alias."""
        return self._jobs

    def find(self, name: str) -> Job[Any, Any]:
        """The job of this name.

        Raises:
            UnknownJob: there is none.
        """
        found = self._jobs.get(name)
        if found is None:
            import difflib  # only needed for this message

            close = difflib.get_close_matches(name, self._jobs, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise UnknownJob(f"no job {name!r} is registered.{hint}")
        return found

    # --- enqueueing --------------------------------------------------------------------------------

    def new_id(self) -> tuple[str, int]:
        """A new id for a call, and the time (ms since the epoch)."""
        return self.ids.new_id()

    def check_queue(self, queue: str) -> str:
        """Return the queue's name if its topics' names are allowed.

        Raises:
            ValueError: they are not.
        """
        return self.names.check(queue)

    def send(self, call: Call) -> Handle:
        """Send one call; see ``Enqueue.delay``."""
        return self.sender.send(call)

    async def asend(self, call: Call) -> Handle:
        """Send one call without blocking the event loop; see ``Enqueue.adelay``."""
        return await self.sender.asend(call)

    def send_many(self, calls: Iterable[Call]) -> list[Handle]:
        """Send calls and wait once for all of them; see ``Enqueue.delay_many``."""
        return self.sender.send_many(calls)

    def cancel(self, handle: Handle) -> Verdict:
        """Let a call not run; see ``Handle.cancel``."""
        return self.sender.cancel(handle)

    def reschedule(self, handle: Handle, due_ms: int) -> Verdict:
        """Let a call run at another time (ms since the epoch); see ``Handle.reschedule``."""
        return self.sender.reschedule(handle, due_ms)

    def batch(self) -> AbstractContextManager[object]:
        """Collect the calls enqueued inside, send them at the end and wait once for all of them.

        >>> with app.batch():
        ...     for user in users:
        ...         send_email.delay(user.id)

        Raises:
            BatchError: some calls were not enqueued; it lists them. Raised at the end of the block.
        """
        return self.sender.batch()

    def close(self) -> None:
        """Send what waits and close the producer; the next call opens a new one."""
        self.sender.close()


def _module_name(function: Callable[..., Any]) -> str:
    """The module of a function, as another process would import it: a script is not ``__main__`` there."""
    if function.__module__ != "__main__":
        return function.__module__
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name).removesuffix(".__main__")
    path = getattr(main, "__file__", None)
    return Path(path).stem if path else "__main__"


def _classes(kinds: type[BaseException] | Iterable[type[BaseException]]) -> tuple[type[BaseException], ...]:
    return (kinds,) if isinstance(kinds, type) else tuple(kinds)


#: The app of the module-level ``job``, ``batch`` and commands.
default_app = App()
