"""What people do to an account's records: each action is the same, with the same audit line, from every door."""

from rollbook.actions.enroll import enroll as enroll
from rollbook.actions.pause import pause as pause
from rollbook.actions.pause import resume as resume
from rollbook.actions.undo import undo_batch as undo_batch
from rollbook.actions.undo import undo_enrollments as undo_enrollments
from rollbook.actions.unenroll import unenroll as unenroll
