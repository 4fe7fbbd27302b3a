"""Virtual environments with the other job systems, so that what they need is not needed by kjobs."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from benchmarks.children import ROOT

#: kombu's Redis transport imports it and does not ask for it.
_FORGOTTEN = ("packaging",)
#: Apart from the others: it works with an older client of Redis only than they do.
_ARQ = ("arq>=0.28",)


class EnvironmentMissingError(Exception):
    """An environment could not be made; the message says why."""


def python(system: str = "") -> Path:
    """The Python of the environment of a job system, which is made and filled if it is not there yet.

    Args:
        system: which one; most have one environment together.

    Raises:
        EnvironmentMissingError: that failed.
    """
    if system == "arq":
        return _python("benchmark-arq", _ARQ)
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    return _python("benchmark-peers", (*groups["peers"], *_FORGOTTEN))


def _python(name: str, requirements: Sequence[str]) -> Path:
    directory = ROOT / ".cache" / f"{name}-{sys.version_info.major}.{sys.version_info.minor}"
    stamp = directory / "made-for"
    interpreter = directory / "bin" / "python"
    if stamp.exists() and stamp.read_text().splitlines() == list(requirements):
        return interpreter
    print(f"Installing {', '.join(requirements)} into {directory.relative_to(ROOT)} ...", flush=True)
    _run(sys.executable, "-m", "venv", "--clear", str(directory))
    _run(str(interpreter), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", *requirements)
    stamp.write_text("\n".join(requirements))
    return interpreter


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        tail = done.stdout.decode(errors="replace").splitlines()[-5:]
        raise EnvironmentMissingError("\n".join([f"{' '.join(command)} failed:", *tail]))
