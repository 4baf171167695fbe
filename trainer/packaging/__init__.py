"""A trained network becomes a bundle, and goes to the workers."""
