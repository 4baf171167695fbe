"""The engine on files, without Kafka: `analyze` shows what it hears, `evaluate` counts how often it is right."""
