CREATE TABLE accounts (
    id INTEGER NOT NULL,
    name TEXT NOT NULL,
    protect_completed BOOLEAN NOT NULL,
    hold_seconds INTEGER NOT NULL,
    retention_days INTEGER,
    queue_paused_at DATETIME,
    created_at DATETIME NOT NULL,
    CONSTRAINT pk_accounts PRIMARY KEY (id),
    CONSTRAINT ck_accounts_hold_seconds CHECK (hold_seconds >= 0),
    CONSTRAINT ck_accounts_retention_days CHECK (retention_days >= 0),
    CONSTRAINT uq_accounts_name UNIQUE (name)
);
CREATE TABLE unenrollments (
    batch_id BIGINT NOT NULL,
    block INTEGER NOT NULL,
    account_id BIGINT NOT NULL,
    enrollment_id BIGINT NOT NULL,
    status TEXT NOT NULL,
    notes TEXT,
    requested_at DATETIME NOT NULL,
    due_at DATETIME NOT NULL,
    finished_at DATETIME,
    CONSTRAINT pk_unenrollments PRIMARY KEY (batch_id, block),
    CONSTRAINT ck_unenrollments_status CHECK (status IN ('Pending', 'Complete', 'Removed', 'Failed', 'Restored')),
    CONSTRAINT ck_unenrollments_finished CHECK ((status = 'Pending') = (finished_at IS NULL))
)
 WITHOUT ROWID;
CREATE INDEX ix_unenrollments_due ON unenrollments (account_id, due_at) WHERE status = 'Pending';
CREATE UNIQUE INDEX uq_unenrollments_live ON unenrollments (enrollment_id) WHERE status IN ('Pending', 'Complete');
CREATE TABLE courses (
    id INTEGER NOT NULL,
    account_id BIGINT NOT NULL,
    external_id TEXT,
    name TEXT NOT NULL,
    term TEXT,
    duration TEXT,
    status TEXT NOT NULL,
    created_at DATETIME NOT NULL,
    modified_at DATETIME NOT NULL,
    CONSTRAINT pk_courses PRIMARY KEY (id),
    CONSTRAINT uq_courses_account_id_external_id UNIQUE (account_id, external_id),
    CONSTRAINT ck_courses_status CHECK (status IN ('Active', 'Inactive', 'Archived')),
    CONSTRAINT fk_courses_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);
CREATE TABLE groups (
    id INTEGER NOT NULL,
    account_id BIGINT NOT NULL,
    external_id TEXT,
    name TEXT NOT NULL,
    active BOOLEAN NOT NULL,
    created_at DATETIME NOT NULL,
    modified_at DATETIME NOT NULL,
    CONSTRAINT pk_groups PRIMARY KEY (id),
    CONSTRAINT uq_groups_account_id_external_id UNIQUE (account_id, external_id),
    CONSTRAINT fk_groups_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);
CREATE TABLE users (
    id INTEGER NOT NULL,
    account_id BIGINT NOT NULL,
    external_id TEXT,
    email TEXT,
    alternate_email TEXT,
    employee_id TEXT,
    given_name TEXT NOT NULL,
    family_name TEXT NOT NULL,
    title TEXT,
    division TEXT,
    role TEXT NOT NULL,
    active BOOLEAN NOT NULL,
    created_at DATETIME NOT NULL,
    modified_at DATETIME NOT NULL,
    CONSTRAINT pk_users PRIMARY KEY (id),
    CONSTRAINT uq_users_account_id_external_id UNIQUE (account_id, external_id),
    CONSTRAINT uq_users_account_id_employee_id UNIQUE (account_id, employee_id),
    CONSTRAINT ck_users_role CHECK (role IN ('owner', 'administrator', 'learner')),
    CONSTRAINT fk_users_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);
CREATE UNIQUE INDEX uq_users_account_id_email ON users (account_id, lower(email));
CREATE TABLE batches (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    account_id BIGINT NOT NULL,
    requested_by BIGINT,
    reason TEXT,
    requested_at DATETIME NOT NULL,
    CONSTRAINT fk_batches_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT fk_batches_requested_by FOREIGN KEY(requested_by) REFERENCES users (id)
);
CREATE TABLE keys (
    id INTEGER NOT NULL,
    account_id BIGINT NOT NULL,
    user_id BIGINT,
    digest BLOB NOT NULL,
    created_at DATETIME NOT NULL,
    revoked_at DATETIME,
    CONSTRAINT pk_keys PRIMARY KEY (id),
    CONSTRAINT fk_keys_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT fk_keys_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT uq_keys_digest UNIQUE (digest)
);
CREATE TABLE memberships (
    account_id BIGINT NOT NULL,
    group_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    group_manager BOOLEAN NOT NULL,
    manage_group_users BOOLEAN NOT NULL,
    CONSTRAINT pk_memberships PRIMARY KEY (group_id, user_id),
    CONSTRAINT fk_memberships_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT fk_memberships_group_id FOREIGN KEY(group_id) REFERENCES groups (id),
    CONSTRAINT fk_memberships_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE TABLE sessions (
    id INTEGER NOT NULL,
    account_id BIGINT NOT NULL,
    course_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    starts_at DATETIME,
    ends_at DATETIME,
    CONSTRAINT pk_sessions PRIMARY KEY (id),
    CONSTRAINT fk_sessions_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT fk_sessions_course_id FOREIGN KEY(course_id) REFERENCES courses (id)
);
CREATE TABLE enrollments (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    account_id BIGINT NOT NULL,
    external_id TEXT,
    user_id BIGINT NOT NULL,
    group_id BIGINT NOT NULL,
    course_id BIGINT NOT NULL,
    session_id BIGINT,
    tag TEXT,
    status TEXT NOT NULL,
    progress TEXT,
    grade TEXT,
    grade_percentage TEXT,
    points TEXT,
    enrolled_at DATETIME NOT NULL,
    started_at DATETIME,
    completed_at DATETIME,
    last_accessed_at DATETIME,
    due_at DATETIME,
    grace_period_at DATETIME,
    access_ends_at DATETIME,
    created_at DATETIME NOT NULL,
    modified_at DATETIME NOT NULL,
    unenrolled_at DATETIME,
    purged_at DATETIME,
    CONSTRAINT uq_enrollments_account_id_external_id UNIQUE (account_id, external_id),
    CONSTRAINT ck_enrollments_status CHECK (status IN ('Enrolled', 'Unconfirmed', 'In Progress', 'Warning', 'Overdue', 'Attending', 'Not Attending', 'Attended', 'Did Not Attend', 'Cancelled', 'Completed')),
    CONSTRAINT ck_enrollments_purged_after_unenrolled CHECK (purged_at IS NULL OR unenrolled_at IS NOT NULL),
    CONSTRAINT fk_enrollments_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT fk_enrollments_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT fk_enrollments_group_id FOREIGN KEY(group_id) REFERENCES groups (id),
    CONSTRAINT fk_enrollments_course_id FOREIGN KEY(course_id) REFERENCES courses (id),
    CONSTRAINT fk_enrollments_session_id FOREIGN KEY(session_id) REFERENCES sessions (id)
);
CREATE INDEX ix_enrollments_retained ON enrollments (account_id, unenrolled_at) WHERE unenrolled_at IS NOT NULL AND purged_at IS NULL;
CREATE UNIQUE INDEX uq_enrollments_open ON enrollments (user_id, course_id) WHERE unenrolled_at IS NULL AND status <> 'Completed';
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
INSERT INTO alembic_version VALUES ('0001');
