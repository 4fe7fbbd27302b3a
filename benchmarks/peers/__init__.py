"""Other Python job systems, on a Redis of their own. Their packages live in an environment of their own."""
