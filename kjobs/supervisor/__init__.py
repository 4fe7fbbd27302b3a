"""The supervisor: keeps worker processes running. It knows no Kafka and imports no job."""
