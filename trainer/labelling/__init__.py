"""What people label, and with what: from the command line, or in Label Studio. Needs no TensorFlow."""
