"""One module an API method, named after it: this folder is the API.

A method reads a call and returns the work to be done for it; server/perform does the work, in one transaction.
"""

from collections.abc import Callable
from dataclasses import dataclass

from rollbook.methods.enroll_learning_modules import enroll_learning_modules
from rollbook.methods.get_learner_report import get_learner_report
from rollbook.methods.get_unenrollment_batches import get_unenrollment_batches
from rollbook.methods.get_unenrollment_queue import get_unenrollment_queue
from rollbook.methods.get_unenrollments import get_unenrollments
from rollbook.methods.pause_unenrollments import pause_unenrollments
from rollbook.methods.remove_unenrollments import remove_unenrollments
from rollbook.methods.restore_unenrollments import restore_unenrollments
from rollbook.methods.resume_unenrollments import resume_unenrollments
from rollbook.methods.unenroll_learning_modules import unenroll_learning_modules
from rollbook.model import Caller
from rollbook.store.engine import Work
from rollbook.wire.answer import Answer
from rollbook.wire.call import Call


@dataclass(frozen=True)
class Method:
    """How a call is prepared, and whether its work changes anything."""

    prepare: Callable[[Caller, Call], Work[Answer]]
    changes: bool


METHODS = {
    "unenrollLearningModules": Method(unenroll_learning_modules, changes=True),
    "enrollLearningModules": Method(enroll_learning_modules, changes=True),
    "getLearnerReport": Method(get_learner_report, changes=False),
    "getUnenrollments": Method(get_unenrollments, changes=False),
    "getUnenrollmentBatches": Method(get_unenrollment_batches, changes=False),
    "getUnenrollmentQueue": Method(get_unenrollment_queue, changes=False),
    "pauseUnenrollments": Method(pause_unenrollments, changes=True),
    "resumeUnenrollments": Method(resume_unenrollments, changes=True),
    "removeUnenrollments": Method(remove_unenrollments, changes=True),
    "restoreUnenrollments": Method(restore_unenrollments, changes=True),
}
