"""Real faults against a real gateway, as a table: ``make faults``. docs/faults.md explains the rows."""
