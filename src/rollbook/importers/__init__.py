"""Reads the files of other systems into staged rows, which store/roster imports."""
