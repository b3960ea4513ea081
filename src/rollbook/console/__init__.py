"""The web console at /console: a view module per page, with Jinja templates beside them."""
