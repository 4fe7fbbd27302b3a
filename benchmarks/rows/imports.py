"""What ``import kjobs`` costs a program that enqueues."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from benchmarks.bench import Bench
from benchmarks.children import ROOT
from benchmarks.measure import Measure


class Imports:
    """A Python that imports kjobs, less one that imports nothing."""

    name = "import"
    title = "The time of `import kjobs`"
    about = (
        'The median of 20 runs of `python -c "import kjobs"`, less that of `python -c pass`, taken in turns, '
        "with compiled files in place."
    )
    measures: Sequence[Measure] = (Measure("import.kjobs", "import kjobs", "ms"),)

    def prepare(self, bench: Bench) -> None:
        """Compile, by importing once."""
        self._seconds(bench, "import kjobs")

    def measure(self, bench: Bench) -> Iterator[tuple[str, float]]:
        """Run both in turns."""
        imports, nothing = [], []
        for _ in range(bench.scale.imports):
            imports.append(self._seconds(bench, "import kjobs"))
            nothing.append(self._seconds(bench, "pass"))
        yield "import.kjobs", 1000 * (statistics.median(imports) - statistics.median(nothing))

    @staticmethod
    def _seconds(bench: Bench, statement: str) -> float:
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], cwd=ROOT, env=dict(bench.environ()), check=True)
        return time.perf_counter() - begun
