"""What a worker's machine does to it: no more files, a failing disk, a clock that jumps (F17, F18)."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path

from tests.torture.desk import Life
from tests.torture.faults.fault import Fault, Missed
from tests.torture.plan import Row


class F17(Fault):
    row = Row(
        name="F17",
        title="a worker may open no more files; its indexes of delayed calls are removed, or damaged",
        variants=("files", "removed", "damaged"),
        gap=(10.0, 30.0),
        seconds=(2.0, 5.0),
    )

    def inject(self) -> None:
        life = self.worker("w1", "w2", "w4", "w5")
        if self.order.variant == "files":
            self._limit(life)
            return
        state = self.stage.folders.state / life.crew
        indexes = sorted(path for path in state.rglob("*") if path.is_file() and path.suffix == ".sqlite")
        index = self.one_of(indexes)
        self.where = index.name
        if self.order.variant == "removed":
            for path in index.parent.glob(f"{index.name}*"):
                path.unlink(missing_ok=True)
        else:
            _damage(index)

    def _limit(self, life: Life) -> None:
        self._life = life
        try:
            used = len(list(Path(f"/proc/{life.pid}/fd").iterdir()))
            self._before = resource.prlimit(life.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(life.pid, resource.RLIMIT_NOFILE, (used, self._before[1]))
        except (OSError, ProcessLookupError) as error:
            raise Missed(str(error)) from None
        self.outage(life.inc)

    def heal(self) -> None:
        if self.order.variant == "files":
            with suppress(ProcessLookupError):
                resource.prlimit(self._life.pid, resource.RLIMIT_NOFILE, self._before)
            self.outage_ends()


class F18(Fault):
    row = Row(
        name="F18",
        title="the wall clock of a worker that runs is set an hour ahead, or back",
        variants=("3600", "-3600"),
        gap=(6.0, 15.0),
        seconds=(3.0, 10.0),
    )

    def inject(self) -> None:
        self._life = self.worker()
        self.stage.desk.tell(self._life, do="clock", ahead=float(self.order.variant))

    def heal(self) -> None:
        self.stage.desk.tell(self._life, do="clock", ahead=0.0)


def _damage(index: Path) -> None:
    """Overwrite some of a file, as a disk does that fails."""
    with suppress(OSError), index.open("r+b") as file:
        size = index.stat().st_size
        file.seek(size // 2)
        file.write(os.urandom(min(3000, max(1, size // 3))))


FAULTS = (F17, F18)
