"""History: past calls as far as the events topic reaches, and what people said of them, in a file of SQLite's."""
