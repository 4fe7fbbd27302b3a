"""Writes groups of records of which either all count or none, and lets only one process do so at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Producer as Client

from ..core.ports import Headers
from ..errors import BrokerError
from .client import opened, producer_options, reason
from .log import Log

#: Seconds after which Kafka itself gives up on a transaction of a process that died. For so long the
#: workers of the topics in it see no new records.
_TRANSACTION = 20.0
#: Seconds for the records of a transaction to arrive, for it to begin, to be committed and to be undone.
_DELIVERY = 15.0
_BEGINNING = 30.0
_COMMIT = 15.0
_ABORT = 5.0
#: Seconds for readers to see it, and between two looks whether they do.
_SHOWING = 10.0
_PAUSE = 0.005

# Options of the user that contradict the above, or would have to agree with it.
_OWN = frozenset({"message.timeout.ms", "delivery.timeout.ms", "transaction.timeout.ms"})

_FENCED = frozenset(
    {
        KafkaError._FENCED,
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.INVALID_PRODUCER_ID_MAPPING,
    }
)


class Fenced(BrokerError):
    """Another process took the transactional id over, or Kafka gave up on this one's transaction."""


@dataclass(frozen=True, slots=True)
class Write:
    """A record to be written; ``about`` names it in errors."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    about: str


class Transactions:
    """Transactions under one id, one after the other; :meth:`open` comes first.

    Args:
        bootstrap: Kafka's addresses.
        extra: librdkafka options of the user.
        name: the transactional id.
        atomic: False for the embedded broker. It ends transactions with records that consumers take for
            damaged, and would never get past; so there are none, and a failure may leave a part written.
    """

    def __init__(self, bootstrap: str, extra: Mapping[str, Any], name: str, *, atomic: bool = True) -> None:
        self._bootstrap = bootstrap
        self._extra = extra
        self._name = name
        # Where what was written ends, by topic and partition.
        self._ends: dict[str, dict[int, int]] = {}
        self._atomic = atomic
        self._errors: list[tuple[Write, KafkaError]] = []
        options = {
            **producer_options(bootstrap, {k: v for k, v in extra.items() if k not in _OWN}),
            "delivery.timeout.ms": int(_DELIVERY * 1000),
            "linger.ms": 5,
            # The topic's limit for a record counts for a batch of them, and refuses all of it.
            "batch.size": 65_536,
            # What the client would log of a failure comes as an exception too, and is said there.
            "log_level": 0,
        }
        if atomic:
            options |= {
                "transactional.id": name,
                "transaction.timeout.ms": int(_TRANSACTION * 1000),
                # The broker refuses a transaction while it tidies up after the one before, for a
                # millisecond or two; the client's default is to ask again after 100.
                "retry.backoff.ms": 2,
            }
        self._trouble = options["error_cb"]
        self._client = opened(Client, options)

    def open(self) -> None:
        """Take the transactional id over.

        When this returns, the last transaction of whoever had it is committed or undone, and that process
        can write nothing more under it.

        Raises:
            BrokerError: Kafka did not allow it.
        """
        if not self._atomic:
            return
        try:
            _patiently(self._client.init_transactions, _BEGINNING)
        except KafkaException as error:
            raise BrokerError(
                f"Kafka at {self._bootstrap} did not allow transactions under the id {self._name}: "
                f"{reason(error)}{self._hint(error.args[0].code())}"
            ) from None

    def _hint(self, code: int) -> str:
        match code:
            case KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
                return ". This user needs the operations Write and Describe on that transactional id."
            case KafkaError._TIMED_OUT:
                last = self._trouble.last
                why = f" The last trouble: {reason(last)}." if last is not None else ""
                return (
                    f".{why} If the broker is there, it may have no transaction log: with fewer than three "
                    "brokers that needs lower settings of transaction.state.log.replication.factor and "
                    "transaction.state.log.min.isr."
                )
        return ""

    # --- one transaction ---------------------------------------------------------------------------

    def write(self, records: Sequence[Write]) -> None:
        """Write these records: when this returns, all of them count.

        Those of one topic are acknowledged before the first of the next is sent. After a failure this
        object is of no more use: the client may throw away what is written next.

        Raises:
            Fenced: none counts, nor will any later one: somebody else has the transactional id now.
            BrokerError: none counts, or, where the message says so, that is not known.
        """
        self._errors.clear()
        try:
            if self._atomic:
                self._client.begin_transaction()
            for _, some in groupby(records, key=lambda record: record.topic):
                self._send(list(some))
            if self._atomic:
                self._commit()
        except (KafkaException, SystemError) as error:
            # SystemError: what the client's flush raises in some versions after it was fenced.
            raise self._failed(error) from None
        except BaseException:
            self._abort()
            raise

    def _send(self, records: Sequence[Write]) -> None:
        """Send records of one topic, and wait until they are acknowledged."""
        for record in records:
            self._produce(record)
        left = self._client.flush(_DELIVERY)
        if self._errors:
            raise self._refused()
        if left:
            raise BrokerError(
                f"{left} of {len(records)} records were not acknowledged by Kafka at {self._bootstrap} in "
                f"{_DELIVERY:g} s. {self._fate}"
            )

    def _produce(self, record: Write) -> None:
        try:
            self._client.produce(
                record.topic,
                record.value,
                record.key,
                record.partition,
                partial(self._report, record),
                headers=list(record.headers),
            )
        except KafkaException as error:
            self._errors.append((record, error.args[0]))

    def _report(self, record: Write, error: KafkaError | None, message: Any) -> None:
        # Nothing is asked of the error here: after fencing, the client cannot bear that.
        if error is not None:
            self._errors.append((record, error))
        else:
            self._ends.setdefault(record.topic, {})[record.partition] = message.offset() + 1

    def _commit(self) -> None:
        _patiently(self._client.commit_transaction, _COMMIT)

    def finish(self) -> None:
        """Wait until readers see what was written.

        Kafka says that a transaction is committed before it has told the partitions.
        """
        until = time.monotonic() + _SHOWING
        for topic, ends in self._ends.items():
            with Log(self._bootstrap, self._extra, topic) as log:
                while any(span.end < ends[number] for number, span in log.spans(ends).items()):
                    if time.monotonic() > until:
                        return  # it counts all the same
                    time.sleep(_PAUSE)

    def _abort(self) -> BaseException | None:
        """Undo what was begun, as far as the broker can be reached; otherwise its time limit does it."""
        if not self._atomic:
            return None
        try:
            self._client.abort_transaction(_ABORT)
        except (KafkaException, SystemError) as error:
            return error
        return None

    # --- what went wrong ---------------------------------------------------------------------------

    def _refused(self) -> BrokerError:
        if any(error.code() in _FENCED for _, error in self._errors):
            return self._fenced()
        record, error = self._errors[0]
        return BrokerError(
            f"{record.about} was not written to {record.topic}[{record.partition}]: {reason(error)}. "
            f"{self._fate}"
        )

    def _failed(self, error: KafkaException | SystemError) -> BrokerError:
        codes = {told.code() for _, told in self._errors}
        for raised in (error, self._abort()):
            if isinstance(raised, KafkaException):
                codes.add(raised.args[0].code())
        if codes & _FENCED:
            return self._fenced()
        if not isinstance(error, KafkaException):
            return BrokerError(f"a transaction failed in the client: {error}. {self._fate}")
        if error.args[0].retriable():
            return BrokerError(
                f"whether a transaction counts is not known, because Kafka at {self._bootstrap} did not "
                f"answer: {reason(error)}."
            )
        return BrokerError(f"a transaction failed: {reason(error)}. {self._fate}")

    @property
    def _fate(self) -> str:
        """What the failure of a part means for the rest of it."""
        if self._atomic:
            return "Nothing that was written with it counts."
        return "What was written before it counts."

    def _fenced(self) -> Fenced:
        return Fenced(
            f"another process writes under the transactional id {self._name} now, or a transaction took "
            f"longer than the {_TRANSACTION:g} s that Kafka allows. Nothing of the last one counts."
        )


def _patiently(action: Callable[[float], object], limit: float) -> None:
    """Call an action that may be called again where the client says so, until the time is up."""
    until = time.monotonic() + limit
    while True:
        left = until - time.monotonic()
        try:
            action(max(1.0, left))
        except KafkaException as error:
            if not error.args[0].retriable() or left <= 1.0:
                raise
        else:
            return
