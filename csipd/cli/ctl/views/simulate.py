"""How a simulated fleet is shown: live, in a line, and summed up."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any

from attrs import asdict

from csipd.cli.ctl.output import Facts, Grid, Part
from csipd.sim.behaviour import Behaviour
from csipd.sim.fleet import Fleet, Population

#: Voltages outside of these are worth a word, per unit (ANSI C84.1 range A).
LOW, HIGH = 0.95, 1.05


def fleet(fleet: Fleet, zone: tzinfo | None) -> list[Part]:
    """How it does, for a terminal."""
    return [Facts(facts(fleet, zone), title="Simulated fleet (Ctrl-C ends it)"), streets(fleet)]


def facts(fleet: Population, zone: tzinfo | None) -> tuple[tuple[str, str], ...]:
    """What it exchanges with the server, wherever it stands."""
    counts = fleet.counts
    return (
        ("Time", _time(fleet, zone)),
        ("Devices", f"{fleet.met()} of {len(fleet.units)} have found themselves"),
        ("Power", f"{fleet.power() / 1000:,.1f} kW"),
        ("Polls", f"{counts.polls:,}"),
        ("Reports", f"{counts.puts:,}"),
        ("Readings", f"{counts.readings:,}"),
        ("Responses", f"{counts.responses:,}"),
        ("Log events", f"{counts.log_events:,}"),
        ("Notifications", f"{counts.notifications:,}" if counts.notifications else ""),
        ("Errors", _errors(fleet)),
    )


def streets(fleet: Fleet) -> Grid:
    """The voltage along each street, and what its houses feed in."""
    rows = []
    for number in range(len(fleet.streets)):
        volts = fleet.voltages(number)
        units = [unit for name, unit in fleet.units.items() if fleet.places[name][0] == number]
        power = sum(unit.output.w for unit in units if unit.output is not None)
        rows.append(
            (
                str(number + 1),
                f"{power / 1000:,.1f} kW",
                f"{volts[0]:.3f}",
                f"{volts[-1]:.3f}",
                "too high" if max(volts) > HIGH else "too low" if min(volts) < LOW else "",
            )
        )
    return Grid(("Feeder", "Power", "First bus, p.u.", "Last bus, p.u.", ""), tuple(rows))


def line(fleet: Fleet, zone: tzinfo | None) -> str:
    """How it does, in a line."""
    ends = [fleet.voltages(number)[-1] for number in range(len(fleet.streets))]
    return f"{beginning(fleet, zone)}  up to {max(ends):.3f} p.u.  {exchanged(fleet)}"


def beginning(fleet: Population, zone: tzinfo | None) -> str:
    """How a line begins."""
    return f"{_time(fleet, zone)}  {fleet.met()}/{len(fleet.units)} devices  {fleet.power() / 1000:.1f} kW"


def exchanged(fleet: Population) -> str:
    """How a line ends."""
    counts = fleet.counts
    return (
        f"{counts.polls} polls  {counts.readings} readings  {counts.responses} responses"
        f"  {sum(counts.errors.values())} errors"
    )


def summary(fleet: Population) -> list[Part]:
    """What it has done, and who misbehaved: what whoever looked for them may compare."""
    return [
        f"{fleet.met()} of {len(fleet.units)} devices found themselves.",
        *fleet.counts.in_words(),
        *(f"{kind.capitalize()}: {', '.join(names)}." for kind, names in misbehaving(fleet).items()),
    ]


def figures(fleet: Population) -> dict[str, Any]:
    """The same for machines."""
    return {
        "devices": len(fleet.units),
        "found": fleet.met(),
        **asdict(fleet.counts),
        "misbehaving": misbehaving(fleet),
    }


def misbehaving(fleet: Population) -> dict[str, list[str]]:
    """The names of those that misbehave, by how they do."""
    found = {
        behaviour.value: sorted(unit.name for unit in fleet.units.values() if unit.behaviour is behaviour)
        for behaviour in Behaviour
        if behaviour is not Behaviour.GOOD
    }
    return {kind: names for kind, names in found.items() if names}


def _errors(fleet: Population) -> str:
    errors = fleet.counts.errors
    if not errors:
        return ""
    ((reason, _),) = errors.most_common(1)
    return f"{sum(errors.values()):,}, most of them: {reason}"


def _time(fleet: Population, zone: tzinfo | None) -> str:
    now = datetime.fromtimestamp(fleet.clock.now(), UTC).astimezone(zone)
    fast = f" ({fleet.clock.speed:g} times as fast)" if fleet.clock.speed != 1 else ""
    return f"{now:%H:%M:%S}{fast}"
