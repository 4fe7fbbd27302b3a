"""What a failed delivery means for the call: which error, and whether it is known not to be in Kafka."""

from __future__ import annotations

from confluent_kafka import KafkaError

from ..errors import CallTooLarge, EnqueueError, EnqueueRefused, OutcomeUnknown, UnknownQueue
from .client import reason

_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_NO_TOPIC = frozenset(
    {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
)
# The broker, or the client before sending, said no: the record is not in the log.
_REFUSED = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.INVALID_REQUIRED_ACKS,
        KafkaError.INVALID_RECORD,
        KafkaError.POLICY_VIOLATION,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
        KafkaError._AUTHENTICATION,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._INVALID_ARG,
        KafkaError._PURGE_QUEUE,
    }
)


def enqueue_error(error: KafkaError, topic: str, call_id: str) -> EnqueueError:
    """The exception for a delivery report's error."""
    code = error.code()
    if code in _TOO_LARGE:
        return CallTooLarge(
            f"call {call_id} was refused by {topic}: it is larger than the topic's max.message.bytes. It is "
            "not enqueued. Pass a reference to large data instead of the data.",
            call_id=call_id,
        )
    if code in _NO_TOPIC:
        return unknown_queue(topic, call_id)
    if code in _REFUSED:
        return EnqueueRefused(
            f"call {call_id} was refused by Kafka for {topic}: {reason(error)}. It is not enqueued.",
            call_id=call_id,
        )
    return OutcomeUnknown(
        f"call {call_id} for {topic}: {reason(error)}. It may have been enqueued nevertheless: enqueueing it "
        "again, with the same id, may make it run twice.",
        call_id=call_id,
    )


def unknown_queue(topic: str, call_id: str = "") -> UnknownQueue:
    """The exception for a topic that does not exist."""
    return UnknownQueue(
        f"topic {topic} does not exist, so the call is not enqueued. Create the queue's topics with `kjobs "
        "topics apply MODULE`, or set create_topics (KJOBS_CREATE_TOPICS=1) where that may happen by "
        "itself.",
        call_id=call_id,
    )
