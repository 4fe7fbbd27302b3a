"""Runs the tests that need no Kafka on every Python found: ``make test-all``."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSIONS = ("3.11", "3.12", "3.13", "3.14")

#: ``make test`` plays all the simulated worlds; what differs between interpreters shows in fewer.
ARGS = "--worlds 300"


def main() -> int:
    """Run ``make unit`` with each interpreter in an environment of its own, and say how each did."""
    found = {version: path for version in VERSIONS if (path := find(version)) is not None}
    print("Python versions found:")
    for version in VERSIONS:
        print(f"  {version}  {found.get(version, '-')}")
    results: dict[str, str] = {}
    for version, path in found.items():
        print(f"\n== Python {version} ==", flush=True)
        began = time.monotonic()
        make = [os.environ.get("MAKE", "make"), "--no-print-directory", "unit"]
        done = subprocess.run([*make, f"VENV=.venv-{version}", f"PYTHON={path}", f"ARGS={ARGS}"])
        word = "passed" if done.returncode == 0 else "FAILED"
        results[version] = f"{word} in {time.monotonic() - began:.0f} s"
    print("\nTests without Kafka:")
    for version, result in results.items():
        print(f"  Python {version}  {result}")
    return 0 if results and all(result.startswith("passed") for result in results.values()) else 1


def find(version: str) -> str | None:
    """The first interpreter of this version that runs; a pyenv shim may exist without its Python."""
    return next((path for candidate in candidates(version) if (path := ask(candidate, version))), None)


def candidates(version: str) -> Iterator[str]:
    """Where an interpreter of this version may be: this one, on PATH, in pyenv."""
    yield sys.executable
    yield f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for installed in sorted(pyenv.glob(f"versions/{version}.*/bin/python")):
        yield str(installed)


def ask(interpreter: str, version: str) -> str | None:
    """The interpreter's own path, if it runs and is of this version."""
    # The base: an interpreter of an environment, ours for one, must not be the parent of another environment.
    question = "import sys; print('%d.%d' % sys.version_info[:2], sys._base_executable)"
    try:
        done = subprocess.run(
            [interpreter, "-c", question], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError:
        return None
    answered, _, path = done.stdout.decode().strip().partition(" ")
    return path if done.returncode == 0 and answered == version else None


if __name__ == "__main__":
    sys.exit(main())
