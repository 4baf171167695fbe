"""Files on a disk or in an object store: the few steps that keeping them whole needs."""
