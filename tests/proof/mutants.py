"""Breaks the core on purpose, one rule at a time, and sees that the simulated worlds notice.

    python -m tests.proof.mutants                 all of them
    python -m tests.proof.mutants no-key-lock     some of them
    python -m tests.proof.mutants --note          and note the world that found each of them out

A mutant that survives means that a promise is not proved. The world that found one out the last time
(``found.json``) is played first, and all others only if it does not any more.
"""

from __future__ import annotations

import argparse
import json
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
from .mutants_saving import SAVING
from .mutants_store import STORE

ROOT = Path(__file__).resolve().parents[2]

#: Worlds that a mutant is given to be found out in.
WORLDS = 1500

MUTANTS = (*CORE, *SAVING, *STORE)

#: Seeds of the worlds that found out mutants, by their names.
FOUND = Path(__file__).with_name("found.json")


def try_out(mutant: Mutant, worlds: int) -> tuple[bool, str]:
    """Whether a mutant is found out, and how: by its test, or by worlds, first by the one that did before."""
    if mutant.test:
        # Without the path of the project's own settings, on which there is the kjobs that is right.
        options = ("-q", "-o", "pythonpath=", "-p", "no:cacheprovider")
        ended = _run(mutant, "pytest", *options, str(ROOT / mutant.test))
        failed = re.search(r"^FAILED \S+::(\w+)", ended.stdout, re.MULTILINE)
        return failed is not None, failed.group(1) if failed else f"survived {mutant.test}"
    seed = json.loads(FOUND.read_text(encoding="utf-8")).get(mutant.name)
    if seed is not None:
        killed, how = _play(mutant, "--first", str(seed), "--worlds", "1")
        if killed:
            return killed, how
    killed, how = _play(mutant, "--worlds", str(worlds))
    return killed, how or f"survived {worlds} worlds"


def _play(mutant: Mutant, *worlds: str) -> tuple[bool, str]:
    """Play worlds with a mutant; whether they found it out, and how."""
    played = _run(mutant, "tests.proof.world", *worlds)
    if played.returncode == 0:
        return False, ""
    seed = re.search(r"^seed (\d+):", played.stdout, re.MULTILINE)
    codes = sorted(set(re.findall(r"^ *(I\d+|H0):", played.stdout, re.MULTILINE)))
    if seed is None:
        last = (played.stderr.strip() or "nothing").splitlines()[-1]
        return True, f"crashed: {last}"
    return True, f"seed {seed.group(1)}: {', '.join(codes)}"


def _run(mutant: Mutant, *module: str) -> subprocess.CompletedProcess[str]:
    """Run a module with a kjobs that has the mutant in it."""
    with tempfile.TemporaryDirectory(prefix="kjobs-mutant-") as folder:
        shutil.copytree(ROOT / "kjobs", Path(folder) / "kjobs", ignore=shutil.ignore_patterns("__pycache__"))
        source = Path(folder) / "kjobs" / mutant.module
        text = source.read_text(encoding="utf-8")
        times = text.count(mutant.old)
        if times != 1:
            raise LookupError(f"{mutant.name}: its place in {mutant.module} is there {times} times, not once")
        source.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        return subprocess.run(
            # -P: the working directory, which holds the kjobs that is right, is not to be looked in.
            [sys.executable, "-P", "-m", *module],
            env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
            capture_output=True,
            text=True,
            check=False,
        )


def note(found: dict[str, int]) -> None:
    """Note the worlds that found out mutants, of those that there are still."""
    known = {mutant.name for mutant in MUTANTS}
    kept = {name: found[name] for name in sorted(found) if name in known}
    # Others read it at the same time: it is whole at every moment.
    fresh = FOUND.with_suffix(".fresh")
    fresh.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    fresh.replace(FOUND)


def main() -> int:
    """Try out the mutants named on the command line, or all; 1 if one survives."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="mutants to try out; all if none is named")
    parser.add_argument("--worlds", type=int, default=WORLDS)
    parser.add_argument("--note", action="store_true", help="note the worlds that found them out")
    options = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if not options.names or mutant.name in options.names]
    begun = time.monotonic()
    survivors = 0
    found: dict[str, int] = json.loads(FOUND.read_text(encoding="utf-8"))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda mutant: try_out(mutant, options.worlds), chosen)
        for mutant, (killed, how) in zip(chosen, results, strict=True):
            survivors += not killed
            if killed and (seed := re.match(r"seed (\d+):", how)):
                found[mutant.name] = int(seed.group(1))
                if options.note:
                    note(found)
            print(
                f"{'killed  ' if killed else 'SURVIVED'} {mutant.name:34} {how:30} {mutant.rule}", flush=True
            )
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants killed in {time.monotonic() - begun:.0f} s")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
