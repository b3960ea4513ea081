"""What people do to an account's records: each action is the same, with the same audit line, from every door."""
