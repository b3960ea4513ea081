"""XML ↔ Python in both directions; knows no database and no HTTP server."""
