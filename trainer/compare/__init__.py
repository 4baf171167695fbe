"""`undertone compare`: the systems that people know and the network that ships, on one bench.

A cell is one system on one set of features under one split. `systems`, `networks` and `default_network` fit, `search`
chooses their settings on inner speakers, `cells` runs one cell, `run` the grid; `measures`, `findings`, `plots` and
`page` turn predictions into figures, sentences and pictures.
"""
