"""Message buses: a real NATS server or cluster, the bundled nats-server, and one inside the process."""
