"""What the 2023 edition added to types of 2018: the names, by type.

Its elements share the namespace of 2018, and its clients send them whatever edition the server is of. The
codec keeps such elements as it keeps those of foreign namespaces, and passes over such attributes.
"""

from __future__ import annotations

# Elements, by the type that declares them; a derived type has those of its bases too.
ELEMENTS: dict[str, frozenset[str]] = {
    "AbstractDevice": frozenset(
        {"AggregatedDeviceListLink", "AggregationPriorityLink", "distribution", "phase"}
    ),
    "DER": frozenset({"CurrentDERControlsLink", "DERComponentListLink"}),
    "DERAvailability": frozenset({"statVarAbsorbAvail", "statWAbsorbAvail"}),
    "DERCapability": frozenset({"modesSupported2"}),
    "DERControlBase": frozenset(
        {
            "opModDeltaVar",
            "opModDeltaW",
            "opModFixedV",
            "opModGridConnectPermit",
            "opModIslandPermit",
            "opModMaxLimPctVAAbsorb",
            "opModMaxLimPctVAInject",
            "opModMaxLimPctVarAbsorb",
            "opModMaxLimPctVarInject",
            "opModMaxLimPctWAbsorb",
            "opModMaxLimVarAbsorb",
            "opModMaxLimVarInject",
            "opModMaxLimWAbsorb",
            "opModMaxLimWInject",
            "opModTargetV",
        }
    ),
    "DERControlResponse": frozenset({"modesResponded", "modesResponded2"}),
    "DERSettings": frozenset({"modesEnabled2"}),
    "DERStatus": frozenset({"connectStatus"}),
    "DefaultDERControl": frozenset({"updatedTime"}),
    "DeviceInformation": frozenset({"connectionPointID"}),
    "EndDevice": frozenset({"ProxiedDeviceListLink"}),
    "FreqDroopType": frozenset({"pMin"}),
    "MirrorUsagePoint": frozenset({"UsagePointLink"}),
    "Notification": frozenset({"createdDateTime"}),
    "SelfDevice": frozenset({"ProxiedDeviceListLink"}),
    "TariffProfile": frozenset(
        {
            "bindingPrices",
            "dateAnnounced",
            "dateEffective",
            "localPrice",
            "location",
            "rateCodeLong",
            "retailer",
            "retailerLong",
            "tariffDescriptionExternalURI",
        }
    ),
}

# Every type may end with an element of its own name and this ending, a place for what is still to come.
RESERVED = "_r2_3"

# Attributes, by type, that may be passed over; schemaVer may be on every type and is listed nowhere. Not to
# be passed over is `disabled`, on controls and curve links: it takes back what it stands on.
ATTRIBUTES: dict[str, frozenset[str]] = {
    "DefaultDERControl": frozenset({"replyTo", "responseRequired"}),
    "MirrorUsagePoint": frozenset({"subscribable"}),
    "MirrorUsagePointList": frozenset({"subscribable"}),
}
