"""What a fleet has done, in numbers, and in words."""

from __future__ import annotations

from collections import Counter

from attrs import Factory, define


@define(eq=False)
class Counts:
    """What was done over the wire since the start. All who share one are counted together."""

    polls: int = 0  #: GETs that were answered
    puts: int = 0  #: reports that were taken
    readings: int = 0  #: single values that were taken
    responses: int = 0  #: Responses that were taken
    log_events: int = 0
    notifications: int = 0  #: that were received
    connections: int = 0  #: TLS connections that were opened
    failed_connections: int = 0
    #: What went wrong, by reason.
    errors: Counter[str] = Factory(Counter)

    #: Reasons that are told apart; others are counted together.
    _most = 100

    def error(self, reason: str) -> None:
        """Count something that went wrong."""
        if reason not in self.errors and len(self.errors) >= self._most:
            reason = "others"
        self.errors[reason] += 1

    def in_words(self) -> list[str]:
        """Sentences that sum it up, errors last."""
        told = [
            f"{_many(self.polls, 'poll')}, {_many(self.puts, 'report')}, {_many(self.readings, 'reading')},"
            f" {_many(self.responses, 'response')}, {_many(self.log_events, 'log event')},"
            f" {_many(self.notifications, 'notification')} received,"
            f" over {_many(self.connections, 'connection')}."
        ]
        if not self.errors:
            return [*told, "No errors."]
        total = sum(self.errors.values())
        return [
            *told,
            f"{_many(total, 'error')}:",
            *(f"  {count:,} x {reason}" for reason, count in self.errors.most_common()),
        ]


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
