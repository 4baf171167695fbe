"""The worker: audio chunks in, emotion events out, exactly once. The Kafka loop around the pure engine."""
