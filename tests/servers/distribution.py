"""Kafka's own jars, resolved by Maven once and kept in a cache directory."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers.failure import ResolveError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.servers.machine import Machine

KAFKA_VERSION = "4.4.0"

#: Kafka logs through slf4j 1.7 and brings no binding for it; without one its log file stays empty.
_LOG_BINDING = ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.5")

_COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

_REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Distribution:
    """A Kafka that can be started: a Java and the directory of its jars."""

    java: Path
    jars: Path

    def command(self, main: str, *arguments: str, jvm: tuple[str, ...] = ()) -> list[str]:
        """The command line that runs one of Kafka's main classes."""
        return [str(self.java), *jvm, "-cp", str(self.jars / "*"), main, *arguments]


def cache_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the jars are kept: in the repository, or below $KJOBS_CACHE."""
    return Path(environ.get("KJOBS_CACHE") or _REPOSITORY / ".cache") / f"kafka-{KAFKA_VERSION}"


def distribution(machine: Machine, cache: Path | None = None) -> Distribution | None:
    """The Kafka this machine can run, resolved now if it is not in the cache; None if it can run none.

    Raises:
        ResolveError: Maven failed.
    """
    jars = cache or cache_directory()
    if machine.java is None or not (jars.is_dir() or machine.maven):
        return None
    if not jars.is_dir() and machine.maven:
        _resolve(machine.maven, jars)
    return Distribution(machine.java, jars)


def _resolve(maven: Path, jars: Path) -> None:
    """Fill the cache. It appears in one step, so whoever sees the directory sees all of it."""
    jars.parent.mkdir(parents=True, exist_ok=True)
    with _alone(jars.with_name(jars.name + ".lock")):
        if jars.is_dir():  # another process resolved it while this one waited
            return
        work = Path(tempfile.mkdtemp(prefix=jars.name + ".", dir=jars.parent))
        try:
            _copy_dependencies(maven, work)
            (work / "jars").rename(jars)
        finally:
            shutil.rmtree(work)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a lock file: two Mavens that write one local repository at once can corrupt it."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _copy_dependencies(maven: Path, work: Path) -> None:
    print(f"Resolving Kafka {KAFKA_VERSION} with Maven (once, about 45 MB) ...", file=sys.stderr, flush=True)
    (work / "pom.xml").write_text(_pom(("org.apache.kafka", "kafka_2.13", KAFKA_VERSION), _LOG_BINDING))
    done = subprocess.run(
        [
            *(str(maven), "--batch-mode", "--no-transfer-progress", "--file", str(work / "pom.xml")),
            *(_COPY_GOAL, "-DincludeScope=runtime", f"-DoutputDirectory={work / 'jars'}"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode != 0:
        said = done.stdout.decode(errors="replace").splitlines()[-30:]
        raise ResolveError(
            f"Maven ({maven}) could not resolve Kafka {KAFKA_VERSION}; check that it reaches its repository, "
            "then run this again. It said:\n" + "\n".join(said)
        )


def _pom(*dependencies: tuple[str, str, str]) -> str:
    wanted = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>"
        for group, name, version in dependencies
    )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>kjobs</groupId><artifactId>test-server</artifactId><version>1</version>"
        f"<dependencies>{wanted}</dependencies></project>\n"
    )
