"""`undertone trainer run` and the service: labels to a model that is better than the champion, and to the workers."""
