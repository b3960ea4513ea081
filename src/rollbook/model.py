"""Types that several rooms share: roles, statuses, accounts, callers, and the outcomes of actions."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from enum import StrEnum
from typing import NamedTuple

MAX_ID = 2**63 - 1  # D7
MAX_REASON_LENGTH = 500  # D21
NOT_STARTED = "Not Started"
# A progress that is a percentage; any other is a text.
PERCENTAGE = re.compile(r"[+-]?\d+([.,]\d+)?")
# A worker stores a heartbeat every few seconds; without one for so long it counts as gone.
SILENT_SECONDS = 5


class Role(StrEnum):
    """The role of a user in its account (protocol §3)."""

    OWNER = "owner"
    ADMINISTRATOR = "administrator"
    LEARNER = "learner"


class Permission(StrEnum):
    """What a learner may be allowed to do in a group, by its code on the wire (protocol-neighbours §9)."""

    MANAGE_GROUP = "MANAGE_GROUP"
    CREATE_COURSE = "CREATE_COURSE"
    MANAGE_GROUP_COURSES = "MANAGE_GROUP_COURSES"
    MANAGE_USERS = "MANAGE_USERS"
    MANAGE_GROUP_USERS = "MANAGE_GROUP_USERS"
    VIEW_LEARNER_RESULTS = "VIEW_LEARNER_RESULTS"
    PROCTOR = "PROCTOR"
    MARKER = "MARKER"
    INSTRUCTOR = "INSTRUCTOR"

    @property
    def column(self) -> str:
        """The column of `memberships` that holds it."""
        return "group_manager" if self is Permission.MANAGE_GROUP else self.lower()


class EnrollmentStatus(StrEnum):
    """The status of an enrollment, as on the wire (protocol §6)."""

    ENROLLED = "Enrolled"
    UNCONFIRMED = "Unconfirmed"
    IN_PROGRESS = "In Progress"
    WARNING = "Warning"
    OVERDUE = "Overdue"
    ATTENDING = "Attending"
    NOT_ATTENDING = "Not Attending"
    ATTENDED = "Attended"
    DID_NOT_ATTEND = "Did Not Attend"
    CANCELLED = "Cancelled"
    COMPLETED = "Completed"


class UnenrollmentStatus(StrEnum):
    """Pending → Complete | Removed | Failed; Complete → Restored (D19)."""

    PENDING = "Pending"
    COMPLETE = "Complete"
    REMOVED = "Removed"
    FAILED = "Failed"
    RESTORED = "Restored"


class RejectReason(StrEnum):
    """Why an enrollment was not unenrolled or changed, or an item was neither removed nor restored."""

    UNKNOWN = "unknown"
    QUEUED = "queued"
    WRONG_STATUS = "wrong status"
    ENROLLED_AGAIN = "enrolled again"
    PURGED = "purged"


class Remark(NamedTuple):
    """A remark on a row of an imported file: `line` is where the row begins, 0 for the file as a whole."""

    file: str
    line: int
    column: str
    reason: str


class Action(StrEnum):
    """The actions of the audit."""

    UNENROLL = "unenroll"
    ENROLL = "enroll"
    UPDATE_PROGRESS = "update-progress"
    ADD_SESSION = "add-session"
    PAUSE = "pause"
    RESUME = "resume"
    REMOVE = "remove"
    RESTORE = "restore"
    IMPORT = "import"
    ADD_ACCOUNT = "add-account"
    SET_POLICIES = "set-policies"
    ADD_USER = "add-user"
    UPDATE_USER = "update-user"
    ACTIVATE_USER = "activate-user"
    DEACTIVATE_USER = "deactivate-user"
    ERASE_USER = "erase-user"
    SET_ROLE = "set-role"
    SET_PASSWORD = "set-password"  # noqa: S105 the name of an action
    ADD_SECOND_FACTOR = "add-second-factor"
    REMOVE_SECOND_FACTOR = "remove-second-factor"
    RESET_SECOND_FACTOR = "reset-second-factor"
    NEW_RECOVERY_CODES = "new-recovery-codes"
    USE_RECOVERY_CODE = "use-recovery-code"
    ADD_GROUP = "add-group"
    UPDATE_GROUP = "update-group"
    ADD_COURSE = "add-course"
    ARCHIVE_COURSE = "archive-course"
    GRANT = "grant"
    INVITE_USER = "invite-user"
    NEW_KEY = "new-key"
    REVOKE_KEY = "revoke-key"
    EXPIRE_KEY = "expire-key"
    ADD_WEBHOOK = "add-webhook"
    ENABLE_WEBHOOK = "enable-webhook"
    REMOVE_WEBHOOK = "remove-webhook"
    AUTHORIZE = "authorize"


class Limit(StrEnum):
    """The rate limits, named as their settings: how many a minute, 0 for no limit."""

    WRONG_KEYS_PER_ADDRESS = "wrong_keys_per_address"
    CALLS_PER_ACCOUNT = "calls_per_account"
    SIGN_INS_PER_ADDRESS = "sign_ins_per_address"
    SIGN_INS_PER_EMAIL = "sign_ins_per_email"


@dataclass(frozen=True)
class Change:
    """A change for the audit; `details` must hold no key and no password."""

    action: Action
    subject: str | None = None
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Actor:
    """Who makes a change, and from where: a user by a call or a page, or without `user_id` the operator."""

    name: str
    user_id: int | None = None
    address: str | None = None
    request_id: str | None = None


@dataclass(frozen=True)
class Policies:
    """The policies of an account for its unenrollments.

    `protect_completed`: a completed enrollment stays (D11). `hold_seconds`: how long an accepted item waits before it
    is due. `retention_days`: how long the progress of an unenrolled learner is kept; None: without limit.
    `require_second_factor`: the console demands one of every user.
    """

    protect_completed: bool = False
    hold_seconds: int = 0
    retention_days: int | None = None
    require_second_factor: bool = False


@dataclass(frozen=True)
class Account:
    """An account and its policies."""

    id: int
    name: str
    policies: Policies


@dataclass(frozen=True)
class Caller:
    """The user in whose name a call is made, and the account that both keys belong to.

    `key_ids` are the numbers of the keys; a page has none.
    """

    account_id: int
    account: str
    user_id: int
    email: str
    role: Role
    policies: Policies
    key_ids: tuple[int, ...] = field(default=(), compare=False)

    @property
    def administers(self) -> bool:
        """Whether the caller is an owner or administrator (protocol §3)."""
        return self.role in (Role.OWNER, Role.ADMINISTRATOR)


@dataclass(frozen=True)
class Extensions:
    """Requests of a call beyond SmarterU's API (protocol §8, D21)."""

    idempotency_key: str | None = None
    dry_run: bool = False
    reason: str | None = None
    batch_id: int | None = None


