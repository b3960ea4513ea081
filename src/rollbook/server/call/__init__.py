"""One call, from its headers and body to its response."""
