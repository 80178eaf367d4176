"""What the programs log, and where to. The library configures nothing: it asks ``logging`` for a logger."""
