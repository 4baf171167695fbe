"""What an exported bundle makes of speakers that it has not met."""
