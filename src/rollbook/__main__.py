"""`python -m rollbook` is the same as the command `rollbook`."""

from rollbook.cli import main

main()
