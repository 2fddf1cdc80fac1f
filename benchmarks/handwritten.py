"""A codec for one document, DERControlList, as one would write it by hand with lxml.

It is what csipd's codec is measured against: no tables and no layers, but the same hardening and the same
checks of names, order, number, types, lengths and ranges, the same values kept and the same bytes written.
"""

from __future__ import annotations

import re

from lxml import etree

NS = "urn:ieee:std:2030.5:ns"
BLANKS = " \t\r\n"
HEX = "0123456789ABCDEFabcdef"
NO_MARKS = bytes(octet for octet in range(256) if octet not in b"<=")
NAMESPACE = re.compile(rb"xmlns(?::[^\s=]++)?\s*+=\s*+(?:\"[^\"]*+\"|'[^']*+')")

CURVE_MODES_BEFORE = (
    "opModFreqWatt",
    "opModHFRTMayTrip",
    "opModHFRTMustTrip",
    "opModHVRTMayTrip",
    "opModHVRTMomentaryCessation",
    "opModHVRTMustTrip",
    "opModLFRTMayTrip",
    "opModLFRTMustTrip",
    "opModLVRTMayTrip",
    "opModLVRTMomentaryCessation",
    "opModLVRTMustTrip",
)
CURVE_MODES_AFTER = ("opModVoltVar", "opModVoltWatt", "opModWattPF", "opModWattVar")


class DocumentError(ValueError):
    """A document that is not taken."""


class EventStatus:
    __slots__ = ("currentStatus", "dateTime", "potentiallySuperseded", "potentiallySupersededTime", "reason")


class DateTimeInterval:
    __slots__ = ("duration", "start")


class Power:
    __slots__ = ("multiplier", "value")


class PowerFactor:
    __slots__ = ("displacement", "excitation", "multiplier")


class FixedVar:
    __slots__ = ("refType", "value")


class FreqDroop:
    __slots__ = ("dBOF", "dBUF", "kOF", "kUF", "openLoopTms")


class DERControlBase:
    """Only the modes that are given are set: a control has few of its 25."""

    def __init__(self):
        self.modes = []


class DERControl:
    __slots__ = (
        "DERControlBase",
        "EventStatus",
        "creationTime",
        "description",
        "deviceCategory",
        "href",
        "interval",
        "mRID",
        "randomizeDuration",
        "randomizeStart",
        "replyTo",
        "responseRequired",
        "subscribable",
        "version",
    )


class DERControlList:
    __slots__ = ("all", "controls", "href", "results", "subscribable")


# Reading.
def text_of(element):
    if element.attrib or len(element):
        raise DocumentError(f"{element.tag} is not bare")
    tail = element.tail
    if tail is not None and tail.strip(BLANKS):
        raise DocumentError("stray text")
    return element.text


def integer(text, least, most):
    if text is None or not (text.isdigit() and text.isascii()):
        text = (text or "").strip(BLANKS)
        digits = text[1:] if least < 0 and text[:1] in ("+", "-") else text
        if not (digits.isdigit() and digits.isascii()):
            raise DocumentError(f"{text!r} is not an integer")
    value = int(text)
    if not least <= value <= most:
        raise DocumentError(f"{value} is out of range")
    return value


def uint8(element):
    return integer(text_of(element), 0, 255)


def uint16(element):
    return integer(text_of(element), 0, 65535)


def uint32(element):
    return integer(text_of(element), 0, 4294967295)


def int16(element):
    return integer(text_of(element), -32768, 32767)


def time_type(element):
    return integer(text_of(element), -(2**63), 2**63 - 1)


def one_hour(element):
    return integer(text_of(element), -3600, 3600)


def percent(element):
    return integer(text_of(element), 0, 10000)


def signed_percent(element):
    return integer(text_of(element), -10000, 10000)


def multiplier(element):
    return integer(text_of(element), -9, 9)


def boolean(element):
    text = text_of(element)
    if text == "true" or text == "false":
        return text == "true"
    text = (text or "").strip(BLANKS)
    if text in ("true", "1"):
        return True
    if text in ("false", "0"):
        return False
    raise DocumentError(f"{text!r} is not a boolean")


def hexadecimal(text, octets):
    text = (text or "").strip(BLANKS)
    if text.strip(HEX) or len(text) % 2 or len(text) > 2 * octets:
        raise DocumentError(f"{text!r} is not hexadecimal")
    return text


def mrid(element):
    return hexadecimal(text_of(element), 16).zfill(32).upper()


