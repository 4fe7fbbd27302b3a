"""The rows, in the order in which a round takes them."""

from __future__ import annotations

from .rows.crash import Crash
from .rows.drain import Drain
from .rows.enqueue import Enqueue
from .rows.fire import Fire
from .rows.imports import Imports
from .rows.lane import Lane
from .rows.latency import Latency
from .rows.lateness import Lateness
from .rows.memory import Memory
from .rows.pauses import Pauses
from .rows.peers import Peers
from .rows.poison import Poison
from .rows.processes import Processes
from .rows.raw import Raw
from .rows.restart import Restart
from .rows.row import Row
from .rows.schedule import Schedule
from .rows.storm import Storm
from .rows.timers import Timers
from .rows.undelayed import Undelayed
from .rows.waiting import Waiting
from .stores import Stores


def rows() -> list[Row]:
    """New rows for a run. The raw loop is next to the drains that are compared with it."""
    stores = Stores()
    nothing = Waiting("nothing-waits", lambda scale: 0)
    few = Waiting("few-wait", lambda scale: scale.few)
    many = Waiting("many-wait", lambda scale: scale.many)
    timers = Waiting("timers", lambda scale: scale.timers)
    return [
        *(Raw(), Drain(), Pauses(), Enqueue(), Latency(), Memory(), Crash()),
        *(Processes(), Storm(), Poison(), Imports()),
        *(Schedule(many), Fire(stores), Restart(stores, many, nothing), Lateness(stores, few, many)),
        *(Undelayed(many, nothing), Lane(), Peers(), Timers(timers)),
    ]
