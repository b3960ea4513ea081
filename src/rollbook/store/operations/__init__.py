"""Audit, last calls, stored answers, login attempts, backup and diagnostics."""
