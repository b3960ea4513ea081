"""Every error once: the codes of the wire with their messages, and the exceptions of the program.

RollbookError               whatever Rollbook raises on purpose
├── CallError                       ends a call with one code of the wire
├── TransportError                  ends a call by an HTTP status: 408, 413, 422, 429 or 503
│   ├── ThrottledError              a limit is reached: 429
│   └── DatabaseUnavailableError    the database cannot be reached or is too busy: 503
│       ├── LockTimeoutError        others held for too long what was needed: 503
│       └── ConflictError           another transaction was in the way: 503 when trying again did not help
├── UserError                       a person asked for what cannot be done; the message says what to do
│   └── UnknownSchemaError          the database was made by another release, or by nobody yet
└── ClientError                     a call that rollbook.Client made failed as a whole
    ├── CallRefusedError            the server read it and answered Failed, with a code
    ├── ServerUnreachableError      no answer, however often it was sent; or a certificate that is not trusted
    └── NotAnAnswerError            something answered that does not speak this API
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class WireCode:
    """A code of the wire and its message; `{…}` in the message is filled in where the error is raised."""

    code: str
    message: str


# General errors, in the order in which they are looked for (protocol §2, D4).
NO_POST_DATA = WireCode("SU:01", "No POST data detected.")
NO_PACKAGE = WireCode("SU:02", "Package parameter not found.")
NOT_XML = WireCode("SU:03", "Package data is not properly formatted XML.")
NO_ROOT = WireCode("SU:04", "SmarterU root tag not found in Package data.")
NO_ACCOUNT_KEY = WireCode("SU:05", "AccountAPI tag not found in Package data.")
NO_USER_KEY = WireCode("SU:06", "UserAPI tag not found in Package data.")
NO_METHOD = WireCode("SU:07", "Method tag not found in Package data.")
NO_PARAMETERS = WireCode("SU:08", "Parameters tag not found in Package data.")
EMPTY_PARAMETERS = WireCode("SU:09", "Parameters tag contains no information.")
INVALID_KEYS = WireCode("SU:10", "User and Account API keys are invalid.")
UNKNOWN_METHOD = WireCode("SU:11", "Requested method does not exist.")
WRONG_STRUCTURE = WireCode("SU:12", "Incorrect/Missing Structure/Parameters.")
UNEXPECTED_ELEMENT = WireCode("SU:13", "Element {tag} was found where it should not exist.")
UNFORESEEN = WireCode("SU:9999", "Unknown method call failure.")

# unenrollLearningModules (protocol §4, D6).
UNENROLL_MALFORMED_ID = WireCode("ULM:01", "AccountUserLearningModuleRelID provided is not valid.")
UNENROLL_FORBIDDEN = WireCode(
    "ULM:02", "The required permissions are not met to call the unenrollLearningModules method."
)
UNENROLL_UNKNOWN_ID = WireCode(
    "ULM:03", "Unenrollment {block} - The AccountUserLearningModuleRelID provided is not valid."
)
UNENROLL_QUEUED_ID = WireCode(
    "ULM:04",
    "Unenrollment {block} - The AccountUserLearningModuleRelID provided is already in the unenrollment queue.",
)
UNENROLL_REPEATED_ID = WireCode(
    "ULM:05",
    "Unenrollment {block} - The AccountUserLearningModuleRelID provided is a duplicate of the "
    "AccountUserLearningModuleRelID from Unenrollment {first}.",
)

# enrollLearningModules (protocol §5, D15).
ENROLL_FORBIDDEN = WireCode("ELM:01", "The required permissions are not met to call the enrollLearningModules method.")
ENROLL_UNKNOWN_USER = WireCode("ELM:02", "Enrollment {block} - The User provided is not valid.")
ENROLL_UNKNOWN_GROUP = WireCode("ELM:03", "Enrollment {block} - The GroupName provided is not valid.")
ENROLL_NO_MEMBER = WireCode("ELM:04", "Enrollment {block} - The User provided is not in the group.")
ENROLL_UNKNOWN_COURSE = WireCode("ELM:05", "Enrollment {block} - The LearningModuleID provided is not valid.")
ENROLL_UNKNOWN_SESSION = WireCode("ELM:06", "Enrollment {block} - The LearningModuleSessionID provided is not valid.")
ENROLL_WRONG_DATE = WireCode("ELM:07", "Enrollment {block} - The DueDateSettings provided are not valid.")
ENROLL_IS_ENROLLED = WireCode("ELM:19", "Enrollment {block} - The user is already enrolled.")

# getLearnerReport (protocol §6, D18).
REPORT_FORBIDDEN = WireCode("GLR:01", "The required permissions are not met to call the getLearnerReport method.")

# The queue's methods, all ours (D20).
GET_UNENROLLMENTS_FORBIDDEN = WireCode(
    "GUN:01", "The required permissions are not met to call the getUnenrollments method."
)
GET_BATCHES_FORBIDDEN = WireCode(
    "GUB:01", "The required permissions are not met to call the getUnenrollmentBatches method."
)
GET_QUEUE_FORBIDDEN = WireCode(
    "GUQ:01", "The required permissions are not met to call the getUnenrollmentQueue method."
)
PAUSE_FORBIDDEN = WireCode("PAU:01", "The required permissions are not met to call the pauseUnenrollments method.")
RESUME_FORBIDDEN = WireCode("RSM:01", "The required permissions are not met to call the resumeUnenrollments method.")

REMOVE_FORBIDDEN = WireCode("REM:01", "The required permissions are not met to call the removeUnenrollments method.")
REMOVE_MALFORMED_ID = WireCode("REM:02", "AccountUserLearningModuleRelID provided is not valid.")
REMOVE_REPEATED_ID = WireCode(
    "REM:03",
    "Unenrollment {block} - The AccountUserLearningModuleRelID provided is a duplicate of the "
    "AccountUserLearningModuleRelID from Unenrollment {first}.",
)
REMOVE_UNKNOWN_BATCH = WireCode("REM:04", "The BatchID provided is not valid.")
REMOVE_NOT_PENDING = WireCode(
    "REM:05", "Unenrollment {block} - The AccountUserLearningModuleRelID provided is not in the unenrollment queue."
)

RESTORE_FORBIDDEN = WireCode("RES:01", "The required permissions are not met to call the restoreUnenrollments method.")
RESTORE_MALFORMED_ID = WireCode("RES:02", "AccountUserLearningModuleRelID provided is not valid.")
RESTORE_REPEATED_ID = WireCode(
    "RES:03",
    "Unenrollment {block} - The AccountUserLearningModuleRelID provided is a duplicate of the "
    "AccountUserLearningModuleRelID from Unenrollment {first}.",
)
RESTORE_UNKNOWN_BATCH = WireCode("RES:04", "The BatchID provided is not valid.")
RESTORE_NOT_UNENROLLED = WireCode(
    "RES:05", "Unenrollment {block} - The AccountUserLearningModuleRelID provided has no unenrollment to be undone."
)
RESTORE_ENROLLED_AGAIN = WireCode(
    "RES:06", "Unenrollment {block} - The learner has been enrolled in the learning module again."
)
RESTORE_PURGED = WireCode("RES:07", "Unenrollment {block} - The learner's progress is no longer kept.")


class RollbookError(Exception):
    """Whatever Rollbook raises on purpose."""


class CallError(RollbookError):
    """Ends a call with one code of the wire.

    `detail` says which element was wrong and where. It goes to the log, never to the caller, and holds no value that
    was sent.
    """

    def __init__(self, code: WireCode, detail: str = "", **data: object) -> None:
        super().__init__(f"{code.code} {detail}".rstrip())
        self.code = code
        self.detail = detail
        self.message = code.message.format(**data)


class TransportError(RollbookError):
    """Ends a call by an HTTP status of its own (protocol T5, D3).

    `closes` ends the connection as well, because a rest of the call may still be on its way.
    """

    closes = True

    def __init__(self, status: int, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after = retry_after


class ThrottledError(TransportError):
    """A limit is reached; the same call can be sent again after `retry_after` seconds."""

    closes = False

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(429, detail, retry_after=retry_after)


class DatabaseUnavailableError(TransportError):
    """The database cannot be reached or is too busy; the call can be sent again.

    When the connection broke while it was told to commit, nobody knows whether the call was carried out (D13).
    """

    closes = False

    def __init__(self, detail: str) -> None:
        super().__init__(503, detail, retry_after=1)


class LockTimeoutError(DatabaseUnavailableError):
    """Others held for too long what was needed; nothing was done."""


class ConflictError(DatabaseUnavailableError):
    """Another transaction was in the way; nothing was done, and the same work may well succeed when begun again."""


class UserError(RollbookError):
    """A person asked for something that cannot be done; the message says what was wrong, where, and what to do."""


class UnknownSchemaError(UserError):
    """The database was made by another release, or by nobody yet."""


class ClientError(RollbookError):
    """A call of rollbook.Client failed as a whole; the message names the address, and never holds a key."""


class CallRefusedError(ClientError):
    """The server answered Failed for the whole call: `code` and `message` are its own words.

    `request_id` is where a Rollbook server's log tells more; None from a server that does not give one.
    """

    def __init__(self, url: str, code: str, message: str, request_id: str | None) -> None:
        more = f" Its log tells more under the request id {request_id}." if request_id else ""
        super().__init__(f"{url} refused the call with {code}: {message}{more}")
        self.code = code
        self.message = message
        self.request_id = request_id


class ServerUnreachableError(ClientError):
    """No answer came, however often the call was sent; or the server's certificate is not trusted."""


class NotAnAnswerError(ClientError):
    """Something answered, but not with XML of this API."""
