"""The server as a static service of avahi, for machines on which avahi speaks mDNS.

avahi has one name for a service and all its subtypes, and says of each service that it is there. So function
sets are subtypes of the one instance, without a path of their own: clients begin at ``dcap``.
"""

from __future__ import annotations

from lxml import etree

from csipd.discovery.records import DOMAIN, SERVICE, Advertisement

_DOCTYPE = '<!DOCTYPE service-group SYSTEM "avahi-service.dtd">'


def service_file(server: Advertisement) -> str:
    """What goes into a file of ``/etc/avahi/services``."""
    group = etree.Element("service-group")
    first, *others = server.instances()
    etree.SubElement(group, "name").text = first.name.removesuffix(f".{SERVICE}")
    service = etree.SubElement(group, "service")
    etree.SubElement(service, "type").text = SERVICE.removesuffix(f".{DOMAIN}")
    for other in others:
        etree.SubElement(service, "subtype").text = other.type.removesuffix(f".{DOMAIN}")
    etree.SubElement(service, "port").text = str(server.port)
    for string in first.text:
        etree.SubElement(service, "txt-record").text = string
    octets = etree.tostring(
        group, pretty_print=True, xml_declaration=True, encoding="UTF-8", doctype=_DOCTYPE
    )
    return octets.decode()
