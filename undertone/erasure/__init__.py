"""Forgetting a call: what can be erased in Kafka is erased, and of the rest it is told until when it stays."""