def string(element, longest):
    text = text_of(element) or ""
    if len(text) > longest:
        raise DocumentError("too long")
    return text


def uri(text):
    text = " ".join(text.split())
    if ":" in text.partition("/")[0] or "%" in text:
        raise DocumentError("only plain paths are written by this server")
    return text


def children_of(element):
    """The children of an element that has no attributes and no text of its own."""
    if element.attrib:
        raise DocumentError("unknown attribute")
    return content_of(element)


def content_of(element):
    text = element.text
    if text is not None and text.strip(BLANKS):
        raise DocumentError("stray text")
    tail = element.tail
    if tail is not None and tail.strip(BLANKS):
        raise DocumentError("stray text")
    return list(element)


def exactly(element, *tags):
    """The children of an element whose children are all required and stand once each."""
    children = children_of(element)
    if len(children) != len(tags):
        raise DocumentError("missing or unknown elements")
    for child, tag in zip(children, tags, strict=True):
        if child.tag != tag:
            raise DocumentError(f"{child.tag} instead of {tag}")
    return children


def tags(*names):
    return tuple(f"{{{NS}}}{name}" for name in names)


INTERVAL = tags("duration", "start")
POWER = tags("multiplier", "value")
POWER_FACTOR = tags("displacement", "excitation", "multiplier")
FIXED_VAR = tags("refType", "value")
FREQ_DROOP = tags("dBOF", "dBUF", "kOF", "kUF", "openLoopTms")
STATUS = tags("currentStatus", "dateTime", "potentiallySuperseded")
(SUPERSEDED_TIME, REASON) = tags("potentiallySupersededTime", "reason")
(MRID, DESCRIPTION, VERSION, CREATION_TIME, EVENT_STATUS, INTERVAL_TAG, RANDOMIZE_DURATION) = tags(
    "mRID", "description", "version", "creationTime", "EventStatus", "interval", "randomizeDuration"
)
(RANDOMIZE_START, BASE, CATEGORY, CONTROL, CONTROL_LIST) = tags(
    "randomizeStart", "DERControlBase", "deviceCategory", "DERControl", "DERControlList"
)


def read_interval(element):
    value = DateTimeInterval()
    duration, start = exactly(element, *INTERVAL)
    value.duration = uint32(duration)
    value.start = time_type(start)
    return value


def read_status(element):
    children = children_of(element)
    if len(children) < 3:
        raise DocumentError("missing elements")
    for child, tag in zip(children, STATUS, strict=False):
        if child.tag != tag:
            raise DocumentError(f"{child.tag} instead of {tag}")
    value = EventStatus()
    value.currentStatus = uint8(children[0])
    value.dateTime = time_type(children[1])
    value.potentiallySuperseded = boolean(children[2])
    value.potentiallySupersededTime = value.reason = None
    at = 3
    if at < len(children) and children[at].tag == SUPERSEDED_TIME:
        value.potentiallySupersededTime = time_type(children[at])
        at += 1
    if at < len(children) and children[at].tag == REASON:
        value.reason = string(children[at], 192)
        at += 1
    if at < len(children):
        raise DocumentError("unknown element")
    return value


def read_power(element):
    value = Power()
    power, number = exactly(element, *POWER)
    value.multiplier = multiplier(power)
    value.value = int16(number)
    return value


def read_power_factor(element):
    value = PowerFactor()
    displacement, excitation, power = exactly(element, *POWER_FACTOR)
    value.displacement = uint16(displacement)
    value.excitation = boolean(excitation)
    value.multiplier = multiplier(power)
    return value


def read_fixed_var(element):
    value = FixedVar()
    reference, number = exactly(element, *FIXED_VAR)
    value.refType = uint8(reference)
    value.value = signed_percent(number)
    return value


def read_freq_droop(element):
    value = FreqDroop()
    over, under, over_slope, under_slope, response = exactly(element, *FREQ_DROOP)
    value.dBOF = uint32(over)
    value.dBUF = uint32(under)
    value.kOF = uint16(over_slope)
    value.kUF = uint16(under_slope)
    value.openLoopTms = uint16(response)
    return value


def read_link(element):
    if content_of(element):
        raise DocumentError("a link is empty")
    href = None
    for name, text in element.attrib.items():
        if name == "href":
            href = uri(text)
        elif name[0] != "{" and name != "schemaVer":
            raise DocumentError("unknown attribute")
    if href is None:
        raise DocumentError("a link without href")
    return href


