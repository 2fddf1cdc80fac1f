"""Options and arguments that several commands share, and the types of their values."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import click
from attrs import frozen

from csipd.cli.ctl.client import PAGE_MAXIMUM, Document, Query, Value
from csipd.cli.ctl.errors import Declined
from csipd.cli.ctl.output import Part
from csipd.cli.ctl.session import Session
from csipd.cli.ctl.times import DURATIONS, MOMENTS, parse_duration, parse_moment
from csipd.cli.ctl.values import Unitless, overlay, parse_mapping, parse_settings, resolve

pass_session = click.make_pass_decorator(Session)

_FILE_LIMIT = 1 << 20
_KEY = re.compile(r"[\x21-\x7e]{1,64}")

Command = Callable[..., Any]


class Parsed(click.ParamType[Any]):
    """A value that a function makes of the text; its ValueError is wrong usage."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):  # a default of the right type already
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Moment(click.ParamType[Any]):
    """A moment; `ahead` as in `parse_moment`."""

    name = "time"

    def __init__(self, *, ahead: bool) -> None:
        self._ahead = ahead

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        assert ctx is not None
        session = ctx.find_object(Session)
        assert session is not None
        try:
            return parse_moment(str(value), session.now_there(), session.zone, ahead=self._ahead)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _idempotency_key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise ValueError("a key has 1 to 64 visible characters of ASCII")
    return text


DURATION = Parsed("duration", parse_duration)
NUMBER = click.IntRange(1, 2**63 - 1)
DURATION_HELP = f"({DURATIONS})"
MOMENT_HELP = f"({MOMENTS})"

idempotent = click.option(
    "--idempotency-key",
    "key",
    type=Parsed("key", _idempotency_key),
    default=lambda: uuid4().hex,
    help="Ask again with the same key and nothing is done twice. A new one each time if you give none.",
)


@frozen
class Paging:
    """Which part of a list is wanted."""

    limit: int
    after: int | None
    everything: bool


def paged(command: Command) -> Command:
    """The options of every list, handed on as one argument `paging`."""

    @click.option(
        "--limit", type=click.IntRange(1, PAGE_MAXIMUM), default=50, show_default=True, help="How many."
    )
    @click.option("--after", type=int, help="Go on where a page ended: the number that it named.")
    @click.option("--all", "everything", is_flag=True, help="The whole list, page by page.")
    @functools.wraps(command)
    def paged_command(*args: Any, limit: int, after: int | None, everything: bool, **more: Any) -> Any:
        return command(*args, paging=Paging(limit, after, everything), **more)

    return paged_command


def show_list(
    session: Session,
    path: str,
    paging: Paging,
    view: Callable[[list[Value]], Part],
    query: Query | None = None,
) -> None:
    """Print a list: one page of it, or all of them."""
    query = query or {}
    if paging.everything:
        pages = session.client.pages(path, query, paging.after)
        if session.out.as_json:
            session.out.pages(pages)
        else:
            _show_pages(session, pages, view)
        return
    page = session.client.get(path, **query, limit=paging.limit, after=paging.after)
    if session.out.as_json:
        session.out.document(page)
        return
    items = page.value.get("items", [])
    total = page.value.get("total")
    following = page.value.get("next") if total != 0 else None
    if items:
        session.out.show(view(items))
    elif following is None:
        session.out.note("None.")
    if following is not None:
        many = "" if total is None else f" ({total} in all)"
        if "more_than" in page.value:
            many = f" (over {page.value['more_than']} in all)"
        # Of very many that few fit not all are looked at for one page.
        what = "There are more" if items else "None so far, and more to look at"
        session.out.note(f"{what}{many}: --after {following} goes on, --all shows all.")


def _show_pages(session: Session, pages: Iterable[Document], view: Callable[[list[Value]], Part]) -> None:
    """Print the items of all pages, of which some may have none, as one list."""
    found = False
    for page in pages:
        if items := page.value.get("items"):
            session.out.show(view(items), goes_on=found)
            found = True
    if not found:
        session.out.note("None.")


def base_options(command: Command) -> Command:
    """--set and --base, handed on as `base`, and as `unitless` what of it was written without its unit."""

    @click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="NAME=VALUE",
        help="A control mode with its unit (opModMaxLimW=60%, opModTargetW=3kW), as on the wire"
        " (opModMaxLimW=6000, which you are asked about), a part of one"
        " (opModFixedPFInjectW.displacement=95), or a curve by description or href. As often as you like.",
    )
    @click.option(
        "--base",
        "file",
        type=click.Path(path_type=Path),
        help="A YAML or JSON file of modes; --set is applied to it.",
    )
    @functools.wraps(command)
    def with_base(*args: Any, settings: tuple[str, ...], file: Path | None, **more: Any) -> Any:
        try:
            given = parse_settings(settings)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--set") from None
        written = overlay(read_mapping(file, "--base") if file else {}, given)
        try:
            base, unitless = resolve(written)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--set, --base") from None
        return command(*args, base=base, unitless=unitless, **more)

    return with_base


def read_text(path: Path, option: str) -> str:
    """A file of text that an option names, of at most a mebibyte. click.BadParameter."""
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_LIMIT + 1)
        if len(content) > _FILE_LIMIT:
            raise ValueError(f"more than {_FILE_LIMIT} octets")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise click.BadParameter(f"{path}: {error.strerror}", param_hint=option) from None
    except UnicodeDecodeError:
        raise click.BadParameter(f"{path}: is no text in UTF-8", param_hint=option) from None
    except ValueError as error:
        raise click.BadParameter(f"{path}: {error}", param_hint=option) from None


def read_mapping(path: Path, option: str) -> Value:
    """The mapping in a YAML or JSON file that an option names. click.BadParameter."""
    try:
        return parse_mapping(read_text(path, option), str(path))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from None


def given(**values: Any) -> Value:
    """A request of what is not None and not an empty tuple."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if value is not None and value != ()
    }


def changed(**values: Any) -> Value:
    """The same for a change, which must be of something: else wrong usage."""
    content = given(**values)
    if not content:
        raise click.UsageError("Nothing is to be changed: give at least one option.")
    return content


yes_option = click.option("--yes", is_flag=True, help="Do not ask; nothing is previewed then.")
"""Of every command that is confirmed."""


def confirm(
    session: Session, path: str, content: Value | None, question: str, query: Query | None = None
) -> None:
    """Say what a command will do, in the words of the API's preview at `path`, and ask. Declined for a no."""
    preview = session.client.post(path, content, query=query).value
    ask(session, [text for text in preview.get("summary", ()) if isinstance(text, str)], question)


def ask(session: Session, said: Iterable[Part], question: str) -> None:
    """Show what is to be confirmed, on standard error where standard output is for a machine, and ask."""
    show = session.out.notes if session.out.as_json else session.out.show
    show(*said)
    if not session.out.ask(question):
        raise Declined("nothing was done")


def zone_query(session: Session) -> dict[str, str]:
    """The query that has the API give times in the zone of --zone, where one was given."""
    return {"zone": session.zone.key} if isinstance(session.zone, ZoneInfo) else {}


def check_units(unitless: Iterable[Unitless], yes: bool) -> None:
    """Refuse numbers whose unit is in doubt where nobody is asked about them."""
    if yes and (doubts := [one.warning for one in unitless]):
        raise click.UsageError(f"{'; '.join(doubts)}. Without its unit it needs your word: leave --yes out.")
