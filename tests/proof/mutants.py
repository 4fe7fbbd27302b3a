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
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: Worlds that a mutant is given to be found out in.
WORLDS = 1500


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of the core's source that breaks one rule."""

    name: str
    rule: str
    module: str
    old: str
    new: str


MUTANTS = (
    Mutant(
        "watermark-at-highest",
        "the watermark is the lowest unfinished call",
        "partition.py",
        "return self.next_offset if first is None else first.offset",
        "return max(self.high, self.next_offset if first is None else first.offset)",
    ),
    Mutant(
        "high-off-by-one",
        "the highest finished call is in the checkpoint",
        "partition.py",
        "self.high = entry.offset + 1",
        "self.high = entry.offset",
    ),
    Mutant(
        "no-key-lock",
        "only the head of a lane may run",
        "partition.py",
        "            if tail is None:\n                heads.append(entry)",
        "            heads.append(entry)\n            if tail is None:\n                pass",
    ),
    Mutant(
        "finished-runs-again",
        "what the checkpoint says is finished is skipped",
        "partition.py",
        "return not unfinished or offset < unfinished[0][0]",
        "return False",
    ),
    Mutant(
        "unfinished-skipped",
        "what the checkpoint says is unfinished runs",
        "partition.py",
        "return not unfinished or offset < unfinished[0][0]",
        "return True",
    ),
    Mutant(
        "checkpoint-forgets-what-is-ahead",
        "a checkpoint keeps what has not been fetched again",
        "partition.py",
        "unfinished=(*running, *ahead),",
        "unfinished=running,",
    ),
    Mutant(
        "attempts-forgotten",
        "a checkpoint keeps the failures",
        "partition.py",
        "trials=tuple(sorted(trials, key=lambda trial: trial.offset)),",
        "trials=(),",
    ),
    Mutant(
        "restored-attempts-ignored",
        "failures are restored from the checkpoint",
        "partition.py",
        "entry.failures = trial.failures",
        "pass",
    ),
    Mutant(
        "restored-wait-ignored",
        "a backoff goes on after a crash",
        "partition.py",
        "entry.due = trial.due_ms / 1000",
        "entry.due = 0.001",
    ),
    Mutant(
        "epoch-stands-still",
        "the epoch rises with every owner",
        "partition.py",
        "self.epoch = (restored.epoch if restored else 0) + 1",
        "self.epoch = (restored.epoch if restored else 1)",
    ),
    Mutant(
        "attempts-not-counted",
        "a failure is counted",
        "scheduler.py",
        "entry.failures = failures",
        "pass",
    ),
    Mutant(
        "burial-counted-early",
        "a failure counts only once its consequence is durable",
        "scheduler.py",
        "            case Bury():\n",
        "            case Bury(attempts=attempts):\n                entry.failures = attempts\n",
    ),
    Mutant(
        "closed-partition-still-counts",
        "outcomes of an earlier assignment do not count",
        "scheduler.py",
        "            if partition.closed:\n                if not (entry.more",
        "            if False:\n                if not (entry.more",
    ),
    Mutant(
        "state-kept-after-revoke",
        "a partition that was taken away is forgotten",
        "scheduler.py",
        "partition = self.partitions.pop(place, None)\n            if partition is None:",
        "partition = self.partitions.get(place)\n            if partition is None:",
    ),
    Mutant(
        "no-lock-across-assignments",
        "a key stays locked while a call of an earlier assignment runs",
        "scheduler.py",
        "partition.locks = {key: [] for place, key in self._orphans if place == event.place}",
        "partition.locks = {}",
    ),
    Mutant(
        "orphan-never-ends",
        "the key is free once that call ends",
        "scheduler.py",
        "for waiting in partition.locks.pop(token, ()):",
        "for waiting in ():",
    ),
    Mutant(
        "no-lease",
        "nothing begins when the group has not been heard from",
        "scheduler.py",
        "self._commands.append(Lease(until))",
        "self._commands.append(Lease(until + 1000.0))",
    ),
    Mutant(
        "lease-counts-from-the-answer",
        "the lease counts from when the commit was sent",
        "scheduler.py",
        "partition, until = answered\n",
        "partition, until = answered[0], now + self._commits.rhythm.lease\n",
    ),
    Mutant(
        "open-at-once",
        "nothing begins before the group confirmed the assignment",
        "partition.py",
        "return self.confirmed and self.stored.caught_up",
        "return self.stored.caught_up",
    ),
    Mutant(
        "passes-before-the-burial",
        "an offset passes only after its dead letter was acknowledged",
        "scheduler.py",
        "                entry.burial = disposition\n                partition.burying += 1\n",
        "                entry.burial = disposition\n                self._settle(entry, now)\n",
    ),
    Mutant(
        "refused-burial-taken-for-done",
        "a burial that was refused is tried again",
        "scheduler.py",
        "self._not_buried(entry, now)",
        "self._buried(entry, now)",
    ),
    Mutant(
        "refused-burial-forgotten",
        "a burial that was refused is tried again",
        "scheduler.py",
        "self._later(now + BURIAL_PAUSE, entry)",
        "pass",
    ),
    Mutant(
        "retry-lets-key-go",
        "a failing call holds its key",
        "scheduler.py",
        "        if not holds_lane:\n            entry.loose = True",
        "        if True:\n            entry.loose = True",
    ),
    Mutant(
        "backoff-ignored",
        "a retry waits for its time",
        "scheduler.py",
        "        if entry.due > now:\n",
        "        if False:\n",
    ),
    Mutant(
        "timer-lost",
        "a waiting call comes back",
        "scheduler.py",
        "                self._offer(entry, now)\n\n    def _release",
        "                pass\n\n    def _release",
    ),
    Mutant(
        "starts-while-revoking",
        "nothing begins of a partition that is taken away",
        "scheduler.py",
        "                partition.open = False\n                partition.leaving = True\n        "
        "self._commands.append(Recall(places))",
        "                partition.leaving = True\n        self._commands.append(Recall(places))",
    ),
    Mutant(
        "starts-after-loss",
        "nothing begins of a partition that is lost",
        "scheduler.py",
        "            partition.open = False\n            partition.closed = True",
        "            partition.closed = True",
    ),
    Mutant(
        "starts-after-stop",
        "nothing begins once the worker is to stop",
        "scheduler.py",
        "            partition.open = False\n            partition.leaving = True\n        "
        "self._commands.append(Recall(None))",
        "            pass",
    ),
    Mutant(
        "chain-runs-twice",
        "a call that a slot goes on with is not handed out again",
        "scheduler.py",
        "if head is not None and entry.more:",
        "if False:",
    ),
    Mutant(
        "recalled-forgotten",
        "a call that was taken back unbegun is handed out again",
        "scheduler.py",
        "            self._offer(entry, now)\n\n    def _orphan_ended",
        "\n    def _orphan_ended",
    ),
    Mutant(
        "silent-when-idle",
        "unchanged offsets are committed, too: the lease depends on it",
        "commits.py",
        "chosen = list(partitions)",
        "chosen = [partition for partition in partitions if partition.dirty]",
    ),
    Mutant(
        "commits-seldom",
        "what finished is committed soon",
        "commits.py",
        "if since >= self.rhythm.idle:",
        "if since < 8 * self.rhythm.idle:\n            return []\n        if since >= self.rhythm.idle:",
    ),
    Mutant(
        "no-bounds",
        "no more is held than the bounds allow",
        "buffer.py",
        '        """How many records may be fetched now."""\n',
        '        """How many records may be fetched now."""\n        return 1000\n',
    ),
    Mutant(
        "never-resumes",
        "a paused partition is read again",
        "buffer.py",
        "if not self._pausing or now - self._paused_at < self.bounds.patience:\n            return ()",
        "if partitions:\n            return ()",
    ),
    Mutant(
        "gap-not-told",
        "what retention removed is told",
        "resume.py",
        "return Resumption(low, checkpoint, gap=(committed, low))",
        "return Resumption(low, checkpoint)",
    ),
    Mutant(
        "new-group-starts-late",
        "a new group begins at the first record",
        "resume.py",
        "if committed is None or committed < 0:\n        return Resumption(low)",
        "if committed is None or committed < 0:\n        return Resumption(high)",
    ),
    Mutant(
        "refused-deferral-taken-for-done",
        "an offset passes only after the store has acknowledged its call",
        "deferral.py",
        "                self._later(now + PAUSE, entry)\n",
        "                self._deferred(entry) if entry.deferral else self._erased(entry, now)\n",
    ),
    Mutant(
        "deferral-refused-and-forgotten",
        "what the store refused is tried again",
        "deferral.py",
        "                self._later(now + PAUSE, entry)\n",
        "                pass\n",
    ),
    Mutant(
        "not-parked",
        "later calls of a key that waits in the store wait behind it",
        "deferral.py",
        "if entry.key is not None and entry.key in stored.lanes:",
        "if False:",
    ),
    Mutant(
        "lane-behind-left-in-memory",
        "what is behind a call that is deferred goes with it",
        "deferral.py",
        "        self._write(entry, due)\n        self.send_back(behind)",
        "        self._write(entry, due)",
    ),
    Mutant(
        "parked-due-at-once-without-failures",
        "a deferred call keeps its failures",
        "deferral.py",
        "        failures=entry.failures,\n        since_ms",
        "        failures=0,\n        since_ms",
    ),
    Mutant(
        "retry-from-the-store-forgets-failures",
        "a retry of a stored call keeps its failures",
        "deferral.py",
        "            failures=entry.failures,\n            rank",
        "            failures=0,\n            rank",
    ),
    Mutant(
        "due-forgotten",
        "a deferred call is not due before its time",
        "deferral.py",
        "due_ms = -int(-due * 1000 // 1)",
        "due_ms = 0",
    ),
    Mutant(
        "transferred-call-runs-again",
        "a call that is in the store already is passed over in the queue",
        "deferral.py",
        "if offset in stored.sources:",
        "if False:",
    ),
    Mutant(
        "erase-refused-and-forgotten",
        "a call that is through is taken out of the store",
        "deferral.py",
        "self._command(Erase(entry) if entry.ended else Defer(entry))",
        "self._command(Defer(entry)) if not entry.ended else None",
    ),
    Mutant(
        "follows-before-the-erase",
        "a call of the queue follows one of the store only once that is erased for good",
        "deferral.py",
        "if entry.counted and entry.next is not None and entry.next.row is not None:",
        "if True:",
    ),
    Mutant(
        "due-call-jumps-the-queue",
        "a delayed call takes its place behind what is in the queue by then",
        "deferral.py",
        "            if partition.next_offset >= place:",
        "            if True:",
    ),
    Mutant(
        "due-call-never-takes-its-place",
        "a delayed call runs once the queue has been read up to its place",
        "deferral.py",
        "while appointments and appointments[0][0] <= read:",
        "while False:",
    ),
    Mutant(
        "lane-fetched-while-it-is-written",
        "a lane is fetched only when nothing of it is on its way",
        "deferral.py",
        "if lane is None or lane.asked or lane.writes or key in partition.tails:",
        "if lane is None or lane.asked or key in partition.tails:",
    ),
    Mutant(
        "lane-never-fetched",
        "what is parked comes back",
        "deferral.py",
        "        self._command(FetchLane(partition.place, key, partition.next_offset))",
        "        pass",
    ),
    Mutant(
        "cancelled-call-begins",
        "a call that was cancelled for certain does not begin",
        "deferral.py",
        "            entry.cancelled = True\n",
        "            pass\n",
    ),
    Mutant(
        "fed-before-caught-up",
        "nothing is fed before the store has told what it has",
        "deferral.py",
        "            partition.stash(records)\n            return",
        "            pass",
    ),
    Mutant(
        "taken-told-twice",
        "what is in the scheduler's hands is not given out again",
        "../deferred/memory.py",
        "            self._taken.update(row.offset for row in found)\n        return found",
        "            pass\n        return found",
    ),
    Mutant(
        "highest-offset-does-not-win",
        "of several records of a call the last one counts",
        "../deferred/memory.py",
        "if existing.offset >= change.offset and not unaware(existing, change):",
        "if True:",
    ),
)


def try_out(mutant: Mutant, worlds: int) -> tuple[bool, str]:
    """Play worlds with a mutant; whether they found it out, and how."""
    with tempfile.TemporaryDirectory(prefix="kjobs-mutant-") as folder:
        shutil.copytree(ROOT / "kjobs", Path(folder) / "kjobs", ignore=shutil.ignore_patterns("__pycache__"))
        source = Path(folder) / "kjobs" / "core" / mutant.module
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
