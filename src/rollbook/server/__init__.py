"""The HTTPS server. A call passes receive, authorise, dispatch and respond, in that order; app puts them together."""
