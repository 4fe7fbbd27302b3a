"""A virtual environment with the other job systems, so that what they need is not needed by kjobs."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

from benchmarks.children import ROOT

#: kombu's Redis transport imports it and does not ask for it.
_FORGOTTEN = ("packaging",)


class EnvironmentMissingError(Exception):
    """The environment could not be made; the message says why."""


def python() -> Path:
    """The Python of the environment, which is made and filled if it is not there yet.

    Raises:
        EnvironmentMissingError: that failed.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    directory = ROOT / ".cache" / f"benchmark-peers-{version}"
    requirements = _requirements()
    stamp = directory / "made-for"
    interpreter = directory / "bin" / "python"
    if stamp.exists() and stamp.read_text().splitlines() == requirements:
        return interpreter
    print(f"Installing {', '.join(requirements)} into {directory.relative_to(ROOT)} ...", flush=True)
    _run(sys.executable, "-m", "venv", "--clear", str(directory))
    _run(str(interpreter), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", *requirements)
    stamp.write_text("\n".join(requirements))
    return interpreter


def _requirements() -> list[str]:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    return [*groups["peers"], *_FORGOTTEN]


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        tail = done.stdout.decode(errors="replace").splitlines()[-5:]
        raise EnvironmentMissingError("\n".join([f"{' '.join(command)} failed:", *tail]))
