"""Looking after the runbook's own files: archives, retention, log scans, incident reports, settings to go back to."""
