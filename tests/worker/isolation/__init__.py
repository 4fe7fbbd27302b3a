"""Tests of calls in processes of their own, without Kafka."""
