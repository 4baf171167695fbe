"""Disturbed runs on three real brokers with a verifier, fuzzers, and measurements of recovery and of pressure."""
