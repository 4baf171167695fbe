"""What people watch in a terminal: the demo, its live view, and `tail`."""
