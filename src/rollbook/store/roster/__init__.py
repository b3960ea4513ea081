"""Imports a roster: staging, checks, matching of people, changes, and the transaction that applies them."""
