"""The topic `models` as a registry: bundles by version, aliases, and how they are changed."""
