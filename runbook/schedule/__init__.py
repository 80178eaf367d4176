"""Jobs by the trading calendar: when they run, what becomes of missed ones, what operators see. See docs/jobs.md."""
