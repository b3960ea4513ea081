"""The changes that users make to an account's records, the same for the API, the console, imports and commands.

Each action does the store's work, keeps the refusals and writes the audit line.
"""

from rollbook.actions.authorize import authorize_learner as authorize_learner
from rollbook.actions.courses import add_course as add_course
from rollbook.actions.courses import add_session as add_session
from rollbook.actions.courses import archive_course as archive_course
from rollbook.actions.enroll import enroll as enroll
from rollbook.actions.groups import GroupChanges as GroupChanges
from rollbook.actions.groups import create_group as create_group
from rollbook.actions.groups import update_group as update_group
from rollbook.actions.import_roster import apply_roster as apply_roster
from rollbook.actions.import_roster import import_roster as import_roster
from rollbook.actions.memberships import grant_permissions as grant_permissions
from rollbook.actions.memberships import join_groups as join_groups
from rollbook.actions.pause import pause as pause
from rollbook.actions.pause import resume as resume
from rollbook.actions.people import create_user as create_user
from rollbook.actions.people import update_user as update_user
from rollbook.actions.progress import update_progress as update_progress
from rollbook.actions.undo import undo_batch as undo_batch
from rollbook.actions.undo import undo_enrollments as undo_enrollments
from rollbook.actions.unenroll import unenroll as unenroll
from rollbook.actions.unenroll import unenroll_all as unenroll_all
