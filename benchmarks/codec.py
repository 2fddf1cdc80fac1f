"""What the codec costs: `python -m benchmarks.codec`.

A DERControlList of 100 is read and written by csipd's codec and by one written by hand for that document
alone, in turns, so that whatever else the machine does falls on both: the ratio of the medians counts.
Then the documents that devices send and ask for most, one by one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median
from time import perf_counter

from benchmarks import handwritten
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.schema import Element

CONTROLS = 100


def controls() -> r.DERControlList:
    """A list of controls of several kinds, as a program of a busy day has them."""
    bases = (
        r.DERControlBase(opModMaxLimW=6000, rampTms=500),
        r.DERControlBase(
            opModFixedPFInjectW=r.PowerFactorWithExcitation(
                displacement=900, excitation=False, multiplier=-3
            ),
            opModMaxLimW=6000,
            opModTargetW=r.ActivePower(multiplier=0, value=3000),
            opModVoltVar=r.DERCurveLink(href="/derp/1/dc/1"),
        ),
        r.DERControlBase(opModEnergize=True, opModFixedVar=r.FixedVar(refType=2, value=-3000)),
        r.DERControlBase(
            opModHVRTMustTrip=r.DERCurveLink(href="/derp/1/dc/5"),
            opModLVRTMustTrip=r.DERCurveLink(href="/derp/1/dc/10"),
            opModVoltWatt=r.DERCurveLink(href="/derp/1/dc/12"),
        ),
    )
    members = tuple(
        r.DERControl(
            href=f"/derp/1/derc/{number}",
            replyTo="/rsps/1/rsp",
            responseRequired=7,
            subscribable=1,
            mRID=f"0FB70000000000000000{number:04X}0000A00C",
            description=f"control number {number}",
            version=0,
            creationTime=1700000000 + number,
            EventStatus=r.EventStatus(currentStatus=0, dateTime=1700000000, potentiallySuperseded=False),
            interval=r.DateTimeInterval(duration=3600, start=1700000120 + 3600 * number),
            randomizeDuration=0,
            randomizeStart=60,
            DERControlBase=bases[number % len(bases)],
            deviceCategory=0x00200000,
        )
        for number in range(1, CONTROLS + 1)
    )
    return r.DERControlList(
        href="/derp/1/derc", subscribable=1, all=CONTROLS, results=CONTROLS, DERControl=members
    )


END_DEVICE = r.EndDevice(
    href="/edev/1",
    subscribable=1,
    DERListLink=r.DERListLink(href="/edev/1/der", all=1),
    deviceCategory=0x00200000,
    lFDI="3E4F45AB31EDFE5B67E343E5E4562E31984E23E5",
    LogEventListLink=r.LogEventListLink(href="/edev/1/lel", all=0),
    sFDI=167261211391,
    changedTime=1700000000,
    enabled=True,
    FunctionSetAssignmentsListLink=r.FunctionSetAssignmentsListLink(href="/edev/1/fsa", all=1),
    RegistrationLink=r.RegistrationLink(href="/edev/1/rg"),
    SubscriptionListLink=r.SubscriptionListLink(href="/edev/1/sub", all=0),
)

DER_STATUS = r.DERStatus(
    alarmStatus=2,
    genConnectStatus=r.ConnectStatusType(dateTime=1700000000, value=7),
    inverterStatus=r.InverterStatusType(dateTime=1700000000, value=4),
    localControlModeStatus=r.LocalControlModeStatusType(dateTime=1700000000, value=1),
    manufacturerStatus=r.ManufacturerStatusType(dateTime=1700000000, value="OK"),
    operationalModeStatus=r.OperationalModeStatusType(dateTime=1700000000, value=2),
    readingTime=1700000000,
    stateOfChargeStatus=r.StateOfChargeStatusType(dateTime=1700000000, value=5000),
    storageModeStatus=r.StorageModeStatusType(dateTime=1700000000, value=0),
    storConnectStatus=r.ConnectStatusType(dateTime=1700000000, value=7),
)


def seconds(work: Callable[[], object], times: int = 1) -> float:
    began = perf_counter()
    for _ in range(times):
        work()
    return (perf_counter() - began) / times


def compare(repeats: int) -> None:
    """Print the medians for both codecs and their ratio."""
    value = controls()
    document = codec.encode(value)
    by_hand = handwritten.decode(document)
    assert codec.decode(document, r.DERControlList) == value
    assert handwritten.encode(by_hand) == document, "the two codecs must write the same"
    work: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "parse": (lambda: codec.decode(document, r.DERControlList), lambda: handwritten.decode(document)),
        "dump": (lambda: codec.encode(value), lambda: handwritten.encode(by_hand)),
        "parse + dump": (
            lambda: codec.encode(codec.decode(document, r.DERControlList)),
            lambda: handwritten.encode(handwritten.decode(document)),
        ),
    }
    print(f"DERControlList of {CONTROLS}, {len(document)} octets, {repeats} repeats, medians in ms")
    print(f"{'':14}{'csipd':>8}{'by hand':>9}{'ratio':>7}")
    for name, (ours, theirs) in work.items():
        pairs = [(seconds(ours), seconds(theirs)) for _ in range(repeats)]
        mine = median(pair[0] for pair in pairs)
        hand = median(pair[1] for pair in pairs)
        print(f"{name:14}{1e3 * mine:8.2f}{1e3 * hand:9.2f}{mine / hand:7.2f}")


def each(repeats: int) -> None:
    """Print the medians for single documents."""
    documents: tuple[Element, ...] = (END_DEVICE, DER_STATUS, controls().DERControl[1])
    print(f"\n{'one document, us':16}{'decode':>8}{'encode':>8}")
    for value in documents:
        data = codec.encode(value)
        kind = type(value)
        read = median(seconds(lambda: codec.decode(data, kind), 20) for _ in range(repeats))  # noqa: B023 - called here
        write = median(seconds(lambda: codec.encode(value), 20) for _ in range(repeats))  # noqa: B023 - called here
        print(f"{kind.__name__:16}{1e6 * read:8.1f}{1e6 * write:8.1f}")


def main() -> None:
    options = argparse.ArgumentParser(description="Measure csipd's codec.")
    options.add_argument("--repeats", type=int, default=200)
    repeats = options.parse_args().repeats
    compare(repeats)
    each(repeats)


if __name__ == "__main__":
    main()
