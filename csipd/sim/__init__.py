"""A simulated fleet: devices with simple physics, and the street that they feed.

Pure, time and frequency handed in: `sun`, `loads`, `curves`, `response`, `inverter`, `plant`, `alarms`,
`reports`, `feeder`, `street`. Everywhere: watts and vars that a plant feeds in are positive, volts are per
unit of the nominal voltage unless a name says otherwise, moments are TimeType seconds, lapses are seconds.
"""
