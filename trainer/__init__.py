"""Labelled speech to a published model bundle: options, the run, and its rooms. Needs TensorFlow."""

import os

# TensorFlow speaks of processors and drivers before anything that a user asked for; `trainer.quiet` takes the rest.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
