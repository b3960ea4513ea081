"""Connections, transactions, dialects, schema: what every statement of the store runs on."""
