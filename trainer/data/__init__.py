"""Labelled speech: corpora, labels of users, features, splits by speaker."""
