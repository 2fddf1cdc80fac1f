"""The names of what is sent to and subscribed to on the platform's bus."""

from __future__ import annotations

from typing import Final

from attrs import frozen

_BASE: Final = "/topic/goss.gridappsd"
_SIMULATION: Final = f"{_BASE}.simulation"

#: Requests about the configuration: models as dictionaries.
CONFIG_REQUEST: Final = "/queue/goss.gridappsd.process.request.config"
#: Requests to the store of models: SPARQL.
MODEL_REQUEST: Final = "/queue/goss.gridappsd.process.request.data.powergridmodel"
#: The platform's own sign of life, and that of applications.
HEARTBEAT: Final = f"{_BASE}.heartbeat"
#: Where a token is asked for.
TOKEN_REQUEST: Final = "/topic/pnnl.goss.token.topic"  # noqa: S105 - a topic


@frozen
class Topics:
    """Where a service listens and speaks.

    :param service: its name
    :param simulation: id of the simulation that it takes part in, if it does
    """

    service: str
    simulation: str | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """Where commands come in: with a simulation, the older server's topic and its successor's."""
        general = f"{_BASE}.{self.service}.input"
        if self.simulation is None:
            return (general,)
        return (f"{_SIMULATION}.{self.service}.{self.simulation}.input", general)

    @property
    def output(self) -> str:
        """Where reports go."""
        return self.inputs[0].removesuffix("input") + "output"


def simulation_output(simulation: str) -> str:
    """Where a simulation says what it measures."""
    return f"{_SIMULATION}.output.{simulation}"


def simulation_input(simulation: str) -> str:
    """Where a simulation is told what to change."""
    return f"{_SIMULATION}.input.{simulation}"


def simulation_log(simulation: str) -> str:
    """Where a simulation says that it goes on, or has ended."""
    return f"{_SIMULATION}.log.{simulation}"
