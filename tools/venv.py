"""Makes a virtual environment with a pip that knows dependency groups: ``python -m tools.venv .venv``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tools.debian import install, may_install

#: The first pip that installs the groups of pyproject.toml.
PIP = "pip>=25.1"


def main(directory: str) -> int:
    """Make the environment with this Python."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    print(f"Making {directory} with Python {version} ({sys.executable}) ...", flush=True)
    made = make(directory)
    # Debian and Ubuntu split this part off their Python.
    if made.returncode != 0 and may_install() and install(f"python{version}-venv"):
        made = make(directory)
    if made.returncode != 0:
        print(made.stdout.decode(errors="replace"), file=sys.stderr)
        print(
            f"{sys.executable} cannot make a virtual environment; install its venv module (Debian and "
            f"Ubuntu: apt-get install python{version}-venv), then run this again.",
            file=sys.stderr,
        )
        return 1
    pip = [str(Path(directory) / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    return subprocess.run([*pip, "install", "--upgrade", PIP]).returncode


def make(directory: str) -> subprocess.CompletedProcess[bytes]:
    """Run the venv module. What a failed run left does not disturb the next one."""
    command = [sys.executable, "-m", "venv", directory]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
