"""``gateway new-plugin``: a plugin project that works and passes the conformance suite as it is."""
