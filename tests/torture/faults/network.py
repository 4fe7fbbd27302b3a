"""Bad weather between clients and brokers (F13, F14)."""

from __future__ import annotations

from tests.torture.faults.fault import Fault
from tests.torture.layout import CALLERS, CREWS
from tests.torture.plan import Row
from tests.torture.way import FAIR, Weather

_WEATHERS = {
    "hold": Weather(hold_requests=True, hold_answers=True),
    "hold answers": Weather(hold_answers=True),
    "hold requests": Weather(hold_requests=True),
    "refuse": Weather(refuse=True),
    "slow": Weather(delay=0.2),
    "narrow": Weather(rate=20_000.0),
    "cut": Weather(cut_after=20_000),
}


class _Weathered(Fault):
    """A fault of the links of one party."""

    def turn(self, party: str, weather: Weather) -> None:
        self.claim(f"links:{party}")
        self.where = party
        self._party = party
        if party != CALLERS:
            self.outage(*(life.inc for life in self.stage.desk.lives(crew=party)))
        for link in self.stage.proxy.of(party):
            link.turn(weather)

    def heal(self) -> None:
        for link in self.stage.proxy.of(self._party):
            link.turn(FAIR)
        self.outage_ends()


class F13(_Weathered):
    row = Row(
        name="F13",
        title="connections of one party are reset, held (also one way), refused, slow, cut after some bytes",
        variants=("reset", *_WEATHERS),
        gap=(3.0, 12.0),
        seconds=(1.0, 5.0),
    )

    def inject(self) -> None:
        party = self.one_of((*(crew.name for crew in CREWS), CALLERS, CALLERS))
        self.turn(party, _WEATHERS.get(self.order.variant, FAIR))
        if self.order.variant in ("reset", "refuse"):
            for link in self.stage.proxy.of(party):
                link.reset()


class F14(_Weathered):
    row = Row(
        name="F14",
        title="one crew is cut off from all brokers for longer than its session, with calls in its hands",
        gap=(10.0, 30.0),
        seconds=(6.0, 14.0),
    )

    def inject(self) -> None:
        self.turn(self.one_of([crew.name for crew in CREWS]), _WEATHERS["hold"])


FAULTS = (F13, F14)
