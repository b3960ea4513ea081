"""The Python client, for Rollbook and for any other server of this API."""
