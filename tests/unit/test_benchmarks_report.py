"""The page of benchmarks tells what was measured, and figures are judged as they say."""

from __future__ import annotations

import json

import msgspec
import pytest

from benchmarks import envelopes, figure, plan, readme, report, results
from benchmarks.children import ROOT
from benchmarks.measure import Measured, percentile, spelled
from benchmarks.peers.timing import TIMINGS
from benchmarks.programs import moments
from benchmarks.rows.lateness import told
from kjobs.core.envelope import Outgoing
from kjobs.handle import moment_ms

RUN = results.Run(
    scale="full",
    began="2026-11-24 12:00 UTC",
    seconds=812.4,
    rounds=3,
    machine={"processor": "a processor"},
    others=0.031,
    not_measured={"peers": "there is no redis-server"},
)


def measured(**samples: list[float]) -> list[Measured]:
    by_name = {measure.name: measure for row in plan.rows() for measure in row.measures}
    return [Measured(by_name[name.replace("__", ".")], values) for name, values in samples.items()]


def test_the_page_is_written_from_the_latest_results() -> None:
    """If this fails: ``python -m benchmarks report``, and commit the page."""
    assert report.PAGE.read_text(encoding="utf-8") == report.page(results.read(results.LATEST))


def test_the_readme_shows_the_latest_results() -> None:
    """If this fails: ``python -m benchmarks report``, and commit the page."""
    shown = readme.inside(readme.PAGE.read_text(encoding="utf-8"))
    assert shown == readme.block(results.read(results.LATEST))


def test_the_latest_results_have_the_figures_that_their_measures_give() -> None:
    found = results.read(results.LATEST)
    medians = {name: measure["median"] for name, measure in found["measures"].items()}
    now = [(reached.title, reached.minimum, reached.aim) for reached in results.figures(medians)]
    assert [(kept["title"], kept["minimum"], kept["aim"]) for kept in found["figures"]] == now


def test_measures_have_names_of_their_own() -> None:
    names = [measure.name for row in plan.rows() for measure in row.measures]
    assert len(names) == len(set(names))


def test_every_figure_can_be_taken_from_the_measures() -> None:
    medians = dict.fromkeys((measure.name for row in plan.rows() for measure in row.measures), 1.0)
    assert len(results.figures(medians)) == len(figure.FIGURES)


def test_the_median_is_told_and_the_smallest_and_largest_are_kept() -> None:
    text = results.written(RUN, measured(drain__keyed__8=[130_000, 210_000, 200_000]))
    kept = json.loads(text)["measures"]["drain.keyed.8"]
    assert kept == {
        "unit": "calls/s",
        "min": 130_000,
        "median": 200_000,
        "max": 210_000,
        "samples": [130_000, 210_000, 200_000],
    }
    assert "| 8 slots, 1,000 keys | 200,000 calls/s | 130,000 | 210,000 |" in report.page(json.loads(text))


def test_a_ratio_is_one_of_medians() -> None:
    found = measured(drain__keyed__8=[100, 300, 200], raw__call__keyed=[1000, 400, 500])
    (reached,) = json.loads(results.written(RUN, found))["figures"]
    assert (reached["value"], reached["verdict"]) == (0.4, "minimum reached")


@pytest.mark.parametrize(
    ("value", "verdict"), [(0.46, "aim reached"), (0.3, "minimum reached"), (0.2, "MISSED")]
)
def test_more_is_better_where_a_figure_says_at_least(value: float, verdict: str) -> None:
    found = figure.Figure(title="", value=lambda medians: 0.0, minimum=0.25, aim=0.45)
    assert found.verdict(value) == verdict


@pytest.mark.parametrize(
    ("value", "verdict"), [(1.1, "aim reached"), (1.4, "minimum reached"), (1.6, "MISSED")]
)
def test_less_is_better_where_a_figure_says_at_most(value: float, verdict: str) -> None:
    found = figure.Figure(title="", value=lambda medians: 0.0, minimum=1.5, aim=1.2, at_most=True)
    assert found.verdict(value) == verdict


def test_drains_are_compared_with_the_fastest_peer() -> None:
    found = measured(
        drain__keyed__8=[200_000],
        peers__celery__noop=[1_000],
        peers__dramatiq__noop=[10_000],
        peers__huey__noop=[5_000],
    )
    (reached,) = json.loads(results.written(RUN, found))["figures"]
    assert reached["value"] == 20


def test_the_page_says_what_was_not_measured_and_why() -> None:
    page = report.page(json.loads(results.written(RUN, [])))
    assert "Not measured in this run: there is no redis-server" in page
    assert "| Other processes | 3% of the machine's time during the run |" in page


def test_rows_that_results_know_nothing_of_are_not_on_the_page() -> None:
    page = report.page(json.loads(results.written(RUN, measured(import__kjobs=[30]))))
    assert "## The time of `import kjobs`" in page
    assert "## Other Python job systems" in page  # not measured, and the page says why
    assert "## Lateness of delayed calls" not in page


