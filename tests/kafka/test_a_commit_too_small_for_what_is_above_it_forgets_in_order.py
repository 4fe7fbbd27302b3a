"""More is going on above the watermark than a commit has room to tell.

A stuck key lies between thousands of calls that finish and hundreds that wait for another attempt. The
commit tells what it has room for; after a crash the rest runs again, in order, and nothing is lost.
"""

from __future__ import annotations

import random

from kjobs.core.checkpoint import LIMIT, decode
from tests.kafka.scenario import Scenario
from tests.patience import until
from tests.proof import history as h

_CALLS = 5000


def test_a_commit_too_small_for_what_is_above_it_forgets_in_order(scenario: Scenario) -> None:
    scenario.set_up(partitions=1, session=1.5)
    gate = scenario.folder / "gate"
    scenario.enqueue(str(gate), job=scenario.jobs.wait, key="stuck")
    draw = random.Random(15)
    kinds = ((("ok",), "stuck"), (("later ok",), None), (("ok",), None))
    scenario.enqueue_batch(draw.choices(kinds, weights=(3, 4, 3), k=_CALLS))
    victim = scenario.worker()
    until(
        lambda: _overflows(scenario), "a commit that has no room for all that happened", told=scenario.tails
    )
    victim.kill()
    gate.touch()
    scenario.worker().ready()
    scenario.finish()
    history = scenario.judge(forgetful=True)
    assert not [event for event in history if isinstance(event, h.CommitFailed)]
    assert max(event.attempt for event in history if isinstance(event, h.Started)) == 2


def _overflows(scenario: Scenario) -> bool:
    """Whether the group's commit is full, and leaves out attempts that failed before it was made."""
    offset, text = scenario.broker.metadata(scenario.group, (scenario.topic, 0))
    checkpoint = decode(offset, text)
    if checkpoint is None or len(text) < 0.9 * LIMIT:
        return False
    failed = sum(1 for event in scenario.events(h.Effect) if not event.ok)
    assert len(text) <= LIMIT
    assert checkpoint.trials, "no room for a single attempt?"
    return failed > len(checkpoint.trials) + 300
