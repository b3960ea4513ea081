"""A server to test programs against: made-up people, well-known keys, and faults on request."""
