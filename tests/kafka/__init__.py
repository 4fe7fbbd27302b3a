"""What kjobs does on a real broker."""
