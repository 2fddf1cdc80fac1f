"""Text messages (IEEE 2030.5-2018 10.6)."""

from __future__ import annotations

from csipd.sep2 import resources as r
from csipd.sep2.resources.base import ListLink, SubscribableIdentifiedObject, SubscribableList
from csipd.sep2.resources.event import Event
from csipd.sep2.schema import Attribute
from csipd.sep2.types import LocaleType, PrimacyType, PriorityType, String, String20, UInt32


class MessagingProgram(SubscribableIdentifiedObject):
    """A source of messages in one language."""

    ActiveTextMessageListLink: r.ActiveTextMessageListLink | None = None
    locale: LocaleType
    primacy: PrimacyType
    TextMessageListLink: r.TextMessageListLink | None = None


class MessagingProgramList(SubscribableList):
    """A page of a list of MessagingProgram."""

    pollRate: Attribute[UInt32] = 900
    MessagingProgram: tuple[r.MessagingProgram, ...] = ()


class MessagingProgramListLink(ListLink):
    """To a list of MessagingProgram."""


class TextMessage(Event):
    """A message to be shown for a time."""

    originator: String20 | None = None
    priority: PriorityType
    textMessage: String


class TextMessageList(SubscribableList):
    """A page of a list of TextMessage."""

    TextMessage: tuple[r.TextMessage, ...] = ()


class TextMessageListLink(ListLink):
    """To a list of TextMessage."""


class ActiveTextMessageListLink(ListLink):
    """To the list of TextMessages that are active now."""
