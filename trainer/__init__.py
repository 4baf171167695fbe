"""Labelled speech to a model bundle: corpora, features, the network, training, evaluation, report. Needs TensorFlow."""

import os

# TensorFlow says dozens of lines about processors and drivers before it says anything to a user.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
