"""The exported bundle on held-out speakers."""
