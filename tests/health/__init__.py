"""Tests of what probes, systemd and kjobs check are told."""
