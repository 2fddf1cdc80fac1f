"""DeviceCapability, the entry point (IEEE 2030.5-2018 8.2)."""

from __future__ import annotations

from csipd.db.tree.chapter import Chapter, Ids, Singleton
from csipd.db.tree.context import Context
from csipd.sep2 import resources as r


class DeviceCapability(Singleton):
    """Nothing but links."""

    is_all_links = True

    def get(self, context: Context, ids: Ids) -> r.Resource:
        return r.DeviceCapability()


CHAPTER = Chapter(sources={"DeviceCapability": DeviceCapability})
