"""Finds the modules that declare jobs, and the app they declare them in."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import click

from ..app import App, default_app


def load_app(modules: Sequence[str]) -> App:
    """Import modules that declare jobs, and return their app.

    Args:
        modules: dotted names; ``shop.jobs:app`` names an ``App`` other than the default one. If none are
            given, the ``modules`` setting is used.

    Raises:
        click.UsageError: a module cannot be imported, or there is no app of that name in it.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    named = modules or default_app.settings.modules
    if not named:
        raise click.UsageError(
            "no module is given. Name the modules that declare jobs, as in `kjobs worker shop.jobs`, or set "
            "`modules` in kjobs.toml."
        )
    apps = {id(app): app for app in map(_load, named)}
    if len(apps) > 1:
        raise click.UsageError(f"modules of different apps: {', '.join(named)}. A worker serves one app.")
    return next(iter(apps.values()))


def _load(name: str) -> App:
    module_name, _, attribute = name.partition(":")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if module_name == missing or module_name.startswith(f"{missing}."):
            hint = _hint(module_name)
            raise click.UsageError(
                f"there is no module {module_name!r} in {Path.cwd()} or on the path.{hint}"
            ) from None
        raise click.UsageError(f"importing {module_name} failed: there is no module {missing!r}") from error
    if not attribute:
        return default_app
    app = getattr(module, attribute, None)
    if not isinstance(app, App):
        raise click.UsageError(f"{module_name} has no kjobs.App named {attribute!r}")
    return app


def _hint(name: str) -> str:
    if name.endswith(".py") or "/" in name:
        dotted = name.removesuffix(".py").strip("./").replace("/", ".")
        return f" Modules are named with dots: did you mean {dotted}?"
    return ""


def queues_of(app: App, queues: Sequence[str] = ()) -> dict[str, int]:
    """The queues to serve, each with its weight: those named, else those of the app's jobs.

    Args:
        app: whose jobs they are of.
        queues: names with commas or several times, such as "critical:4,default"; without a weight it is 1.

    Raises:
        click.UsageError: there is none, or a weight is no whole number of at least 1.
    """
    named = [part.strip() for text in queues for part in text.split(",") if part.strip()]
    found = dict(map(_weighed, named or sorted({job.queue for job in app.jobs.values()})))
    if not found:
        raise click.UsageError(
            "the modules declare no jobs, so there are no queues. Decorate a function with @job."
        )
    return found


def _weighed(text: str) -> tuple[str, int]:
    name, colon, weight = text.partition(":")
    if colon and not (weight.isdecimal() and int(weight) > 0):
        raise click.UsageError(
            f"queue {text!r}: the weight is to be a whole number of at least 1, as in mail:4"
        )
    return name, int(weight) if colon else 1
