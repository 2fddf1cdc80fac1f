"""The operations of the operator's API by chapter: routes, the OpenAPI document and tests come from them.

A chapter is a module with its forms, its functions and its ``OPERATIONS``, and a row here.
"""

from __future__ import annotations

from csipd.web.admin import (
    admission,
    alarms,
    audit,
    capability,
    certificate,
    controls,
    curves,
    defaults,
    delivery,
    devices,
    exports,
    groups,
    membership,
    programs,
    rates,
    readings,
    responses,
    state,
    status,
    subscriptions,
)
from csipd.web.admin.operations import Operation

#: All of them, by what they are about.
OPERATIONS: tuple[Operation, ...] = (
    *status.OPERATIONS,
    *devices.OPERATIONS,
    *certificate.OPERATIONS,
    *admission.OPERATIONS,
    *membership.OPERATIONS,
    *state.OPERATIONS,
    *groups.OPERATIONS,
    *rates.OPERATIONS,
    *programs.OPERATIONS,
    *defaults.OPERATIONS,
    *curves.OPERATIONS,
    *controls.OPERATIONS,
    *delivery.OPERATIONS,
    *responses.OPERATIONS,
    *alarms.OPERATIONS,
    *readings.OPERATIONS,
    *capability.OPERATIONS,
    *subscriptions.OPERATIONS,
    *exports.OPERATIONS,
    *audit.OPERATIONS,
)
