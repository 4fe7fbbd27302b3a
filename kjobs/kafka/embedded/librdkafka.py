"""Finds the librdkafka that confluent-kafka itself uses, and types the functions of its mock cluster."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping
from ctypes import POINTER, c_char_p, c_int, c_int16, c_int32, c_int64, c_size_t, c_void_p
from pathlib import Path
from typing import Any

import confluent_kafka
from confluent_kafka import cimpl

from ...errors import EmbeddedBrokerError

#: The kind of client that a mock cluster hangs on; it never sends anything.
PRODUCER = 0

_INSTEAD = (
    "Install the wheel (pip install --only-binary confluent-kafka --force-reinstall confluent-kafka), or "
    "use a real Kafka: `docker compose up -d` with the project's compose.yaml."
)

# The mock functions answer with rd_kafka_resp_err_t, an int, unless they return nothing.
_FUNCTIONS: Mapping[str, tuple[Any, list[Any]]] = {
    "rd_kafka_conf_new": (c_void_p, []),
    "rd_kafka_conf_set": (c_int, [c_void_p, c_char_p, c_char_p, c_char_p, c_size_t]),
    "rd_kafka_conf_destroy": (None, [c_void_p]),
    "rd_kafka_new": (c_void_p, [c_int, c_void_p, c_char_p, c_size_t]),
    "rd_kafka_destroy": (None, [c_void_p]),
    "rd_kafka_err2str": (c_char_p, [c_int]),
    "rd_kafka_mock_cluster_new": (c_void_p, [c_void_p, c_int]),
    "rd_kafka_mock_cluster_destroy": (None, [c_void_p]),
    "rd_kafka_mock_cluster_bootstraps": (c_char_p, [c_void_p]),
    "rd_kafka_mock_set_controller_id": (c_int, [c_void_p, c_int32]),
    "rd_kafka_mock_topic_create": (c_int, [c_void_p, c_char_p, c_int, c_int]),
    "rd_kafka_mock_topic_delete": (c_int, [c_void_p, c_char_p]),
    "rd_kafka_mock_partition_delete_records": (c_int, [c_void_p, c_char_p, c_int32, c_int64]),
    "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [c_void_p, c_int32]),
    "rd_kafka_mock_set_group_consumer_heartbeat_interval_ms": (None, [c_void_p, c_int]),
    "rd_kafka_mock_set_group_consumer_session_timeout_ms": (None, [c_void_p, c_int]),
    "rd_kafka_mock_broker_set_down": (c_int, [c_void_p, c_int32]),
    "rd_kafka_mock_broker_set_up": (c_int, [c_void_p, c_int32]),
    "rd_kafka_mock_broker_set_rtt": (c_int, [c_void_p, c_int32, c_int]),
    "rd_kafka_mock_broker_set_rack": (c_int, [c_void_p, c_int32, c_char_p]),
    "rd_kafka_mock_broker_set_host_port": (None, [c_void_p, c_int32, c_char_p, c_int]),
    "rd_kafka_mock_clear_request_errors": (None, [c_void_p, c_int16]),
    "rd_kafka_mock_push_request_errors_array": (None, [c_void_p, c_int16, c_size_t, POINTER(c_int)]),
}


def candidates() -> list[Path]:
    """Where librdkafka may be, the likeliest first.

    Wheels carry it beside the package (Linux) or inside it (macOS). Else the client's own extension
    module leads to it: the linker finds a symbol through the libraries that a library depends on.
    """
    package = Path(confluent_kafka.__file__).parent
    found = sorted((package.parent / "confluent_kafka.libs").glob("librdkafka*"))
    found += sorted((package / ".dylibs").glob("librdkafka*"))
    if cimpl.__file__ is not None:
        found.append(Path(cimpl.__file__))
    return found


def load(paths: Iterable[Path] | None = None) -> ctypes.CDLL:
    """Load librdkafka with the functions of its mock cluster.

    Raises:
        EmbeddedBrokerError: there is no library, or none with these functions.
    """
    tried: list[str] = []
    for path in candidates() if paths is None else paths:
        try:
            library = ctypes.CDLL(str(path))
            for name, (result, arguments) in _FUNCTIONS.items():
                function = getattr(library, name)
                function.restype = result
                function.argtypes = arguments
        except (OSError, AttributeError) as error:
            tried.append(f"{path}: {error}")
        else:
            return library
    raise EmbeddedBrokerError(
        "the embedded broker cannot start: it is the mock cluster of librdkafka, which the wheel of "
        f"confluent-kafka holds, and confluent-kafka {confluent_kafka.__version__} as it is installed has "
        "none that can be used. Looked for librdkafka in confluent_kafka.libs, confluent_kafka/.dylibs and "
        f"the client's own extension module; {'; '.join(tried) or 'found no file'}. {_INSTEAD}"
    )