MODE_READERS = {
    f"{{{NS}}}{name}": (place, name, read)
    for place, (name, read) in enumerate(
        [
            ("opModConnect", boolean),
            ("opModEnergize", boolean),
            ("opModFixedPFAbsorbW", read_power_factor),
            ("opModFixedPFInjectW", read_power_factor),
            ("opModFixedVar", read_fixed_var),
            ("opModFixedW", signed_percent),
            ("opModFreqDroop", read_freq_droop),
            *((name, read_link) for name in CURVE_MODES_BEFORE),
            ("opModMaxLimW", percent),
            ("opModTargetVar", read_power),
            ("opModTargetW", read_power),
            *((name, read_link) for name in CURVE_MODES_AFTER),
            ("rampTms", uint16),
        ]
    )
}


def read_base(element):
    value = DERControlBase()
    last = -1
    for child in children_of(element):
        known = MODE_READERS.get(child.tag)
        if known is None:
            raise DocumentError("unknown mode")
        place, name, read = known
        if place <= last:
            raise DocumentError("modes out of order")
        last = place
        value.modes.append((name, read(child)))
    return value


def read_control(element):
    value = DERControl()
    value.href = value.replyTo = value.responseRequired = value.subscribable = None
    for name, text in element.attrib.items():
        if name == "href":
            value.href = uri(text)
        elif name == "replyTo":
            value.replyTo = uri(text)
        elif name == "responseRequired":
            value.responseRequired = int(hexadecimal(text, 1) or "0", 16)
        elif name == "subscribable":
            value.subscribable = integer(text, 0, 255)
        elif name[0] != "{" and name != "schemaVer":
            raise DocumentError("unknown attribute")
    if value.responseRequired and value.replyTo is None:
        raise DocumentError("no replyTo")
    value.description = value.version = value.deviceCategory = None
    value.randomizeDuration = value.randomizeStart = None
    children = iter(content_of(element))
    child = next(children, None)
    if child is None or child.tag != MRID:
        raise DocumentError("no mRID")
    value.mRID = mrid(child)
    child = next(children, None)
    if child is not None and child.tag == DESCRIPTION:
        value.description = string(child, 32)
        child = next(children, None)
    if child is not None and child.tag == VERSION:
        value.version = uint16(child)
        child = next(children, None)
    if child is None or child.tag != CREATION_TIME:
        raise DocumentError("no creationTime")
    value.creationTime = time_type(child)
    child = next(children, None)
    if child is None or child.tag != EVENT_STATUS:
        raise DocumentError("no EventStatus")
    value.EventStatus = read_status(child)
    child = next(children, None)
    if child is None or child.tag != INTERVAL_TAG:
        raise DocumentError("no interval")
    value.interval = read_interval(child)
    child = next(children, None)
    if child is not None and child.tag == RANDOMIZE_DURATION:
        value.randomizeDuration = one_hour(child)
        child = next(children, None)
    if child is not None and child.tag == RANDOMIZE_START:
        value.randomizeStart = one_hour(child)
        child = next(children, None)
    if child is None or child.tag != BASE:
        raise DocumentError("no DERControlBase")
    value.DERControlBase = read_base(child)
    child = next(children, None)
    if child is not None and child.tag == CATEGORY:
        value.deviceCategory = int(hexadecimal(text_of(child), 4) or "0", 16)
        child = next(children, None)
    if child is not None:
        raise DocumentError("unknown element")
    return value


def decode(data):
    """The DERControlList of a document."""
    if len(data) > 1 << 20 or b"<!DOCTYPE" in data:
        raise DocumentError("too large, or with a DTD")
    if data.count(b"<") > 1 << 17 or b"=" * 33 in data.translate(None, NO_MARKS):
        raise DocumentError("too many tags or attributes")
    if sum(map(len, set(NAMESPACE.findall(data)))) > 4096:
        raise DocumentError("too many namespaces")
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        collect_ids=False,
    )
    root = etree.fromstring(data, parser)
    if root.tag != CONTROL_LIST:
        raise DocumentError("not a DERControlList")
    value = DERControlList()
    value.all = value.results = value.href = value.subscribable = None
    for name, text in root.attrib.items():
        if name == "all":
            value.all = integer(text, 0, 4294967295)
        elif name == "results":
            value.results = integer(text, 0, 4294967295)
        elif name == "href":
            value.href = uri(text)
        elif name == "subscribable":
            value.subscribable = integer(text, 0, 255)
        elif name[0] != "{" and name != "schemaVer":
            raise DocumentError("unknown attribute")
    if value.all is None or value.results is None:
        raise DocumentError("all and results are required")
    value.controls = []
    for child in content_of(root):
        if child.tag != CONTROL:
            raise DocumentError("unknown element")
        value.controls.append(read_control(child))
    return value


