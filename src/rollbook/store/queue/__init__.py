"""The unenrollment queue and its history: accepting, processing, undoing, selecting."""
