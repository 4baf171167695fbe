"""Other ways to hear the same calls, each a program of its own on the same Kafka, measured from outside.

They are written as somebody would who knows the library: loaded and warmed up before the clock starts, no work twice,
one thread, no exactly-once but where the library gives it.
"""
