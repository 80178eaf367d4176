"""Built-in sources, themselves plugins: a synthetic market, recorded ticks, and contract lists from files."""