def test_the_page_says_how_long_everything_takes() -> None:
    assert "everything, about 15 minutes" in report.page(json.loads(results.written(RUN, [])))


def test_one_early_call_in_one_round_is_told() -> None:
    found = measured(lateness__file__few__early=[0, 0, 1], lateness__file__many__early=[0, 0, 0])
    kept = json.loads(results.written(RUN, found))
    assert kept["measures"]["lateness.file.few.early"]["median"] == 1
    (reached,) = kept["figures"]
    assert (reached["value"], reached["verdict"]) == (1, "MISSED")


def test_no_early_call_is_what_is_aimed_at() -> None:
    found = measured(lateness__file__few__early=[0], lateness__file__many__early=[0])
    (reached,) = json.loads(results.written(RUN, found))["figures"]
    assert (reached["value"], reached["verdict"]) == (0, "aim reached")


def test_the_memory_of_waiting_calls_is_that_of_the_start_that_takes_more() -> None:
    found = measured(
        restart__file__empty__none__memory=[40],
        restart__file__empty__warm__memory=[41],
        restart__file__many__none__memory=[90],
        restart__file__many__warm__memory=[50],
    )
    (reached,) = json.loads(results.written(RUN, found))["figures"]
    assert (reached["value"], reached["verdict"]) == (49, "aim reached")


def test_the_slowdown_is_what_is_lost_beside_calls_that_wait() -> None:
    found = measured(undelayed__alone=[200_000], undelayed__beside=[190_000])
    (reached,) = json.loads(results.written(RUN, found))["figures"]
    assert (reached["value"], reached["verdict"]) == (5, "minimum reached")


def test_delays_of_all_job_systems_stand_side_by_side() -> None:
    found = measured(timers__kjobs__bulk=[90_000], timers__kjobs__p99=[4.96], timers__celery__fire=[3_100])
    page = report.page(json.loads(results.written(RUN, found)))
    assert "| kjobs |  |  | 4.96 ms |  |  |  |" in page
    assert "| Celery |  |  |  |  | 3,100/s |  |" in page
    assert "with `delay_many`, kjobs scheduled 90,000/s" in page


def test_every_job_system_with_delays_has_a_task_that_tells_its_lateness() -> None:
    for timing in TIMINGS:
        source = (ROOT / "benchmarks" / "peers" / f"{timing.name}_app.py").read_text(encoding="utf-8")
        assert "def later(" in source, timing.name


def test_a_call_that_began_before_its_time_counts_as_early() -> None:
    found = told([-1, 0, 2_000_000, 3_000_000])
    assert found == {"p50": 2.0, "p99": 3.0, "max": 3.0, "early": 1}


def test_scattered_moments_are_in_their_stretch_and_the_same_ones_every_time() -> None:
    found = moments.scattered(1000, 1_790_000_000_123, 10.0)
    assert found == moments.scattered(1000, 1_790_000_000_123, 10.0)
    assert all(1_790_000_000_123 <= each < 1_790_000_010_123 for each in found)
    assert len(set(found)) > 900
    assert found != sorted(found)


@pytest.mark.parametrize("due_ms", [1_790_000_000_001, 1_790_000_000_009, 1_795_551_808_790])
def test_a_moment_is_exact_to_the_millisecond(due_ms: int) -> None:
    assert moment_ms(moments.moment(due_ms)) == due_ms


def test_a_quick_run_is_not_taken_for_a_measurement() -> None:
    found = json.loads(results.written(RUN, []))
    assert "quick run" not in report.page(found)
    assert "These numbers are of a quick run" in report.page({**found, "scale": "quick"})


def test_a_run_with_few_rounds_or_on_a_busy_machine_is_told_as_such() -> None:
    found = json.loads(results.written(RUN, []))
    assert "**" not in report.page(found)
    assert "not of a whole run" in report.page({**found, "rounds": 1})
    busy = report.page({**found, "others": 0.32})
    assert "**The machine was not quiet**: other processes used 32% of its time" in busy


def test_the_raw_producer_sends_what_kjobs_would() -> None:
    sent = envelopes.envelope("bench.note", 7, 7, "text")
    written = msgspec.json.decode(sent)
    own = Outgoing(written["id"], "bench.note", (7, "text"), {}, written["at"])
    assert msgspec.json.encode(own) == sent
    assert len(written["id"]) == 32


def test_the_hot_key_has_exactly_its_share() -> None:
    keys = list(envelopes.with_hot_key(1000, 50, 300))
    assert len(keys) == 1000
    assert keys.count(b"hot") == 300
    assert len(set(keys)) <= 50
    assert set(keys[:20]) > {b"hot"}


def test_percentiles_are_values_that_were_seen() -> None:
    values = list(range(100))
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([7], 0.99)) == (50, 99, 7)


def test_numbers_are_as_exact_as_they_are_worth() -> None:
    assert [spelled(value) for value in (123_456.7, 512.34, 51.26, 0.987)] == [
        "123,457",
        "512",
        "51.3",
        "0.99",
    ]
    assert spelled(51.26, "MB") == "51.3 MB"
