"""What this machine has to run a Kafka with: Java, Maven, a Docker engine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.servers.failure import ServerMissingError

OLDEST_JAVA = 17


@dataclass(frozen=True, slots=True)
class Machine:
    """The programs found, each as the path to call it by."""

    java: Path | None = None
    maven: Path | None = None
    docker: Path | None = None

    def lack(self) -> ServerMissingError:
        """Why no broker can be started here, and what to do about it."""
        wanted = [
            name for name, found in (("Java 17 or newer", self.java), ("Maven", self.maven)) if found is None
        ]
        return ServerMissingError(
            f"The tests need a real Kafka and found no {' and no '.join(wanted)} and no Docker engine: "
            "install Java and Maven (Debian and Ubuntu: apt-get install openjdk-17-jre-headless maven), or "
            "start Docker with its compose plugin, or set KJOBS_TEST_KAFKA to the bootstrap servers of a "
            "running Kafka."
        )


def look() -> Machine:
    """Look for Java, Maven and Docker, and ask each whether it works."""
    return Machine(java=_java(), maven=_maven(), docker=_docker())


def _java() -> Path | None:
    """The first Java that is new enough: $JAVA_HOME's, the one on PATH, then the distribution's others."""
    home = os.environ.get("JAVA_HOME")
    on_path = shutil.which("java")
    candidates = [Path(home) / "bin" / "java"] if home else []
    candidates += [Path(on_path)] if on_path else []
    candidates += sorted(Path("/usr/lib/jvm").glob("*/bin/java"))
    return next((java for java in candidates if _java_version(java) >= OLDEST_JAVA), None)


def _java_version(java: Path) -> int:
    version = re.search(r'version "(\d+)', _output(str(java), "-version") or "")
    return int(version[1]) if version else 0


def _maven() -> Path | None:
    maven = shutil.which("mvn")
    return Path(maven) if maven and _output(maven, "--version") is not None else None


def _docker() -> Path | None:
    """Docker, if its engine answers and it has the compose plugin: the client alone starts nothing."""
    docker = shutil.which("docker")
    if docker is None or _output(docker, "info") is None or _output(docker, "compose", "version") is None:
        return None
    return Path(docker)


def _output(*command: str) -> str | None:
    """What a command printed, or None if it cannot be run or failed."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
