"""Time: the server's clock (IEEE 2030.5-2018 9.2)."""

from __future__ import annotations

from csipd.db.tree.chapter import Chapter, Ids, Singleton
from csipd.db.tree.context import Context
from csipd.sep2 import resources as r
from csipd.sep2.clock import daylight_saving, time_resource


class Time(Singleton):
    """The wall clock, valid for the second that it says."""

    is_common = True

    def get(self, context: Context, ids: Ids) -> r.Resource:
        context.limit_validity(context.now + 1)
        rules = daylight_saving(context.server.zone, context.now)
        return time_resource(context.now, rules, context.server.time_quality)


CHAPTER = Chapter(sources={"Time": Time})
