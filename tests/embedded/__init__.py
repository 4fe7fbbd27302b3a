"""Tests of the embedded broker; they need no Kafka."""
