"""The alerts of ``deploy/`` on a running gateway, with the real Prometheus, Pushgateway and Alertmanager."""
