"""A local Apache Kafka for development, the demo and tests."""