@dataclass(frozen=True)
class UnenrollRequest:
    """A request to unenroll: the position of an id, from 1, is its block.

    The ids are distinct. None skips a block: `unreadable` has the code that refuses it. `sent` are the texts of the ids
    as they were sent. With `batch_id` that batch is continued (D32).
    """

    by: Actor
    ids: Sequence[int | None]
    reason: str | None
    idempotency_key: str | None = None
    batch_id: int | None = None
    sent: Sequence[str] | None = None
    unreadable: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Acceptance:
    """The outcome of a request to unenroll: the blocks that were queued in `batch_id`, and why the others were not.

    `batch_id` is None when nothing was queued in a new batch. A continued batch had `before` blocks.
    """

    batch_id: int | None
    accepted: tuple[int, ...]
    refused: dict[int, RejectReason]
    before: int = 0


def read_reason(text: str) -> str | None:
    """Return the reason of a batch without surrounding white space, None for an empty one (D21).

    Errors: ValueError with a sentence for the user.
    """
    reason = text.strip()
    if len(reason) > MAX_REASON_LENGTH:
        raise ValueError(f"a reason has at most {MAX_REASON_LENGTH} characters, and this one has {len(reason)}")
    for place, character in enumerate(reason, 1):
        if not character.isprintable() and unicodedata.category(character) != "Zs":
            kind = "a line break" if character.splitlines() == [""] else f"the character U+{ord(character):04X}"
            raise ValueError(f"a reason is text on one line, and character {place} of this one is {kind}")
    return reason or None


def describe_progress(progress: str | None, started_at: datetime | None, completed_at: datetime | None) -> str:
    """Describe progress in the words of the queue (protocol §7): a number is a percentage, any other text is itself.

    Without a progress it follows from the dates.
    """
    if progress is None:
        return "100%" if completed_at else "0%" if started_at else NOT_STARTED
    return f"{progress}%" if PERCENTAGE.fullmatch(progress) else progress


def suggest(wanted: str, known: Iterable[str]) -> str:
    """Suggest known names that are similar to an unknown one; empty without any."""
    near = get_close_matches(wanted.lower(), by_lower := {name.lower(): str(name) for name in known})
    return f" Is it {' or '.join(repr(by_lower[name]) for name in near)}?" if near else ""


def fold_email(email: str) -> str:
    """Return the form in which two e-mails that differ only in letter case are equal, on every database."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", email).casefold())


def utc_now() -> datetime:
    """Return the present time; all times in Rollbook are aware and in UTC."""
    return datetime.now(UTC)
