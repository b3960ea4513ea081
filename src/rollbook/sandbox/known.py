"""The account, people, keys and passwords of every sandbox: public, so that no other server may have them."""

from rollbook.model import Role

ACCOUNT = "Sandbox Academy"
ACCOUNT_KEY = "sandbox-account"
# By name: role, e-mail, key. The manager is Group Manager of the first group.
PEOPLE = {
    "owner": (Role.OWNER, "owner@sandbox.example", "sandbox-owner"),
    "administrator": (Role.ADMINISTRATOR, "administrator@sandbox.example", "sandbox-administrator"),
    "manager": (Role.LEARNER, "manager@sandbox.example", "sandbox-manager"),
    "learner": (Role.LEARNER, "learner@sandbox.example", "sandbox-learner"),
}
KEYS = {"account": ACCOUNT_KEY, **{name: key for name, (_, _, key) in PEOPLE.items()}}
# Of the owner and the administrator, for the console.
PASSWORD = "sandbox-password"  # noqa: S105 public, as the keys
