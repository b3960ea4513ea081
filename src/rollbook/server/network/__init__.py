"""Sockets, TLS, connections and processes."""
