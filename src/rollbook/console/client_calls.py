"""The call of each method with Rollbook's Python client, for the console's examples."""

CLIENT_CALLS = {
    "unenrollLearningModules": """\
for outcome in client.unenroll([8101], reason="The course is not held"):
    print(outcome)""",
    "enrollLearningModules": """\
for outcome in client.enroll([Enrollment(8101, group="North", email="ada@example.org")]):
    print(outcome)""",
    "getLearnerReport": """\
for row in client.learner_report(ReportFilters(statuses=["Completed"]), columns=["COMPLETED_DATE"]):
    print(row)""",
    "getUnenrollments": """\
for item in client.unenrollments(statuses=["Pending"]):
    print(item)""",
    "getUnenrollmentBatches": """\
for batch in client.batches():
    print(batch)""",
    "getUnenrollmentQueue": "print(client.queue())",
    "pauseUnenrollments": "print(client.pause())",
    "resumeUnenrollments": "print(client.resume())",
    "removeUnenrollments": """\
for outcome in client.remove(batch_id=17, reason="The wrong course"):
    print(outcome)""",
    "restoreUnenrollments": """\
for outcome in client.restore(batch_id=17, reason="The wrong course"):
    print(outcome)""",
    "getUser": 'print(client.get_user(email="ada@example.org"))',
    "createUser": """\
ada = UserValues(email="ada@example.org", given_name="Ada", family_name="Byron", groups=[UserGroup("North")])
client.create_user(ada)""",
    "updateUser": 'client.update_user(UserValues(title="Nurse"), email="ada@example.org")',
    "listUsers": """\
for user in client.list_users(UserFilters(name="byron", contains=True)):
    print(user)""",
    "getUserGroups": 'print(client.get_user_groups(email="ada@example.org"))',
    "requestExternalAuthorization": 'print(client.request_authorization(email="ada@example.org").redirect_path)',
    "getGroup": 'print(client.get_group(name="North"))',
    "listGroups": 'print(client.list_groups(contains="north"))',
    "createGroup": 'print(client.create_group(GroupValues(name="North", description="The northern branch")))',
    "updateGroup": 'print(client.update_group(name="North", add=[Member(email="ada@example.org")]))',
    "getGroupLearningModules": 'print(client.group_courses(name="North"))',
    "listLearningModules": """\
for course in client.courses(contains="safety"):
    print(course)""",
    "listSessions": "print(client.sessions(8101))",
    "createHistoricalSession": """\
begins = datetime(2026, 7, 1, 14, 30, tzinfo=UTC)
print(client.add_past_session(8101, begins, minutes=90))""",
    "enrollSessionHistory": """\
past = PastEnrollment(8101, "Completed", group="North", email="ada@example.org", session_id=7)
for outcome in client.import_history([past]):
    print(outcome)""",
    "enrollmentHistoryImport": """\
past = PastEnrollment(8101, "Completed", group="North", email="ada@example.org", completed=date(2026, 7, 1))
for outcome in client.import_history([past]):
    print(outcome)""",
    "updateEnrollments": """\
for outcome in client.update_enrollments([Progress(8101, status="In Progress", progress="50")]):
    print(outcome)""",
}
