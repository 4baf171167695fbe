"""What a running service tells about itself: metrics, health and its log."""
