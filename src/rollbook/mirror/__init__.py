"""Copies an account of any server of this API into the local database, and brings enrollments back to that server."""
