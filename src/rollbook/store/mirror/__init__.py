"""Copies of accounts of other servers in the local database."""
