"""Brings the environment up, keeps it up, takes it down: NATS, gateway, subscriptions, health, T-5.

A long-lived process (``python -m runbook.supervisor``) owns the children and is asked over a Unix socket in the state
directory. Exactly one of them runs for each state directory.
"""
