"""The ways in which Linux hands over to the image, and a selection of them."""

import itertools

WAYS = {
    "kernel": ("5.10", "6.1", "6.12", "newest"),
    "level": ("el1", "nvhe", "vhe"),
    "firmware": ("tree", "acpi"),
    # From a Linux that runs, as its crash kernel, or from the crash kernel that it has.
    "how": ("-e", "-p", "capture"),
    "hung": (0, 1, 2),
}


def rows(kernels):
    """All rows. Linux's own shutdown would wait for a core that hangs."""
    every = itertools.product(*WAYS.values())
    return [row for row in every if row[0] in kernels and not (row[3] == "-e" and row[4])]


def pairs(row):
    """Each two of a row's values, with their places."""
    return set(itertools.combinations(enumerate(row), 2))


def pairwise(every):
    """A few of these rows that together hold each pair of values that any row holds."""
    missing = set().union(*map(pairs, every))
    chosen = []
    while missing:
        row = max(every, key=lambda row: len(pairs(row) & missing))
        missing -= pairs(row)
        chosen.append(row)
    return chosen
