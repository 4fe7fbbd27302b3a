"""Where the tests get their Kafka from, in order of preference."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.servers.distribution import Distribution, distribution
from tests.servers.machine import Machine, look

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Given:
    """One that runs already, named by $KJOBS_TEST_KAFKA."""

    bootstrap: str


@dataclass(frozen=True, slots=True)
class Local:
    """One of our own, started with Java."""

    kafka: Distribution


@dataclass(frozen=True, slots=True)
class Container:
    """The kafka service of compose.yaml, started with Docker."""

    docker: Path


Source = Given | Local | Container


def find(environ: Mapping[str, str] = os.environ, look_around: Callable[[], Machine] = look) -> Source:
    """Find a Kafka for the tests.

    Raises:
        NoServerError: there is none; the message says what to install.
    """
    bootstrap = environ.get("KJOBS_TEST_KAFKA")
    if bootstrap:
        return Given(bootstrap)
    machine = look_around()
    kafka = distribution(machine)
    if kafka is not None:
        return Local(kafka)
    if machine.docker is not None:
        return Container(machine.docker)
    raise machine.lack()
