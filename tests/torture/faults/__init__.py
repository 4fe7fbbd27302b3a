"""The faults: each kind a small object named by its number, with what it does and how that is healed."""

from __future__ import annotations

from tests.torture.faults import brokers, calls, hosts, network, processes, records, stores, topics
from tests.torture.faults.fault import Fault, Missed

__all__ = ["FAULTS", "Fault", "Missed"]

_MODULES = (processes, hosts, calls, brokers, network, records, stores, topics)

#: All kinds, by their names.
FAULTS: dict[str, type[Fault]] = {
    kind.row.name: kind
    for kind in sorted(
        (kind for module in _MODULES for kind in module.FAULTS), key=lambda kind: int(kind.row.name[1:])
    )
}
