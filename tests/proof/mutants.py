"""Breaks the core on purpose, one rule at a time, and sees that the simulated worlds notice.

    python -m tests.proof.mutants                 all of them
    python -m tests.proof.mutants no-key-lock     some of them

A mutant that survives means that a promise is not proved.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .mutant import Mutant
from .mutants_core import CORE
from .mutants_store import STORE

ROOT = Path(__file__).resolve().parents[2]

#: Worlds that a mutant is given to be found out in.
WORLDS = 1500

MUTANTS = (*CORE, *STORE)


def try_out(mutant: Mutant, worlds: int) -> tuple[bool, str]:
    """Play worlds with a mutant; whether they found it out, and how."""
    with tempfile.TemporaryDirectory(prefix="kjobs-mutant-") as folder:
        shutil.copytree(ROOT / "kjobs", Path(folder) / "kjobs", ignore=shutil.ignore_patterns("__pycache__"))
        source = Path(folder) / "kjobs" / mutant.module
        text = source.read_text(encoding="utf-8")
        if text.count(mutant.old) != 1:
            return False, f"its place in {mutant.module} is there {text.count(mutant.old)} times, not once"
        source.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        played = subprocess.run(
            # -P: the working directory, which holds the kjobs that is right, is not to be looked in.
            [sys.executable, "-P", "-m", "tests.proof.world", "--worlds", str(worlds)],
            env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
            capture_output=True,
            text=True,
            check=False,
        )
    if played.returncode == 0:
        return False, f"survived {worlds} worlds"
    seed = re.search(r"^seed (\d+):", played.stdout, re.MULTILINE)
    codes = sorted(set(re.findall(r"^ *(I\d+|H0):", played.stdout, re.MULTILINE)))
    if seed is None:
        last = (played.stderr.strip() or "nothing").splitlines()[-1]
        return True, f"crashed: {last}"
    return True, f"seed {seed.group(1)}: {', '.join(codes)}"


def main() -> int:
    """Try out the mutants named on the command line, or all; 1 if one survives."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="mutants to try out; all if none is named")
    parser.add_argument("--worlds", type=int, default=WORLDS)
    options = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if not options.names or mutant.name in options.names]
    begun = time.monotonic()
    survivors = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda mutant: try_out(mutant, options.worlds), chosen)
        for mutant, (killed, how) in zip(chosen, results, strict=True):
            survivors += not killed
            print(
                f"{'killed  ' if killed else 'SURVIVED'} {mutant.name:34} {how:30} {mutant.rule}", flush=True
            )
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants killed in {time.monotonic() - begun:.0f} s")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
