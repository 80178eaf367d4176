"""``gateway top``: how a running gateway is, in a terminal, or as one snapshot for an incident."""
