"""The engine on files, without Kafka: `analyze` shows its events, `evaluate` compares its predictions with labels."""
