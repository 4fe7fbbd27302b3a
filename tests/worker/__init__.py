"""Tests of the slots, without Kafka."""
