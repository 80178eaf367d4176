"""What operators can do: one module an action, each a plugin that offers its kind through ``runbook_actions``."""
