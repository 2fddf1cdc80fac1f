"""Names of facts: what is true of the store until a write says that it no longer is.

What is kept names the facts that it was made from, a write names those that it drops
(`Transaction.invalidate`), and a fact is dropped exactly by its name. Which reads hang on which kinds, and
which writes drop them, stands in csipd/db/chapters.
"""

from __future__ import annotations

from attrs import frozen


@frozen
class Kind:
    """A kind of facts.

    :param name: one word; the facts' names begin with it
    :param meaning: what a fact of that kind says
    """

    name: str
    meaning: str

    def __call__(self, subject: object) -> str:
        """The name of the fact of this kind about something: an href, a number, an LFDI."""
        return f"{self.name} {subject}"


#: By its href.
document = Kind("document", "what the document at an href says, and whether there is one")
#: By its href.
list_of = Kind("list", "which members the list at an href has, and in what order")
#: By its LFDI.
certificate = Kind("certificate", "which device an LFDI means, if any")
#: By its number. What a caller may do hangs on its own.
device = Kind("device", "what a device's row says: its standing, its manager, what its EndDevice shows")
#: By the number of the aggregator.
fleet = Kind("fleet", "which EndDevices an aggregator manages, and in what order")
#: By the number of the device.
groups_of = Kind("groups", "which groups a device is in itself")
#: By the number of the aggregator.
fleet_groups = Kind(
    "fleet-groups", "which groups an aggregator's devices are in, and whose own programs are shown"
)
#: By the number of the device.
own_program = Kind("own-program", "whether a device's own program is shown")
#: By the number of the program.
program = Kind("program", "what a program's row says: its mRID, description, version and primacy")
#: By the number of the program.
controls = Kind("controls", "which controls a program has, and which of them were cancelled")
#: By the number of the program.
schedule = Kind("schedule", "what a program's controls have come to: their lists, counts and statuses")
#: By the number of the device, or of the aggregator of its fleet.
responses = Kind("responses", "which Responses of its own and its fleet a caller sees")
#: By the number of the device.
mirrors = Kind("mirrors", "which MirrorUsagePoints a caller has made")
#: By the number of the mirror, which is its UsagePoint's as well.
mirror = Kind("mirror", "what a mirror and its MeterReadings say, and whether they are there")
#: By the number of the device, or of the aggregator of its fleet.
usage_points = Kind("usage-points", "which UsagePoints of its own and its fleet a caller sees")
#: By the number of the MeterReading.
readings = Kind("readings", "what a MeterReading reads: the latest, and its sets of readings")
#: There is one.
mirror_room = Kind("mirror-room", "whether there is room for one more mirror")
#: There is one.
topology = Kind("topology", "how the groups hang together, and which programs each has, in what order")
#: By the name of the resource.
rates = Kind(
    "rates",
    "what operators want a resource's rate to be in general and by group, and whether any device has its own",
)
#: By the number of the device.
own_rates = Kind(
    "own-rates", "what operators want rates to be for a device alone, but EndDevice, Registration"
)
#: There is one.
everything = Kind("everything", "all that is kept: another process has written")

#: All kinds, in the order of the table in docs/invalidation.md.
KINDS: tuple[Kind, ...] = (
    document,
    list_of,
    certificate,
    device,
    fleet,
    groups_of,
    fleet_groups,
    own_program,
    topology,
    program,
    controls,
    schedule,
    responses,
    mirrors,
    mirror,
    usage_points,
    readings,
    mirror_room,
    rates,
    own_rates,
    everything,
)
#: So many facts of the last changes are remembered for those who were under way meanwhile: 10 MB.
REMEMBERED = 65_536
TOPOLOGY = topology.name
MIRROR_ROOM = mirror_room.name
EVERYTHING = everything.name
_BY_NAME = {kind.name: kind for kind in KINDS}


def kind_of(fact: str) -> Kind:
    """The kind of a fact."""
    return _BY_NAME[fact.partition(" ")[0]]
