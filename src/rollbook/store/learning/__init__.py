"""Enrollments: enrolling, the learner report, how long progress is kept."""
