"""Wires that are WebSockets: one listener, a path for each protocol."""
