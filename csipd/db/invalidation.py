"""Which write drops which facts: what is declared, as one table (docs/invalidation.md).

Reads and writes of callers are declared by the chapters. Whatever writes besides, operators' commands and the
clock, is held to what is said here of the tables: who changes a row of one drops the facts that are made from
it. `csipd.db` as a whole is tested against that (tests/db/test_invalidation.py).

    python -m csipd.db.invalidation > docs/invalidation.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence

from attrs import field, frozen

from csipd.db import facts
from csipd.db.chapters import read_facts, written_facts
from csipd.db.facts import KINDS, Kind
from csipd.sep2.site import SERVED

_WRITES = ("PUT", "POST", "DELETE")


@frozen
class Made:
    """What is made from the rows of a table.

    :param rows: kinds of facts that a row that is made or removed drops
    :param columns: those that a changed column drops; a column that is not named: as ``rows``
    :param why: what is not plain about it
    """

    rows: tuple[Kind, ...] = ()
    columns: Mapping[str, tuple[Kind, ...]] = field(factory=dict)
    why: str = ""

    def dropped(self, columns: Sequence[str] | None) -> tuple[Kind, ...]:
        """The kinds that a change of some columns drops; None: a row was made or removed."""
        if columns is None:
            return self.rows
        found = {kind for name in columns for kind in self.columns.get(name, self.rows)}
        return tuple(kind for kind in KINDS if kind in found)


_DEVICE = (facts.device,)
_NOTHING = Made()

#: By the name of a table.
MADE_FROM: Mapping[str, Made] = {
    "devices": Made(
        (facts.certificate,),
        {
            "lfdi": (facts.certificate, facts.device),
            **dict.fromkeys(
                (
                    "sfdi",
                    "aggregator",
                    "manager",
                    "registered",
                    "retired",
                    "withdrawn",
                    "pin",
                    "changed_time",
                    "device_category",
                    "category_octets",
                    "post_rate",
                    "wished_post_rate",
                    "poll_rate",
                    "former_works",
                ),
                _DEVICE,
            ),
            "fleet": (facts.fleet,),
            **dict.fromkeys(("name", "withdrawn_reason", "modes", "added"), ()),
        },
        "no resource shows its name and modes",
    ),
    "former_lfdis": Made((facts.certificate,), {"works": _DEVICE}),
    "memberships": Made((facts.groups_of,)),
    "fleets": Made((facts.fleet_groups,)),
    "groups": Made((facts.topology,)),
    "assignments": Made(why="no group is of a new FSA, and none changes"),
    "programs": Made((facts.topology, facts.program), {"mrid": (facts.program,)}),
    "own_programs": Made((facts.own_program,), {"fleet": (facts.fleet_groups,)}),
    "own_defaults": Made((facts.document,)),
    "default_versions": Made((facts.document,)),
    "controls": Made((facts.controls, facts.schedule)),
    "responses": Made(
        (facts.responses,), {**dict.fromkeys(("latest", "flagged"), ()), "fleet": (facts.fleet,)}
    ),
    "logevents": Made((facts.list_of,), {"classified": ()}),
    "mirrors": Made(
        (facts.mirrors, facts.mirror, facts.usage_points),
        {
            "fleet": (facts.fleet,),
            "roles": (facts.mirror, facts.usage_points),
            **dict.fromkeys(("body", "wished_post_rate", "posted"), (facts.mirror,)),
        },
    ),
    "meter_readings": Made((facts.mirror,), {"sets": ()}),
    "reading_sets": Made((facts.readings,)),
    "documents": Made((facts.document,)),
    "rates": Made((facts.rates,)),
    "device_rates": Made((facts.own_rates,)),
    "lists": Made((facts.list_of,)),
    "series": Made(
        (facts.readings,),
        dict.fromkeys(("doomed", "ended", "forward_alone", "stored", "newest", "rolled", "kept"), ()),
        "the others are of its latest reading",
    ),
    "readings": Made((facts.readings,)),
    "subscriptions": Made(
        (facts.list_of, facts.document),
        dict.fromkeys(
            (
                "attempts",
                "certain",
                "changed",
                "digest",
                "error",
                "expires",
                "failing_since",
                "look_at",
                "next_at",
                "notified",
                "revision",
                "told",
            ),
            (),
        ),
        "how far its subscriber was told, no resource shows",
    ),
    # What only operators see, and what the store keeps for itself.
    **dict.fromkeys(
        (
            "abilities",
            "alarms",
            "audit",
            "bus_messages",
            "bus_wishes",
            "changes",
            "commits",
            "contacts",
            "counts",
            "declarations",
            "deliveries",
            "facts",
            "former_settings",
            "idempotency",
            "late_hours",
            "rollups",
            "receivers",
            "watched",
        ),
        _NOTHING,
    ),
}


_HEAD = """# What is kept, and which write drops it

Made from the declarations of the chapters (`csipd/db/chapters`) and of the tables by `python -m
csipd.db.invalidation`; a test sees that it is up to date and that no write is missing.

What is kept, a whole answer or something that many answers are made from, names the facts that it hangs on.
A write names those that it drops: after that nothing that hangs on them is given to anybody. A caller's
rights are the fact `device` of its own number. What follows the clock carries besides the moment at which it
stops being true.

## Facts

| kind | what it says |
|---|---|"""


def document() -> str:
    """The text of docs/invalidation.md."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _HEAD
    for kind in KINDS:
        yield f"| {kind.name} | {kind.meaning} |"
    yield ""
    yield "## What a GET hangs on"
    yield ""
    yield "| resource | facts |"
    yield "|---|---|"
    for row in SERVED.values():
        yield f"| `{row.uri}` {row.name} | {_names(read_facts(row))} |"
    yield ""
    yield "## What callers' writes drop"
    yield ""
    yield "| write | facts |"
    yield "|---|---|"
    for row in SERVED.values():
        for method in _WRITES:
            if row.parties(method):
                yield f"| {method} `{row.uri}` | {_names(written_facts(row, method))} |"
    yield ""
    yield "## What is made from the tables"
    yield ""
    yield "Whoever writes to one, operators' commands, the configuration and the clock included, drops these."
    yield ""
    yield "| table | rows made or removed | columns changed |"
    yield "|---|---|---|"
    for table, made in MADE_FROM.items():
        if made.rows or made.columns:
            yield f"| {table} | {_names(made.rows)} | {_columns(made)} |"
    yield ""
    nothing = [table for table, made in MADE_FROM.items() if not made.rows and not made.columns]
    yield f"Nothing that is kept is made from {', '.join(nothing)}."


def _columns(made: Made) -> str:
    by_kinds: dict[str, list[str]] = {}
    for column, kinds in made.columns.items():
        by_kinds.setdefault(_names(kinds), []).append(column)
    said = [f"{', '.join(columns)}: {kinds}" for kinds, columns in by_kinds.items()]
    return "; ".join(said) or "the same"


def _names(kinds: Sequence[Kind]) -> str:
    return ", ".join(kind.name for kind in kinds) or "none"


if __name__ == "__main__":
    sys.stdout.write(document())
