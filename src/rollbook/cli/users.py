"""`rollbook user`: the users of an account and their roles."""

import sys
from typing import Annotated

import typer
from sqlalchemy import Connection

from rollbook.actions import grant_permissions
from rollbook.cli.keys import AccountOption
from rollbook.cli.local_database import change_account, open_database, operator
from rollbook.cli.output import Format, FormatOption, print_answer, print_rows
from rollbook.cli.prompts import confirm
from rollbook.errors import UserError
from rollbook.model import Account, Role, utc_now
from rollbook.settings import load_settings
from rollbook.store.people.accounts import find_account
from rollbook.store.people.erasure import Erasure, erase_user
from rollbook.store.people.invitations import VALID, invite
from rollbook.store.people.passwords import ADMINISTERING, generate_password, set_password
from rollbook.store.people.second_factors import reset_factor
from rollbook.store.people.users import add_user, list_users, rename_user, set_active, set_role

app = typer.Typer(help="Users and their roles.", no_args_is_help=True)


@app.command("list")
def list_(account: AccountOption = None, form: FormatOption = Format.TABLE) -> None:
    """List all users of an account."""
    with open_database() as database, database.read() as connection:
        rows = list_users(connection, find_account(connection, account))
    rows = [row | {"name": f"{row['given_name']} {row['family_name']}".strip()} for row in rows]
    columns = ("id", "email", "employee_id", "given_name", "family_name", "role", "active")
    print_rows(rows, columns, form, shown=("id", "email", "employee_id", "name", "role", "active"), keep=("role",))


@app.command()
def add(
    email: str,
    account: AccountOption = None,
    role: Annotated[Role, typer.Option(help="Administrators and owners may unenroll.")] = Role.LEARNER,
    given_name: str = "",
    family_name: str = "",
    employee_id: str = "",
    form: FormatOption = Format.TABLE,
) -> None:
    """Add a user."""
    details = {"given_name": given_name, "family_name": family_name, "employee_id": employee_id}
    number = change_account(
        account, lambda connection, owner: add_user(connection, owner, email, role, by=operator(), **details)
    )
    then = f"; for the console: rollbook user invite {email}" if role in ADMINISTERING else ""
    sentence = f"Added {email} as {role}. For a key: rollbook key new --user {email}{then}"
    print_answer(form, sentence, user=number, email=email, role=role)


UserArgument = Annotated[str, typer.Argument(metavar="USER", help="The e-mail, or the number that `user list` shows.")]


@app.command()
def deactivate(user: UserArgument, account: AccountOption = None, form: FormatOption = Format.TABLE) -> None:
    """Let a user's keys open nothing and end the login sessions; an account keeps at least one active owner."""
    name = change_account(account, lambda link, owner: set_active(link, owner, user, active=False, by=operator()))
    sentence = f"{name} is inactive. Keys and login sessions have stopped working."
    print_answer(form, sentence, user=name, active=False)


@app.command()
def activate(user: UserArgument, account: AccountOption = None, form: FormatOption = Format.TABLE) -> None:
    """Let a user's keys work again."""
    name = change_account(account, lambda link, owner: set_active(link, owner, user, active=True, by=operator()))
    print_answer(form, f"{name} is active. Keys that are not revoked work again.", user=name, active=True)


