"""The views of the console, one module a page or a group of pages."""
