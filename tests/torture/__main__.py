"""``python -m tests.torture``: torture kjobs, and tell what was found."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.torture.faults import FAULTS
from tests.torture.plan import read, write
from tests.torture.profile import CUSTOM, PROFILES, plan_of
from tests.torture.run import run
from tests.torture.sabotage import known
from tests.torture.terms import Terms
from tests.torture.verdict import Verdict


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as the arguments say; 0 if nothing was found, else 1."""
    given = _parser().parse_args(arguments)
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    profile = CUSTOM if given.seconds or given.hours else PROFILES[given.profile]
    protocols = profile.protocols
    if given.protocol:
        protocols = ("classic", "consumer") if given.protocol == "both" else (given.protocol,)
    whole = given.seconds or (given.hours or 0) * 3600 or profile.seconds * len(profile.protocols)
    seconds = whole / len(protocols)
    out = given.out or Path(tempfile.mkdtemp(prefix=f"kjobs-torture-{seed}-"))
    only = frozenset(given.only.split(",")) if given.only else frozenset()
    if unknown := only - FAULTS.keys() - {"none"}:
        raise SystemExit(f"no such faults: {', '.join(sorted(unknown))}; there are {', '.join(FAULTS)}")
    began = time.monotonic()

    def told(line: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {line}", file=sys.stderr, flush=True)

    verdicts: list[Verdict] = []
    for protocol in protocols:
        root = out if len(protocols) == 1 else out / protocol
        root.mkdir(parents=True, exist_ok=True)
        if given.plan:
            plan = read(given.plan)
        else:
            plan = [] if "none" in only else plan_of(profile, seed, seconds, given.nodes, only)
        write(plan, root / "plan.jsonl")
        counts = Counter(order.fault for order in plan)
        told(f"seed {seed}: {len(plan)} faults of {len(counts)} kinds in {seconds:,.0f} s, in {root}")
        terms = Terms(
            seed=seed,
            nodes=given.nodes,
            protocol=protocol,
            pace=given.pace or profile.pace,
            mutant=given.mutant,
            drain=given.drain,
        )
        verdict = run(terms, profile.name, seconds, plan, root, told, keep=given.keep)
        verdicts.append(verdict)
        print(verdict.as_json() if given.json else verdict.table(), flush=True)
        for words in verdict.told[: given.told]:
            print(f"\n{words[:3000]}", file=sys.stderr)
    return 0 if all(verdict.good for verdict in verdicts) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.torture",
        description="Break everything around kjobs by a plan that a seed draws, heal it, and judge.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="faults:\n" + "\n".join(f"  {name:<4} {kind.row.title}" for name, kind in FAULTS.items()),
    )
    parser.add_argument("--seed", type=int, help="draws the plan; a new one if not given")
    parser.add_argument("--profile", choices=PROFILES, default="pr", help="how hard and long (default: pr)")
    parser.add_argument("--seconds", type=float, help="how long faults go on, instead of a profile")
    parser.add_argument("--hours", type=float, help="the same, in hours")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="brokers (default: 1)")
    parser.add_argument(
        "--protocol",
        choices=("classic", "consumer", "both"),
        help="of the groups; both: one after the other, half of the time each",
    )
    parser.add_argument("--pace", type=float, help="calls per second of each of two callers")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="carry out this plan (plan.jsonl of a run)")
    parser.add_argument("--only", metavar="F1,F3", help="only these faults; none for no faults")
    parser.add_argument("--drain", type=float, default=240.0, help="seconds to finish everything (240)")
    parser.add_argument("--mutant", default="", choices=("", *known()), metavar="NAME", help="break the core")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where plan, verdict and histories go")
    parser.add_argument("--keep", action="store_true", help="keep the histories of a good run, too")
    parser.add_argument("--json", action="store_true", help="the verdict as JSON")
    parser.add_argument("--told", type=int, default=10, metavar="N", help="violations told in full")
    return parser


if __name__ == "__main__":
    sys.exit(main())
