"""Names of devices, groups and programs beside the numbers that the API has them by."""

from __future__ import annotations

from collections.abc import Container, Iterable

import sqlalchemy as sa

from csipd.db import device_list, groups, programs

#: Numbers in one statement.
_AT_ONCE = 500


class Names:
    """Names by numbers. Those of one call are asked for together, and each is asked for once."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._devices: dict[int, str] = {}
        self._groups: dict[int, str] = {}
        self._programs: dict[int, tuple[str, int | None]] = {}

    def devices(self, numbers: Iterable[int]) -> list[str]:
        """The name of each; its number where it has none."""
        numbers = list(numbers)
        for some in _missing(numbers, self._devices):
            self._devices |= device_list.names(self._connection, some)
        return [self._devices.get(number, str(number)) for number in numbers]

    def device(self, number: int) -> str:
        """The name of one."""
        return self.devices([number])[0]

    def groups(self, numbers: Iterable[int]) -> list[str]:
        """The names of groups."""
        numbers = list(numbers)
        for some in _missing(numbers, self._groups):
            self._groups |= groups.names(self._connection, some)
        return [self._groups.get(number, str(number)) for number in numbers]

    def group(self, number: int) -> str:
        """The name of one."""
        return self.groups([number])[0]

    def programs(self, numbers: Iterable[int]) -> list[str]:
        """The descriptions of programs; of a device's own one, whose it is."""
        numbers = list(numbers)
        owners = {number: owner for number in numbers if (owner := programs.owner_of(number)) is not None}
        self.devices(owners.values())
        self._load_programs(number for number in numbers if number not in owners)
        return [
            f"own program of {self.device(owners[number])}" if number in owners else self._program(number)[0]
            for number in numbers
        ]

    def program(self, number: int) -> str:
        """The description of one."""
        return self.programs([number])[0]

    def group_of(self, program: int) -> str | None:
        """The name of the group that a program is for; None for a device's own."""
        self._load_programs([program])
        group = self._program(program)[1]
        return None if group is None else self.group(group)

    def _load_programs(self, numbers: Iterable[int]) -> None:
        for some in _missing(numbers, self._programs):
            self._programs |= programs.names(self._connection, some)

    def _program(self, number: int) -> tuple[str, int | None]:
        return self._programs.get(number, (str(number), None))


def _missing(numbers: Iterable[int], known: Container[int]) -> Iterable[list[int]]:
    """Those that are not known, so many at once as a statement may have."""
    missing = [number for number in dict.fromkeys(numbers) if number not in known]
    return (missing[start : start + _AT_ONCE] for start in range(0, len(missing), _AT_ONCE))
