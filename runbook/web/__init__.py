"""The HTTP API and the operators' console: server-rendered, one process with the scheduler."""
