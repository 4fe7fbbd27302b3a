"""What kind of world a seed makes: each draws its own faults and rates, from calm to hostile."""

from __future__ import annotations

import random
from dataclasses import dataclass

from kjobs.core.buffer import Bounds
from kjobs.core.commits import Rhythm
from kjobs.core.policy import Backoff, Policy


@dataclass(frozen=True, slots=True)
class Script:
    """What a call does.

    Attributes:
        endings: how each of its attempts ends, the last for all further ones; see ``outcomes.py``.
        length: seconds that an attempt takes.
        relaxed: later calls of its key may pass it.
    """

    endings: tuple[str, ...]
    length: float
    relaxed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A world's parameters; times in seconds, rates per second, chances between 0 and 1."""

    seed: int
    partitions: int
    workers: int
    slots: int
    calls: int
    keys: int
    unkeyed: float
    relaxed: float
    trouble: float
    slow: float
    faults_until: float
    bounds: Bounds
    rhythm: Rhythm
    chain: int
    metadata: int
    session: float
    revoke_grace: float
    strict: Policy
    lax: Policy
    crash: float
    freeze: float
    isolate: float
    leave: float
    join: float
    stall: float
    wander: float
    expel: float
    retention: float
    log_gap: float
    commit_lost: float
    answer_lost: float
    last_commit_lost: float
    burial_refused: float
    burial_answer_lost: float

    @property
    def graceful(self) -> bool:
        """Nothing fails in this world, workers only come and go."""
        return not (
            self.crash
            or self.freeze
            or self.isolate
            or self.expel
            or self.retention
            or self.commit_lost
            or self.answer_lost
            or self.last_commit_lost
        )


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    rng = random.Random(seed)

    def sometimes(chance: float, low: float, high: float) -> float:
        return rng.uniform(low, high) if rng.random() < chance else 0.0

    calm = rng.random() < 0.2
    session = rng.uniform(2.0, 4.0)
    backoff = Backoff(base=rng.choice((0.0, 0.1, 0.5)), factor=2.0, cap=rng.uniform(0.5, 3.0), jitter="none")
    records = rng.choice((3, 8, 20, 60))
    return Plan(
        seed=seed,
        partitions=rng.randint(1, 3),
        workers=rng.randint(1, 3),
        slots=rng.randint(1, 4),
        calls=rng.randint(20, 70),
        keys=rng.randint(1, 6),
        unkeyed=rng.choice((0.0, 0.2, 0.5)),
        relaxed=rng.choice((0.0, 0.0, 0.3)),
        trouble=rng.choice((0.0, 0.15, 0.4)),
        slow=rng.choice((0.0, 0.05, 0.15)),
        faults_until=rng.uniform(6.0, 20.0),
        bounds=Bounds(records, 10_000_000 if rng.random() < 0.8 else records * 60, rng.uniform(0.05, 0.3)),
        rhythm=Rhythm(
            steady=rng.uniform(0.1, 0.3),
            urgent=0.05,
            idle=rng.uniform(0.4, 1.0),
            patience=1.5,
            lease=0.8 * session,
        ),
        chain=rng.choice((1, 2, 4, 16)),
        metadata=rng.choice((4000, 4000, 70, 40)),
        session=session,
        revoke_grace=rng.uniform(0.3, 2.0),
        strict=Policy(retries=rng.randint(0, 3), backoff=backoff),
        lax=Policy(retries=rng.randint(0, 3), backoff=backoff, order="relaxed"),
        crash=0.0 if calm else sometimes(0.7, 0.05, 0.4),
        freeze=0.0 if calm else sometimes(0.5, 0.05, 0.3),
        isolate=0.0 if calm else sometimes(0.4, 0.05, 0.3),
        leave=sometimes(0.5, 0.05, 0.4),
        join=sometimes(0.5, 0.05, 0.4),
        stall=sometimes(0.3, 0.05, 0.3),
        wander=sometimes(0.3, 0.1, 1.0),
        expel=0.0 if calm else sometimes(0.5, 0.1, 0.6),
        retention=0.0 if calm else sometimes(0.15, 0.02, 0.1),
        log_gap=sometimes(0.4, 0.05, 0.3),
        commit_lost=0.0 if calm else sometimes(0.4, 0.05, 0.3),
        answer_lost=0.0 if calm else sometimes(0.4, 0.05, 0.3),
        last_commit_lost=0.0 if calm else sometimes(0.3, 0.1, 0.5),
        burial_refused=sometimes(0.4, 0.1, 0.5),
        burial_answer_lost=sometimes(0.2, 0.1, 0.3),
    )


def script(plan: Plan, rng: random.Random) -> Script:
    """What one call of a world does."""
    endings: tuple[str, ...] = ("ok",)
    if rng.random() < plan.trouble:
        endings = rng.choice(
            (
                ("fail", "ok"),
                ("fail", "fail", "ok"),
                ("fail",),
                ("snooze", "ok"),
                ("snooze", "fail", "ok"),
                ("discard",),
                ("condemn",),
                ("fail", "condemn"),
                ("undecodable",),
                ("expired",),
                ("early", "ok"),
                ("fatal",),
            )
        )
    length = rng.uniform(1.0, 8.0) if rng.random() < plan.slow else rng.choice((0.0, 0.002, 0.02, 0.1))
    return Script(endings, length, rng.random() < plan.relaxed)
