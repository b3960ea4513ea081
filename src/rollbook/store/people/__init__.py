"""Accounts, users, keys, passwords, and who is signed in to the console."""
