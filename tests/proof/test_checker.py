"""Is the judge just? Right runs are left alone, wrong ones are caught for what is wrong with them."""

from __future__ import annotations

import random
import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

# These note their histories when they are imported.
from . import (  # noqa: F401
    bad_histories_attempts,
    bad_histories_delayed,
    bad_histories_ends,
    bad_histories_frame,
    bad_histories_states,
    good_histories_delayed,
    good_histories_quiet,
)
from .bad_histories import BAD, Bad
from .checker import CODES, Config, Violation, check
from .good_histories import GOOD
from .history import Buffered, Enqueued, Logged
from .reference_model import STEPS, Model
from .script import Script
from .wrong_models import WRONG


def codes(violations: list[Violation]) -> set[str]:
    """Under which codes a history was found wrong."""
    return {violation.code for violation in violations}


def told(violations: list[Violation]) -> str:
    """What was found, for the message of a failed test."""
    return "\n".join(map(str, violations)) or "nothing was found"


# --- by hand -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GOOD)
def test_a_right_run_is_left_alone(name: str) -> None:
    tale, config = GOOD[name]
    script = Script()
    tale(script)
    violations = check(script.finish(), config=config)
    assert not violations, told(violations)


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_a_wrong_run_is_caught_for_what_is_wrong(bad: Bad) -> None:
    script = Script()
    bad.tale(script, True)
    violations = check(script.finish(), config=bad.config)
    assert codes(violations) == {bad.code} | bad.also, told(violations)


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_without_the_wrong_step_it_is_right(bad: Bad) -> None:
    script = Script()
    bad.tale(script, False)
    violations = check(script.finish(), config=bad.config)
    assert not violations, told(violations)


def test_every_code_has_a_wrong_run() -> None:
    assert {bad.code for bad in BAD} == set(CODES)


def test_a_history_need_not_come_sorted() -> None:
    tale, config = GOOD["everyday"]
    script = Script()
    tale(script)
    history = script.finish()
    random.Random(1).shuffle(history)
    assert not check(history, config=config)


# --- at random -----------------------------------------------------------------------------------

_PLANS = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 63)), max_size=80)


@given(relaxed=st.booleans(), plan=_PLANS)
@settings(max_examples=200, deadline=None)
def test_what_a_right_worker_does_is_right(relaxed: bool, plan: list[tuple[str, int]]) -> None:
    model = Model(relaxed=relaxed)
    for step, choice in plan:
        model.take(step, choice)
    violations = check(model.drain(), config=model.config)
    assert not violations, told(violations)


def a_random_run(model: Model, seed: int, steps: int) -> Model:
    """Let a model take steps at random."""
    draw = random.Random(seed)
    for _ in range(steps):
        model.take(draw.choice(STEPS), draw.randrange(64))
    return model


@pytest.mark.parametrize("relaxed", [False, True])
def test_long_right_runs_are_right(relaxed: bool) -> None:
    for seed in range(60):
        model = a_random_run(Model(relaxed=relaxed), seed, 250)
        violations = check(model.drain(), config=model.config)
        assert not violations, f"seed {seed}: {told(violations)}"


@pytest.mark.parametrize(("wrong", "code"), WRONG)
def test_what_a_wrong_worker_does_is_noticed(wrong: type[Model], code: str) -> None:
    found: set[str] = set()
    for seed in range(20):
        model = a_random_run(wrong(), seed, 100)
        found |= codes(check(model.drain(), config=model.config))
        if code in found:
            return
    pytest.fail(f"{wrong.__name__} did not break {code} in 20 runs, only {sorted(found)}")


# --- the report ----------------------------------------------------------------------------------


def test_a_violation_shows_its_events() -> None:
    event = Buffered(1.0, "w1.1", records=7, size=0)
    [violation] = check([event], config=Config(max_records=6))
    assert violation.events == (event,)
    assert str(violation) == f"I25: w1.1 holds 7 records of 0 bytes; allowed are 6 of inf\n    {event}"


def test_many_violations_of_one_kind_are_counted_and_not_listed() -> None:
    history = [Buffered(float(t), "w1.1", records=7, size=0) for t in range(1000)]
    violations = check(history, config=Config(max_records=6, most=10))
    assert len(violations) == 11
    assert violations[-1].message == "and 990 more violations of I25"


def test_the_earliest_offence_comes_first() -> None:
    late = Buffered(9.0, "w1.1", records=7, size=0)
    early = Enqueued(5.0, "web", call="a", place=("q", 0), offset=0)
    other = Logged(5.5, place=("q", 0), offset=0, call="b")
    violations = check([late, early, other], config=Config(max_records=6, drained=False))
    assert [violation.code for violation in violations] == ["I2", "I24", "I25"]


def test_a_long_history_is_judged_in_linear_time() -> None:
    def lines_run(steps: int) -> int:
        model = a_random_run(Model(), 7, 50)
        for number in range(steps):
            model.enqueue(number)
            model.start(number)
            model.finish(63)
        history = model.drain()
        count = 0

        def step(frame: FrameType, event: str, _: object) -> Any:
            nonlocal count
            count += 1
            return step

        before = sys.gettrace()
        sys.settrace(step)
        try:
            violations = check(history, config=model.config)
        finally:
            sys.settrace(before)
        assert not violations
        return count

    # Four times the length: linear is 4, quadratic 16. Lines are counted, which no busy machine changes.
    assert lines_run(2000) < 5 * lines_run(500)
