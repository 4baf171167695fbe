"""The `undertone` command: one module per subcommand, options and help only; the work is done by the services."""
