"""Whether a worker is alive and ready: told over HTTP, to systemd, and by ``kjobs check``."""
