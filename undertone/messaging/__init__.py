"""Kafka and nothing else: settings, clients, topics, reading to the end, and what is mended in kafka-python."""
