"""Tests of single parts, without Kafka."""
