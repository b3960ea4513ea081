"""Reads other systems' files into canonical rows; what they mean to the database is store/roster' part."""
