"""The only code that knows SQL: one module a subject, the same functions on SQLite and on PostgreSQL."""
