"""The teacher, what is learned from it, and how the default bundle was made."""
