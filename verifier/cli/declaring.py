"""How an operation is declared on the command line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TextIO


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of an operation.

    Attributes:
        file: the argument names a file, whose text is the parameter.
        stdin: read from standard input: an id number in an argument would stand in process lists and history.
        flag: takes no value; given, its text is ``yes``. With ``stdin``: read only where it is given.
        rest: of what is read from standard input: all that is left, not one line.
    """

    name: str
    help: str
    required: bool = True
    positional: bool = False
    file: bool = False
    stdin: bool = False
    flag: bool = False
    rest: bool = False

    def add_to(self, command: argparse.ArgumentParser) -> None:
        """Declare it."""
        if self.stdin and not self.flag:
            return
        if self.positional:
            command.add_argument(self.name, help=self.help)
        elif self.flag:
            name = f"--{self.name.replace('_', '-')}"
            command.add_argument(name, dest=self.name, action="store_const", const="yes", help=self.help)
        else:
            command.add_argument(f"--{self.name}", dest=self.name, required=self.required, help=self.help)

    def given(self, arguments: argparse.Namespace, stdin: TextIO) -> str | None:
        """What was given for it."""
        value: str | None = getattr(arguments, self.name, None)
        if not self.stdin or (self.flag and value is None):
            return value
        return stdin.read() if self.rest else stdin.readline()


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation as the command line offers it."""

    help: str
    parameters: tuple[Parameter, ...] = ()
