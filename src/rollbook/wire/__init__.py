"""Translates between XML and Python; independent of the database and the HTTP server."""
