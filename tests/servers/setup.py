"""Prepares this machine for the tests that need a Kafka or a Redis: ``python -m tests.servers.setup``.

As root on Debian or Ubuntu it installs what is missing; anywhere else it says what to install.
"""

from __future__ import annotations

import os
import sys

from tests.servers import redis
from tests.servers.distribution import cache_directory
from tests.servers.failure import NoServerError
from tests.servers.machine import Machine, look
from tests.servers.shared import SharedKafka
from tests.servers.source import Container, Given, Local, find
from tools.debian import install, may_install

#: Debian 12 has the first of these, its successors another one.
_JAVA_PACKAGES = ("openjdk-17-jre-headless", "openjdk-21-jre-headless", "default-jre-headless")


def install_missing(machine: Machine | None) -> None:
    """Install what is missing, if this process may. A later look tells if it worked.

    Args:
        machine: what it has to run a Kafka with; None if it need not.
    """
    missing: list[str | tuple[str, ...]] = []
    if machine is not None and machine.java is None:
        missing.append(_JAVA_PACKAGES)
    if machine is not None and machine.maven is None and not cache_directory().is_dir():
        missing.append("maven")
    if redis.found() is None:
        missing.append(redis.PACKAGES)
    if missing and may_install():
        install(*missing)


def main() -> int:
    """Have everything in place, and say which Kafka and which Redis the tests will use."""
    try:
        install_missing(None if os.environ.get("KJOBS_TEST_KAFKA") else look())
        match find():
            case Given(bootstrap) as source:
                with SharedKafka(source=source) as kafka:
                    kafka.bootstrap()
                print(f"The tests use the Kafka at {bootstrap}.")
            case Local(kafka):
                print(f"The tests start their own Kafka with {kafka.java} and {kafka.jars}.")
            case Container(docker):
                print(f"The tests use the kafka service of compose.yaml, through {docker}.")
        server = redis.found()
        if server is None:
            raise redis.lack()
        print(f"The tests start their own Redis with {server}.")
    except NoServerError as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
