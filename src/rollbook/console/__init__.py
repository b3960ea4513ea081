"""The pages for administrators, at /console: one module a page, templates beside them; the rules are the store's."""
