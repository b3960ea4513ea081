"""The API: one module per method, named after it, with its messages, codes, permissions and function.

The client imports it too, so nothing here imports the store before a method runs (docs/decisions/0025).
"""

from rollbook.errors import GENERAL, WireCode
from rollbook.methods.create_group import CREATE_GROUP
from rollbook.methods.create_historical_session import CREATE_HISTORICAL_SESSION
from rollbook.methods.create_user import CREATE_USER
from rollbook.methods.enroll_learning_modules import ENROLL_LEARNING_MODULES
from rollbook.methods.enroll_session_history import ENROLL_SESSION_HISTORY
from rollbook.methods.enrollment_history_import import ENROLLMENT_HISTORY_IMPORT
from rollbook.methods.get_group import GET_GROUP
from rollbook.methods.get_group_learning_modules import GET_GROUP_LEARNING_MODULES
from rollbook.methods.get_learner_report import GET_LEARNER_REPORT
from rollbook.methods.get_unenrollment_batches import GET_UNENROLLMENT_BATCHES
from rollbook.methods.get_unenrollment_queue import GET_UNENROLLMENT_QUEUE
from rollbook.methods.get_unenrollments import GET_UNENROLLMENTS
from rollbook.methods.get_user import GET_USER
from rollbook.methods.get_user_groups import GET_USER_GROUPS
from rollbook.methods.list_groups import LIST_GROUPS
from rollbook.methods.list_learning_modules import LIST_LEARNING_MODULES
from rollbook.methods.list_sessions import LIST_SESSIONS
from rollbook.methods.list_users import LIST_USERS
from rollbook.methods.method import Method as Method
from rollbook.methods.pause_unenrollments import PAUSE_UNENROLLMENTS
from rollbook.methods.remove_unenrollments import REMOVE_UNENROLLMENTS
from rollbook.methods.request_external_authorization import REQUEST_EXTERNAL_AUTHORIZATION
from rollbook.methods.restore_unenrollments import RESTORE_UNENROLLMENTS
from rollbook.methods.resume_unenrollments import RESUME_UNENROLLMENTS
from rollbook.methods.unenroll_learning_modules import UNENROLL_LEARNING_MODULES
from rollbook.methods.update_enrollments import UPDATE_ENROLLMENTS
from rollbook.methods.update_group import UPDATE_GROUP
from rollbook.methods.update_user import UPDATE_USER

_ALL = (
    UNENROLL_LEARNING_MODULES,
    ENROLL_LEARNING_MODULES,
    GET_LEARNER_REPORT,
    GET_UNENROLLMENTS,
    GET_UNENROLLMENT_BATCHES,
    GET_UNENROLLMENT_QUEUE,
    PAUSE_UNENROLLMENTS,
    RESUME_UNENROLLMENTS,
    REMOVE_UNENROLLMENTS,
    RESTORE_UNENROLLMENTS,
    GET_USER,
    CREATE_USER,
    UPDATE_USER,
    LIST_USERS,
    GET_USER_GROUPS,
    REQUEST_EXTERNAL_AUTHORIZATION,
    GET_GROUP,
    LIST_GROUPS,
    CREATE_GROUP,
    UPDATE_GROUP,
    GET_GROUP_LEARNING_MODULES,
    LIST_LEARNING_MODULES,
    LIST_SESSIONS,
    CREATE_HISTORICAL_SESSION,
    ENROLL_SESSION_HISTORY,
    ENROLLMENT_HISTORY_IMPORT,
    UPDATE_ENROLLMENTS,
)
# The methods that only Rollbook has (D20).
OWN_METHODS = {
    *(GET_UNENROLLMENTS.name, GET_UNENROLLMENT_BATCHES.name, GET_UNENROLLMENT_QUEUE.name, UPDATE_ENROLLMENTS.name),
    *(PAUSE_UNENROLLMENTS.name, RESUME_UNENROLLMENTS.name, REMOVE_UNENROLLMENTS.name, RESTORE_UNENROLLMENTS.name),
}
METHODS: dict[str, Method] = {method.name: method for method in _ALL}

# Every code of the wire, in the order of docs/wire.md.
CODES: tuple[WireCode, ...] = (*GENERAL, *(code for method in _ALL for code in method.codes))
