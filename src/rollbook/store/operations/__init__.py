"""What is kept about calls and changes, and what keeps a database well."""
