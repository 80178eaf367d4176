"""The way of a tick through the core, and what is asked of the lines."""
