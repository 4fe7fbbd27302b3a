"""What a worker process imports: it is to be back soon when it was killed."""

from __future__ import annotations

import subprocess
import sys


def test_a_worker_process_imports_nothing_that_it_may_not_need() -> None:
    needed = "kjobs.cli.worker, kjobs.worker.worker, kjobs.worker.isolation.cells, kjobs.deferred.files"
    program = f"import sys, {needed}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    loaded = set(done.stdout.split())
    assert "confluent_kafka" in loaded
    spared = {
        "http.server",
        "importlib.metadata",
        "email",
        "kjobs.supervisor.supervisor",
        "kjobs.health.server",
    }
    assert not spared & loaded
