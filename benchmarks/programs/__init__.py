"""What runs in processes of its own: the jobs, and what sends to and reads from Kafka without kjobs."""
