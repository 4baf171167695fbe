"""Undertone listens to live calls and says how they feel, continuously."""
