"""The contract: what crosses Kafka. Imports nothing else of the project, so a client in any language can follow it."""
