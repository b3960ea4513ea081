"""The Python client for Rollbook and other servers of this API."""
