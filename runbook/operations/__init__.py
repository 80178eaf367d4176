"""Executables with the names that operators type. Each hands its arguments to the CLI, and nothing else."""
