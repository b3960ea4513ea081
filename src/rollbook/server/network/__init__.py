"""Processes, sockets, connections, TLS."""
