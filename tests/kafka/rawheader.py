"""Writes a record with a header that the client's own interface cannot write: its name is not UTF-8."""

from __future__ import annotations

import ctypes

from kjobs.kafka.embedded.librdkafka import candidates

# rd_kafka_vtype_t, and the flag that has the client copy the value.
_END, _TOPIC, _PARTITION, _VALUE, _FLAGS, _HEADER = 0, 1, 3, 4, 7, 9
_COPY = 2


def write(bootstrap: str, topic: str, partition: int, value: bytes, name: bytes) -> None:
    """Write a record with one header of this name."""
    library = ctypes.CDLL(str(candidates()[0]))
    library.rd_kafka_conf_new.restype = ctypes.c_void_p
    library.rd_kafka_new.restype = ctypes.c_void_p
    conf = ctypes.c_void_p(library.rd_kafka_conf_new())
    trouble = ctypes.create_string_buffer(512)
    size = ctypes.c_size_t(512)
    library.rd_kafka_conf_set(conf, b"bootstrap.servers", bootstrap.encode(), trouble, size)
    client = ctypes.c_void_p(library.rd_kafka_new(0, conf, trouble, size))
    assert client, trouble.value
    number = ctypes.c_int
    error = library.rd_kafka_producev(
        client,
        *(number(_TOPIC), ctypes.c_char_p(topic.encode())),
        *(number(_PARTITION), ctypes.c_int32(partition)),
        *(number(_VALUE), ctypes.c_char_p(value), ctypes.c_size_t(len(value))),
        *(number(_FLAGS), number(_COPY)),
        *(number(_HEADER), ctypes.c_char_p(name), ctypes.c_char_p(b"v"), ctypes.c_ssize_t(1)),
        number(_END),
    )
    assert error == 0
    assert library.rd_kafka_flush(client, 10_000) == 0
    library.rd_kafka_destroy(client)