@app.command()
def rename(
    user: UserArgument,
    email: Annotated[str | None, typer.Option(help="The new e-mail.")] = None,
    given_name: str | None = None,
    family_name: str | None = None,
    employee_id: str | None = None,
    account: AccountOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Change the e-mail, the name or the employee id of a user; what is not named stays."""
    given = {"email": email, "given_name": given_name, "family_name": family_name, "employee_id": employee_id}
    changes = {name: text for name, text in given.items() if text is not None}
    if not changes:
        raise UserError("Name what to change. See: rollbook user rename --help")
    number = change_account(account, lambda link, owner: rename_user(link, owner, user, changes, by=operator()))
    sentence = f"Changed user {number}: {', '.join(name.replace('_', ' ') for name in changes)}."
    print_answer(form, sentence, user=number, **changes)


@app.command()
def erase(
    user: UserArgument,
    account: AccountOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Remove the personal data of a user permanently; the history stays under the number.

    Shows what it will do, and asks. Reasons and other texts that people wrote, and backups, are not searched.
    """

    def work(connection: Connection, owner: Account) -> Erasure:
        return erase_user(connection, owner, user, by=operator())

    with open_database() as database:
        planned = database.transact(lambda link: work(link, find_account(link, account)), rollback=True)
        typer.echo(_summary(planned), err=True)
        if dry_run:
            print_answer(form, "Nothing was changed.", user=planned.user_id, erased=False)
            return
        if not yes:
            confirm("Erase? It cannot be undone.")
        done = database.transact(lambda link: work(link, find_account(link, account)))
    sentence = f"Erased {done.name}, who is User {done.user_id} from now on."
    print_answer(form, sentence, user=done.user_id, erased=True)


def _summary(planned: Erasure) -> str:
    deleted = ", ".join(f"{count} {what}" for what, count in planned.deleted.items())
    return (
        f"{planned.name} is user {planned.user_id}.\n"
        f"Removed: names, e-mails, employee id, profile and password; {deleted}; the e-mail from {planned.audit_lines} "
        f"audit lines; the network address from {planned.calls} calls.\n"
        f"Kept: {planned.enrollments} enrollments with progress and history, under the name User {planned.user_id}."
    )


@app.command("role")
def change_role(email: str, role: Role, account: AccountOption = None, form: FormatOption = Format.TABLE) -> None:
    """Give a user another role; an account keeps at least one owner."""
    change_account(account, lambda connection, owner: set_role(connection, owner, email, role, by=operator()))
    print_answer(form, f"{email} is {role} now.", user=email, role=role)


@app.command()
def grant(
    email: str,
    group: Annotated[str, typer.Option(help="Name of the group; the user becomes a member.")],
    group_manager: Annotated[bool | None, typer.Option("--group-manager/--no-group-manager")] = None,
    manage_group_users: Annotated[bool | None, typer.Option("--manage-group-users/--no-manage-group-users")] = None,
    account: AccountOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Grant or withdraw a group permission, with which a learner may enroll the members of the group."""
    permissions = {"group_manager": group_manager, "manage_group_users": manage_group_users}
    if group_manager is None and manage_group_users is None:
        raise UserError("Name a permission. See: rollbook user grant --help")
    change_account(
        account,
        lambda connection, owner: grant_permissions(connection, operator(), owner, email, group, permissions),
    )
    changed = {name: value for name, value in permissions.items() if value is not None}
    print_answer(form, f"Changed what {email} may do in {group}.", user=email, group=group, **changed)


@app.command("invite")
def create_invitation(user: UserArgument, account: AccountOption = None, form: FormatOption = Format.TABLE) -> None:
    """Invite an administrator or owner to the console by a link, shown only once, to choose a password with.

    A newer link replaces an earlier one. It has the address ROLLBOOK_PUBLIC_URL.
    """
    origin = load_settings().origin
    key = change_account(account, lambda link, owner: invite(link, owner, user, utc_now(), by=operator()))
    address = f"{origin}/console/invitation?key={key}"
    print_answer(form, address, user=user, link=address)
    typer.echo(f"Send it to the user now: it is shown only this once and works once, for {VALID.days} days.", err=True)


@app.command()
def password(
    email: str,
    account: AccountOption = None,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read the password from standard input.")] = False,
    generate: Annotated[bool, typer.Option("--generate", help="Make a password and show it, only this once.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Set the console password of an administrator or owner; it ends their login sessions.

    Asks for the password twice, unless an option names its source.
    """
    if stdin and generate:
        raise UserError("Choose one of --stdin and --generate.")
    if generate:
        chosen = generate_password()
    elif stdin:
        chosen = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        chosen = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        raise UserError("Not a terminal: use --stdin or --generate.")
    change_account(account, lambda connection, owner: set_password(connection, owner, email, chosen, by=operator()))
    if generate or form is not Format.TABLE:
        print_answer(form, chosen, user=email, **({"password": chosen} if generate else {}))
    typer.echo(f"{email} can sign in to the console with this password now.", err=True)


@app.command("reset-second-factor")
def reset_second_factor(user: UserArgument, account: AccountOption = None, form: FormatOption = Format.TABLE) -> None:
    """Remove the second factor of a user whose device is lost, and end the login sessions."""
    name = change_account(account, lambda link, owner: reset_factor(link, owner, user, by=operator()))
    sentence = f"{name} has no second factor any more and signs in with the password."
    print_answer(form, sentence, user=name, second_factor=False)
