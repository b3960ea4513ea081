"""The HTTPS server: `app` puts it together, `call/pipeline` is the order of a call."""
