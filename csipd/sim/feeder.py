"""A radial feeder: how the voltage at each bus follows from what flows (linear DistFlow).

      source        bus 1          bus 2                 bus n
    (1.00 p.u.)
        o----R1+jX1---o----R2+jX2---o---- ... --Rn+jXn----o
                      |             |                     |
                   p1 + jq1      p2 + jq2              pn + jqn      what is fed in less what is taken there

Along each line flows what all buses behind it feed in, P + jQ towards the source. It lifts its far end above
its near one by

    V(far) - V(near) = (R * P + X * Q) / V0          in volts, V0 the nominal voltage

so feeding in lifts the voltage, loads and vars that are taken in lower it, and the line's end moves most.
Losses are left out, as is their share of the voltage: a few parts in a thousand on such feeders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import field, frozen
from attrs.validators import ge


@frozen
class Bus:
    """A bus, and the line that feeds it.

    :param upstream: the bus at the line's other end; None: the source
    :param r: resistance of the line (ohm)
    :param x: reactance of the line (ohm)
    """

    name: str
    upstream: str | None
    r: float = field(validator=ge(0.0))
    x: float = field(validator=ge(0.0))


class Feeder:
    """Buses in a tree. A bus comes after the one that feeds it.

    :param volts: nominal (V)
    :param source_pu: the voltage at the source, of the nominal one
    """

    def __init__(self, buses: Sequence[Bus], volts: float = 240.0, source_pu: float = 1.0) -> None:
        known: set[str | None] = {None}
        for bus in buses:
            if bus.upstream not in known:
                raise ValueError(f"bus {bus.name}: nothing feeds it, {bus.upstream!r} is not known before it")
            if bus.name in known:
                raise ValueError(f"bus {bus.name} is there twice")
            known.add(bus.name)
        self.buses = tuple(buses)
        self.volts = volts
        self.source_pu = source_pu

    def voltages(self, injections: Mapping[str, complex]) -> dict[str, float]:
        """The voltage of each bus, per unit.

        :param injections: what is fed in at a bus less what is taken there, W + j var; 0 where it is not
            named
        """
        flows: dict[str | None, complex] = {bus.name: injections.get(bus.name, 0j) for bus in self.buses}
        flows[None] = 0j
        for bus in reversed(self.buses):
            flows[bus.upstream] += flows[bus.name]
        found: dict[str | None, float] = {None: self.source_pu}
        for bus in self.buses:
            flow = flows[bus.name]
            rise = (bus.r * flow.real + bus.x * flow.imag) / self.volts**2
            found[bus.name] = found[bus.upstream] + rise
        return {bus.name: found[bus.name] for bus in self.buses}
