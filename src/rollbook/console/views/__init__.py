"""The views of the console: a module per page or group of pages."""
