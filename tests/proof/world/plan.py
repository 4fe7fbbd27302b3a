"""What kind of world a seed makes: each draws its own faults and rates, from calm to hostile."""

from __future__ import annotations

import random
from dataclasses import dataclass

from kjobs.core.buffer import Bounds
from kjobs.core.commits import Rhythm
from kjobs.core.policy import LONGEST_WAIT_IN_LANE, Backoff, Policy


@dataclass(frozen=True, slots=True)
class Script:
    """What a call does.

    Attributes:
        endings: how each of its attempts ends, the last for all further ones; see ``outcomes.py``.
        length: seconds that an attempt takes.
        relaxed: later calls of its key may pass it.
        sweeps: when it crashes, the whole machine goes with it.
        saves: how often each attempt saves how far it is.
    """

    endings: tuple[str, ...]
    length: float
    relaxed: bool
    sweeps: bool = False
    saves: int = 0


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
    lane_wait: float
    nap: float
    delayed: int
    due_within: float
    wishes: int
    replaced: float
    room: int
    batch: int
    hosts: int
    compaction: float
    compaction_lag: float
    tombstones: float
    read_lag: float
    write_lag: float
    ack_lag: float
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
    write_lost: float
    write_mute: float
    write_twice: float
    end_unknown: float
    disk_fails: float
    disk_deleted: float
    disk_foreign: float
    disk_corrupt: float
    power_lost: float
    poison: float
    sweeping: float
    saving: float
    save_patience: float

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
            or self.write_lost
            or self.write_mute
            or self.write_twice
            or self.disk_fails
            or self.poison
        )


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    rng = random.Random(seed)
    saves = random.Random(seed ^ 0x5A7E)

    def sometimes(chance: float, low: float, high: float) -> float:
        return rng.uniform(low, high) if rng.random() < chance else 0.0

    calm = rng.random() < 0.2
    session = rng.uniform(2.0, 4.0)
    # Which waits are long: those over half a minute, as in life; or much shorter ones, so that more happens.
    patient = rng.random() < 0.3
    lasting = patient and rng.random() < 0.4
    until = rng.uniform(40.0, 70.0) if lasting else rng.uniform(6.0, 20.0)
    slower = 0.3 if lasting else 1.0
    base = rng.uniform(31.0, 40.0) if lasting else rng.choice((0.0, 0.1, 0.5))
    backoff = Backoff(base=base, factor=2.0, cap=base + rng.uniform(0.5, 3.0), jitter="none")
    piled = rng.random() < 0.03
    records = rng.choice((3, 8, 20, 60, 120))
    # A producer writes nothing twice by itself. That it did, while the index is lost as well, is too much.
    twice = rng.random() < 0.3
    failing = not twice and rng.random() < 0.25
    return Plan(
        seed=seed,
        partitions=rng.randint(1, 3),
        workers=rng.randint(1, 3),
        slots=rng.randint(1, 4),
        calls=rng.randint(150, 400) if piled else rng.randint(15, 60),
        keys=1 if piled else rng.randint(1, 6),
        unkeyed=0.1 if piled else rng.choice((0.0, 0.2, 0.5)),
        relaxed=rng.choice((0.0, 0.0, 0.3)),
        trouble=0.03 if piled else rng.choice((0.0, 0.15, 0.4)),
        slow=0.0 if piled else rng.choice((0.0, 0.05, 0.15)),
        faults_until=until,
        bounds=Bounds(records, 10_000_000 if rng.random() < 0.8 else records * 60, rng.uniform(0.05, 0.3)),
        rhythm=Rhythm(
            steady=rng.uniform(0.1, 0.3),
            urgent=0.05,
            idle=rng.uniform(0.4, 1.0),
            patience=1.5,
            lease=0.8 * session,
        ),
        chain=rng.choice((1, 2, 4, 16)),
        metadata=rng.choice((4000, 4000, 4000, 70, 40)),
        session=session,
        revoke_grace=rng.uniform(0.3, 2.0),
        strict=Policy(retries=rng.randint(0, 3), backoff=backoff),
        lax=Policy(retries=rng.randint(0, 3), backoff=backoff, order="relaxed"),
        lane_wait=LONGEST_WAIT_IN_LANE if patient else rng.uniform(0.05, 0.6),
        nap=rng.uniform(31.0, 40.0) if lasting else rng.uniform(0.3, 1.5),
        delayed=rng.choice((0, 4, 12, 30)),
        due_within=rng.uniform(1.0, until + 3.0),
        wishes=rng.choice((0, 0, 5, 15)),
        replaced=rng.choice((0.0, 0.0, 0.15)),
        room=rng.choice((1, 3, 1000)),
        batch=rng.choice((1, 3, 32)),
        hosts=rng.randint(1, 3),
        compaction=sometimes(0.5, 0.1, 0.5),
        compaction_lag=rng.uniform(1.0, 3.0),
        tombstones=rng.uniform(4.0, 9.0),
        read_lag=rng.choice((0.01, 0.1, 0.8)),
        write_lag=rng.choice((0.01, 0.1, 0.5)),
        ack_lag=rng.choice((0.01, 0.1, 0.5)),
        crash=0.0 if calm else slower * sometimes(0.7, 0.05, 0.4),
        freeze=0.0 if calm else slower * sometimes(0.5, 0.05, 0.3),
        isolate=0.0 if calm else slower * sometimes(0.4, 0.05, 0.3),
        leave=slower * sometimes(0.5, 0.05, 0.4),
        join=slower * sometimes(0.5, 0.05, 0.4),
        stall=sometimes(0.3, 0.05, 0.3),
        wander=slower * sometimes(0.3, 0.1, 1.0),
        expel=0.0 if calm else slower * sometimes(0.5, 0.1, 0.6),
        retention=0.0 if calm else slower * sometimes(0.15, 0.02, 0.1),
        log_gap=sometimes(0.4, 0.05, 0.3),
        commit_lost=0.0 if calm else sometimes(0.4, 0.05, 0.3),
        answer_lost=0.0 if calm else sometimes(0.4, 0.05, 0.3),
        last_commit_lost=0.0 if calm else sometimes(0.3, 0.1, 0.5),
        burial_refused=sometimes(0.4, 0.1, 0.5),
        burial_answer_lost=sometimes(0.2, 0.1, 0.3),
        write_lost=0.0 if calm else sometimes(0.4, 0.05, 0.3),
        write_mute=0.0 if calm else sometimes(0.4, 0.05, 0.3),
        write_twice=rng.uniform(0.05, 0.3) if twice and not calm else 0.0,
        end_unknown=sometimes(0.2, 0.05, 0.4),
        disk_fails=rng.uniform(0.005, 0.05) if failing and not calm else 0.0,
        disk_deleted=sometimes(0.3, 0.1, 0.5),
        disk_foreign=sometimes(0.3, 0.1, 0.5),
        disk_corrupt=sometimes(0.3, 0.1, 0.5),
        power_lost=sometimes(0.4, 0.1, 0.5),
        # Not more than a few of them, and no pauses of an hour between two crashes.
        poison=0.0 if calm or lasting or piled else sometimes(0.2, 0.02, 0.1),
        sweeping=rng.choice((0.0, 0.5, 1.0)),
        saving=saves.choice((0.0, 0.0, 0.1, 0.5, 1.0)),
        save_patience=saves.choice((0.1, 1.0, 5.0)),
    )


def script(plan: Plan, rng: random.Random, save_rng: random.Random) -> Script:
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
    if plan.poison and rng.random() < plan.poison:
        endings = rng.choice((("crash",), ("fail", "crash"), ("crack",), ("crack", "fail", "crack", "ok")))
    length = rng.uniform(1.0, 8.0) if rng.random() < plan.slow else rng.choice((0.0, 0.002, 0.02, 0.1))
    relaxed = rng.random() < plan.relaxed
    sweeps = bool(plan.poison) and rng.random() < plan.sweeping
    saves = save_rng.randint(1, 4) if plan.saving and save_rng.random() < plan.saving else 0
    return Script(endings, length, relaxed, sweeps, saves)
