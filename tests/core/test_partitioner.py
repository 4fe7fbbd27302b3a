"""Keys go to the partitions that Kafka's clients send them to."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kjobs.core.partitioner import murmur2, partition_of
from kjobs.kafka.embedded.librdkafka import candidates

# From Kafka's own tests of its Java client, UtilsTest.testMurmur2.
KNOWN = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", KNOWN)
def test_keys_hash_as_in_java(key: bytes) -> None:
    assert ctypes.c_int32(murmur2(key)).value == KNOWN[key]


@pytest.fixture(scope="module")
def librdkafka() -> ctypes.CDLL:
    """The library that the producer sends with."""
    library = ctypes.CDLL(str(candidates()[0]))
    partitioner = library.rd_kafka_msg_partitioner_murmur2_random
    partitioner.restype = ctypes.c_int32
    nothing = ctypes.c_void_p
    partitioner.argtypes = [nothing, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int32, nothing, nothing]
    return library


@given(key=st.binary(max_size=40), partitions=st.integers(1, 1000))
def test_keys_go_where_the_producer_sends_them(librdkafka: ctypes.CDLL, key: bytes, partitions: int) -> None:
    there = librdkafka.rd_kafka_msg_partitioner_murmur2_random(None, key, len(key), partitions, None, None)
    assert partition_of(key, partitions) == there
