"""Requests to webhooks: signed, sent once, and what came of it. Whoever sends them decides about trying again."""
