"""Rules: alerts that people define in a file, found in events, shown on the page and sent by webhook."""
