"""What devices send: the least and the most that a PUT or POST of each resource holds.

Values, which are immutable and hence shared; ``replace`` makes another of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from csipd.sep2 import resources as r

#: When the devices say that they measured (epoch s).
AT = 1_767_225_540


def _power(kind: Any, value: int) -> Any:
    return kind(multiplier=0, value=value)


#: With nothing that may be left out. DeviceInformation and DERControlResponse speak of no device yet.
MINIMAL: Mapping[str, Any] = {
    "DERCapability": r.DERCapability(modesSupported=0x100000, rtgMaxW=_power(r.ActivePower, 5000), type=4),
    "DERSettings": r.DERSettings(setGradW=100, setMaxW=_power(r.ActivePower, 5000), updatedTime=AT),
    "DERStatus": r.DERStatus(readingTime=AT),
    "DERAvailability": r.DERAvailability(readingTime=AT),
    "DeviceStatus": r.DeviceStatus(changedTime=AT),
    "PowerStatus": r.PowerStatus(batteryStatus=0, changedTime=AT, currentPowerSource=1),
    "Configuration": r.Configuration(currentLocale="en", userDeviceName=""),
    "SupportedLocale": r.SupportedLocale(locale="de-DE"),
    "LogEvent": r.LogEvent(
        createdDateTime=AT, functionSet=0, logEventCode=2, logEventID=1, logEventPEN=40732, profileID=2
    ),
    "DERControlResponse": r.DERControlResponse(endDeviceLFDI="", subject="0"),
    "DeviceInformation": r.DeviceInformation(
        lFDI="",
        mfDate=0,
        mfHwVer="",
        mfID=0,
        mfModel="",
        mfSerNum="",
        primaryPower=0,
        secondaryPower=0,
        swActTime=0,
        swVer="",
    ),
}

#: With most of what they can hold, and all that CSIP has devices report (CSIP IG Tables 12 and 13).
FULL: Mapping[str, Any] = {
    "DERCapability": MINIMAL["DERCapability"].replace(
        rtgAbnormalCategory=2,
        rtgMaxA=r.CurrentRMS(multiplier=-1, value=210),
        rtgMaxChargeRateW=_power(r.ActivePower, 4000),
        rtgMaxDischargeRateW=_power(r.ActivePower, 5000),
        rtgMaxVA=_power(r.ApparentPower, 6000),
        rtgMaxVar=_power(r.ReactivePower, 2640),
        rtgMaxVarNeg=_power(r.ReactivePower, -2640),
        rtgMaxWh=_power(r.WattHour, 13500),
        rtgMinPFOverExcited=r.PowerFactor(displacement=850, multiplier=-3),
        rtgMinPFUnderExcited=r.PowerFactor(displacement=850, multiplier=-3),
        rtgNormalCategory=1,
        rtgVNom=_power(r.VoltageRMS, 240),
    ),
    "DERSettings": MINIMAL["DERSettings"].replace(
        modesEnabled=0x100000,
        setESDelay=30000,
        setESHighFreq=6050,
        setESLowVolt=9170,
        setMaxChargeRateW=_power(r.ActivePower, 3500),
        setMaxDischargeRateW=_power(r.ActivePower, 4500),
        setMaxVA=_power(r.ApparentPower, 6000),
        setMaxVar=_power(r.ReactivePower, 2500),
        setMaxVarNeg=_power(r.ReactivePower, -2500),
        setMaxWh=_power(r.WattHour, 13000),
        setMinPFOverExcited=r.PowerFactor(displacement=9, multiplier=-1),
        setMinPFUnderExcited=r.PowerFactor(displacement=9, multiplier=-1),
        setSoftGradW=200,
        setVRef=_power(r.VoltageRMS, 240),
    ),
    "DERStatus": MINIMAL["DERStatus"].replace(
        alarmStatus=0x10,
        genConnectStatus=r.ConnectStatusType(dateTime=AT, value=7),
        inverterStatus=r.InverterStatusType(dateTime=AT, value=2),
        localControlModeStatus=r.LocalControlModeStatusType(dateTime=AT, value=1),
        manufacturerStatus=r.ManufacturerStatusType(dateTime=AT, value="ok <&>"),
        operationalModeStatus=r.OperationalModeStatusType(dateTime=AT, value=2),
        stateOfChargeStatus=r.StateOfChargeStatusType(dateTime=AT, value=9000),
        storageModeStatus=r.StorageModeStatusType(dateTime=AT, value=1),
        storConnectStatus=r.ConnectStatusType(dateTime=AT, value=7),
    ),
    "DERAvailability": MINIMAL["DERAvailability"].replace(
        availabilityDuration=55036,
        maxChargeDuration=3600,
        reserveChargePercent=10000,
        reservePercent=1000,
        statVarAvail=_power(r.ReactivePower, 3000),
        statWAvail=_power(r.ActivePower, 500),
    ),
    "DeviceStatus": MINIMAL["DeviceStatus"].replace(
        onCount=7,
        opState=2,
        opTime=3600,
        Temperature=(
            r.Temperature(multiplier=0, subject=0, value=38),
            r.Temperature(multiplier=-1, subject=1, value=-120),
        ),
        TimeLink=r.TimeLink(href="/tm"),
    ),
    "PowerStatus": MINIMAL["PowerStatus"].replace(
        estimatedChargeRemaining=5000,
        estimatedTimeRemaining=7200,
        sessionTimeOnBattery=1,
        totalTimeOnBattery=2,
    ),
    "Configuration": MINIMAL["Configuration"].replace(
        PowerConfiguration=r.PowerConfiguration(batteryInstallTime=AT, lowChargeThreshold=1200),
        TimeConfiguration=r.TimeConfiguration(dstEndRule=0, dstOffset=3600, dstStartRule=0, tzOffset=-28800),
        userDeviceName="Roof, south",
    ),
    "SupportedLocale": r.SupportedLocale(locale="fr-CA"),
    "LogEvent": r.LogEvent(
        createdDateTime=AT,
        details="too high <&>",
        extendedData=2530,
        functionSet=11,
        logEventCode=2,
        logEventID=65535,
        logEventPEN=40732,
        profileID=2,
    ),
    "DERControlResponse": r.DERControlResponse(createdDateTime=AT, endDeviceLFDI="", status=1, subject="A"),
    "DeviceInformation": MINIMAL["DeviceInformation"].replace(
        functionsImplemented=0x0FFF,
        gpsLocation=r.GPSLocationType(lat="38.889444", lon="-77.035278"),
        mfHwVer="1.0",
        mfID=40732,
        mfInfo="a note",
        mfModel="Inverter 5",
        mfSerNum="000123",
        primaryPower=1,
        swVer="2.4.1",
    ),
}
