"""Reads a console of stalecore: KTAP version 1, a JSON record on each
diagnostic line, and the exit code on the last line."""

import json
import re
from dataclasses import dataclass, field

RESULT = re.compile(r"(not )?ok (\d+) (?:- )?(\S+)(?: # (.*))?$")


@dataclass
class Case:
    """One result of the tree: an operation under a stale state."""

    operation: str
    state: str
    ok: bool
    directive: str  # "slowed", "SKIP no PSCI", or nothing

    @property
    def skipped(self):
        return self.directive.startswith("SKIP")


@dataclass
class Console:
    """Everything that a console said."""

    records: list = field(default_factory=list)
    cases: list = field(default_factory=list)
    planned_operations: int | None = None
    operations: int = 0
    mistakes: list = field(default_factory=list)

    def of(self, kind):
        """The records of a kind, in order."""
        return [record[kind] for record in self.records if kind in record]


def parse(text):
    """Reads the text from "KTAP version 1" on, line by line."""
    console = Console()
    pending, planned = [], None
    for line in text.splitlines():
        nested = line.startswith("    ")
        line = line.strip()
        if line.startswith('# {"'):
            try:
                # Its number and checksum follow.
                record, _ = json.JSONDecoder().raw_decode(line[2:])
                console.records.append(record)
            except ValueError as error:
                console.mistakes.append(f"{error}: {line:.80}")
        elif line.startswith("1.."):
            if nested:
                planned = int(line[3:])
            else:
                console.planned_operations = int(line[3:])
        elif match := RESULT.match(line):
            failed, number, name, directive = match.groups()
            if nested:
                pending.append((name, not failed, directive or ""))
                if int(number) != len(pending):
                    console.mistakes.append(f"out of order: {line}")
                continue
            if len(pending) != planned:
                console.mistakes.append(f"{len(pending)} of {planned} cases: {line}")
            console.cases += [Case(name, *case) for case in pending]
            console.operations += 1
            pending, planned = [], None
    return console
