"""``python -m tests.proof.world``: play many worlds, or one again.

python -m tests.proof.world --worlds 3000
python -m tests.proof.world --seed 17 --trace
"""

from __future__ import annotations

import argparse
import sys
import time

from .world import World


def play(seeds: range) -> tuple[int, int]:
    """Play worlds until one fails; returns how many were played, and events."""
    events = 0
    for seed in seeds:
        world = World(seed)
        violations = world.run()
        events += len(world.history)
        if violations:
            print(f"seed {seed}: {len(violations)} violations")
            for violation in violations[:10]:
                print(" ", violation)
            print(f"play it again: python -m tests.proof.world --seed {seed} --trace")
            sys.exit(1)
    return len(seeds), events


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=300, help="how many worlds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="play this one only")
    parser.add_argument("--trace", action="store_true", help="print its history")
    options = parser.parse_args()
    if options.seed is not None:
        world = World(options.seed)
        violations = world.run()
        print(world.plan)
        if options.trace:
            for event in sorted(world.history, key=lambda event: event.t):
                print(event)
        for violation in violations:
            print(violation)
        sys.exit(1 if violations else 0)
    begun = time.monotonic()
    played, events = play(range(options.first, options.first + options.worlds))
    seconds = time.monotonic() - begun
    print(f"{played} worlds, {events:,} events, no violation, {played / seconds:.0f} worlds/s")


if __name__ == "__main__":
    main()
