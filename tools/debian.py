"""Installs what is missing on Debian and Ubuntu, where this process may: in containers, on build machines."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

_APT = ("apt-get", "-qq", "--yes", "--no-install-recommends")


def may_install() -> bool:
    """Whether this is root on a system with apt."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(*wanted: str | tuple[str, ...]) -> bool:
    """Install packages, saying so first; whether it worked. Ask may_install() before.

    Of several names for one thing, the first that this release offers is installed.
    """
    _run(*_APT, "update")  # a fresh container knows no package; without a network the old lists may do
    packages = [name if isinstance(name, str) else _first_offered(name) for name in wanted]
    print(f"Installing {' and '.join(packages)} with apt ...", file=sys.stderr, flush=True)
    return _run(*_APT, "install", *packages)


def _first_offered(names: tuple[str, ...]) -> str:
    for name in names:
        if subprocess.run(["apt-cache", "show", name], capture_output=True).stdout:
            return name
    return names[0]


def _run(*command: str) -> bool:
    """Run quietly; what was said is worth reading only when it failed."""
    done = subprocess.run(
        command,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode != 0:
        print(done.stdout.decode(errors="replace"), file=sys.stderr)
    return done.returncode == 0
