"""Where people watch: what is heard of each stream, drawn in a terminal."""
