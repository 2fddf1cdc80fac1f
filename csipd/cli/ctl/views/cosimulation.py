"""How a simulated fleet in a simulation of GridAPPS-D is shown: live, in a line, and summed up."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any

from attrs import asdict

from csipd.cli.ctl.output import Facts, Part
from csipd.cli.ctl.views import simulate
from csipd.sim.cosimulation import CoSimulation


def fleet(fleet: CoSimulation, zone: tzinfo | None) -> list[Part]:
    """How it does, for a terminal."""
    exchanged = fleet.exchanged
    facts = (
        ("Simulation", f"{fleet.simulation_id}, {_simulation(fleet)}"),
        ("Voltage", _voltages(fleet)),
        ("Messages", f"{exchanged.ticks:,} came, {exchanged.written:,} written"),
        ("Not written", f"{exchanged.unsent:,}, the bus was down" if exchanged.unsent else ""),
        ("Refused", f"{exchanged.refused:,}, which were none of a simulation's" if exchanged.refused else ""),
        *simulate.facts(fleet, zone),
    )
    return [Facts(facts, title="Simulated fleet in a simulation of GridAPPS-D (Ctrl-C ends it)")]


def line(fleet: CoSimulation, zone: tzinfo | None) -> str:
    """How it does, in a line."""
    exchanged = fleet.exchanged
    return (
        f"{simulate.beginning(fleet, zone)}  {_voltages(fleet) or 'no voltages'}  {exchanged.ticks} steps"
        f"  {exchanged.written} written  {simulate.exchanged(fleet)}"
    )


def summary(fleet: CoSimulation) -> list[Part]:
    """What it has done."""
    exchanged = fleet.exchanged
    told = f"Simulation {fleet.simulation_id}: {exchanged.ticks:,} messages came, {exchanged.written:,} went."
    return [told, *simulate.summary(fleet)]


def figures(fleet: CoSimulation) -> dict[str, Any]:
    """The same for machines."""
    told = {"simulation": fleet.simulation_id, "simulation_messages": asdict(fleet.exchanged)}
    return told | simulate.figures(fleet)


def _voltages(fleet: CoSimulation) -> str:
    volts = fleet.volts.values()
    return f"{min(volts):.3f} to {max(volts):.3f} p.u." if volts else ""


def _simulation(fleet: CoSimulation) -> str:
    if fleet.timestamp is None:
        return "of which nothing was heard yet"
    time = datetime.fromtimestamp(fleet.timestamp, UTC)
    return f"{'silent' if fleet.is_silent else fleet.phase.value} at {time:%Y-%m-%d %H:%M:%S} UTC"
