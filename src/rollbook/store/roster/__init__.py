"""Imports a roster: staging, checks, who its people are, changes, and the transaction that applies them."""
