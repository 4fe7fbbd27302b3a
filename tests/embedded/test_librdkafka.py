"""What the embedded broker says when the installed client has no mock cluster."""

from __future__ import annotations

import _json
from pathlib import Path

import pytest

from kjobs.errors import EmbeddedBrokerError
from kjobs.kafka.embedded import EmbeddedBroker, librdkafka


def test_a_library_is_found_and_has_every_function() -> None:
    assert librdkafka.candidates()
    assert librdkafka.load().rd_kafka_mock_cluster_new is not None


def test_the_clients_own_module_leads_to_the_library_where_no_file_is_found() -> None:
    assert librdkafka.load(librdkafka.candidates()[-1:]).rd_kafka_mock_cluster_new is not None


def test_it_goes_on_to_the_next_library_if_one_cannot_be_used(tmp_path: Path) -> None:
    text = tmp_path / "librdkafka.so.1"
    text.write_text("no library at all")
    assert librdkafka.load([text, *librdkafka.candidates()]).rd_kafka_mock_cluster_new is not None


def test_a_missing_library_is_explained() -> None:
    with pytest.raises(EmbeddedBrokerError) as failure:
        librdkafka.load([])
    said = str(failure.value)
    assert "the wheel of confluent-kafka holds" in said
    assert "confluent_kafka.libs" in said
    assert "found no file" in said
    assert "compose.yaml" in said


def test_a_library_without_a_mock_cluster_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    another = Path(_json.__file__)
    monkeypatch.setattr(librdkafka, "candidates", lambda: [another])
    with pytest.raises(EmbeddedBrokerError, match=f"{another.name}.*rd_kafka_conf_new.*real Kafka"):
        EmbeddedBroker().start()