# Writing.
def escape(text):
    if "&" in text or "<" in text or ">" in text or '"' in text or "\r" in text:
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        text = text.replace('"', "&quot;").replace("\r", "&#13;")
    return text


def write_mode(name, value):
    if value is True or value is False:
        return f"<{name}>{'true' if value else 'false'}</{name}>"
    if isinstance(value, int):
        return f"<{name}>{value}</{name}>"
    if isinstance(value, str):
        return f'<{name} href="{escape(value)}"/>'
    if isinstance(value, Power):
        return f"<{name}><multiplier>{value.multiplier}</multiplier><value>{value.value}</value></{name}>"
    if isinstance(value, PowerFactor):
        return (
            f"<{name}><displacement>{value.displacement}</displacement>"
            f"<excitation>{'true' if value.excitation else 'false'}</excitation>"
            f"<multiplier>{value.multiplier}</multiplier></{name}>"
        )
    if isinstance(value, FixedVar):
        return f"<{name}><refType>{value.refType}</refType><value>{value.value}</value></{name}>"
    return (
        f"<{name}><dBOF>{value.dBOF}</dBOF><dBUF>{value.dBUF}</dBUF><kOF>{value.kOF}</kOF>"
        f"<kUF>{value.kUF}</kUF><openLoopTms>{value.openLoopTms}</openLoopTms></{name}>"
    )


def write_control(value, out):
    start = "<DERControl"
    if value.href is not None:
        start += f' href="{escape(value.href)}"'
    if value.replyTo is not None:
        start += f' replyTo="{escape(value.replyTo)}"'
    if value.responseRequired is not None:
        start += f' responseRequired="{value.responseRequired:02X}"'
    if value.subscribable is not None:
        start += f' subscribable="{value.subscribable}"'
    out.append(f"{start}><mRID>{value.mRID}</mRID>")
    if value.description is not None:
        out.append(f"<description>{escape(value.description)}</description>")
    if value.version is not None:
        out.append(f"<version>{value.version}</version>")
    status = value.EventStatus
    out.append(
        f"<creationTime>{value.creationTime}</creationTime>"
        f"<EventStatus><currentStatus>{status.currentStatus}</currentStatus>"
        f"<dateTime>{status.dateTime}</dateTime><potentiallySuperseded>"
        f"{'true' if status.potentiallySuperseded else 'false'}</potentiallySuperseded>"
    )
    if status.potentiallySupersededTime is not None:
        moment = status.potentiallySupersededTime
        out.append(f"<potentiallySupersededTime>{moment}</potentiallySupersededTime>")
    if status.reason is not None:
        out.append(f"<reason>{escape(status.reason)}</reason>")
    out.append(
        f"</EventStatus><interval><duration>{value.interval.duration}</duration>"
        f"<start>{value.interval.start}</start></interval>"
    )
    if value.randomizeDuration is not None:
        out.append(f"<randomizeDuration>{value.randomizeDuration}</randomizeDuration>")
    if value.randomizeStart is not None:
        out.append(f"<randomizeStart>{value.randomizeStart}</randomizeStart>")
    modes = value.DERControlBase.modes
    if modes:
        out.append("<DERControlBase>")
        for name, mode in modes:
            out.append(write_mode(name, mode))
        out.append("</DERControlBase>")
    else:
        out.append("<DERControlBase/>")
    if value.deviceCategory is not None:
        out.append(f"<deviceCategory>{value.deviceCategory:08X}</deviceCategory>")
    out.append("</DERControl>")


def encode(value):
    """The document of a DERControlList."""
    start = f'<DERControlList xmlns="{NS}"'
    if value.href is not None:
        start += f' href="{escape(value.href)}"'
    if value.subscribable is not None:
        start += f' subscribable="{value.subscribable}"'
    start += f' all="{value.all}" results="{value.results}"'
    if not value.controls:
        return f"{start}/>".encode()
    out = [start, ">"]
    for control in value.controls:
        write_control(control, out)
    out.append("</DERControlList>")
    return "".join(out).encode()
