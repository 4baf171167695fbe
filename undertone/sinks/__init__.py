"""Emotion events to where people keep them: PostgreSQL, Parquet, webhooks."""
