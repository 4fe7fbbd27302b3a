"""Code that runs around every call: ``app.middleware.append(around)``.

>>> def timed(context: Context, call_next: Callable[[], Any]) -> Any:
...     begun = time.perf_counter()
...     try:
...         return call_next()
...     finally:
...         metrics.timing(context.job, time.perf_counter() - begun)

What a middleware raises counts as raised by the job. Around an ``async def`` job ``call_next()`` gives
an awaitable: such a middleware is ``async def`` itself and awaits it, or returns it as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .context import Context

#: Takes the running call's context and a function that goes on; returns what that returned.
Middleware = Callable[[Context, Callable[[], Any]], Any]


def around(function: Callable[..., Any], middleware: Sequence[Middleware]) -> Callable[..., Any]:
    """A job's function with middleware around it, the first outermost.

    Takes the context first and then the job's arguments.
    """

    def innermost(context: Context, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return function(*args, **kwargs)

    call = innermost
    for layer in reversed(middleware):
        call = _wrapped(layer, call)
    return call


def _wrapped(layer: Middleware, inner: Callable[..., Any]) -> Callable[..., Any]:
    def call(context: Context, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return layer(context, lambda: inner(context, args, kwargs))

    return call
