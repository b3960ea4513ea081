"""The help of commands: values named as people read them, whole sentences, commands in groups."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from typer import BadParameter
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from rollbook.errors import UserError

# A range as typer writes it; an upper end of ten digits is a limit of the database, not advice.
_RANGE = re.compile(r"(?P<least>\d+)<=x<=(?:\d{10,}|(?P<most>\d+))|x>=(?P<alone>\d+)")

# How the library of the types begins a sentence for developers.
_PYDANTIC = re.compile(r"^(?:Value error, |Input should be (.+?)(?:, unable to .+)?$)")


class HelpfulCommand(TyperCommand):
    """A command whose options have names for their values, and at most one value each unless they say otherwise."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        for param in self.params:
            if isinstance(param, TyperArgument | TyperOption) and param.metavar is None:
                param.metavar = _name_value(param)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; errors: UserError for an option of one value that is given twice."""
        given = Counter(self.make_parser(ctx).parse_args(args=[*args])[2])
        for option, times in given.items():
            if not isinstance(option, TyperOption) or option.multiple:
                continue
            if times > 1 and not (option.is_flag and not option.secondary_opts):
                raise UserError(f"{option.opts[0]} is given {times} times, and takes one value.")
        try:
            return super().parse_args(ctx, args)
        except BadParameter as error:
            error.message = _PYDANTIC.sub(lambda found: f"It should be {found[1]}." if found[1] else "", error.message)
            raise

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Write required arguments without braces."""
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments without their types, the options, and ranges in words."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for param in self.get_params(ctx):
            if (record := param.get_help_record(ctx)) is None:
                continue
            name, text = record[0], _RANGE.sub(_say_range, record[1])
            if isinstance(param, TyperArgument):
                name, text = f"{param.metavar}{'' if param.nargs == 1 else '...'}", f"{_choices(param)}  {text}".strip()
                sections["Arguments"].append((name, text))
            else:
                sections["Options"].append((name, text))
        for title, rows in sections.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class HelpfulGroup(TyperGroup):
    """A group of commands, each with its whole first sentence."""

    def panels(self) -> Mapping[str, Iterable[str]]:
        """The names of the commands by heading."""
        return {"Commands": self.commands}

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands under their headings."""
        width = max(map(len, self.commands))
        for title, names in self.panels().items():
            rows = [(name.ljust(width), self.commands[name].get_short_help_str(300)) for name in names]
            with formatter.section(title):
                formatter.write_dl(rows)


def _name_value(param: TyperArgument | TyperOption) -> str | None:
    if isinstance(param, TyperArgument):
        return param.name.upper().replace("_", "-")
    word = param.name.rpartition("_")[2]
    if choices := _choices(param):
        return choices
    if param.type_descriptor.is_path:
        return "FILE"
    number = param.type_descriptor.is_ranged or param.type_descriptor.annotation in (int, float)
    return "N" if number and word == param.name else word.upper()


def _choices(param: TyperArgument | TyperOption) -> str:
    kind = param.type_descriptor
    return "|".join(str(getattr(choice, "value", choice)) for choice in kind.choices or ()) if kind.is_choice else ""


def _say_range(found: re.Match[str]) -> str:
    least = found["least"] or found["alone"]
    return f"{least} to {found['most']}" if found["most"] else f"{least} or more"
