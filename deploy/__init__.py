"""What a deployment needs; not part of any distribution."""
