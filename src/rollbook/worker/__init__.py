"""Background work: the unenrollment queue and the purge of expired rows."""
