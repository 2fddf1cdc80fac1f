"""``csipctl devices import``: many devices from one file, over one connection."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import click
from rich.progress import Progress

from csipd.cli.ctl import lookup
from csipd.cli.ctl.client import Client, Value
from csipd.cli.ctl.errors import Failure
from csipd.cli.ctl.files import NewFiles
from csipd.cli.ctl.options import given, idempotent, pass_session, read_text
from csipd.cli.ctl.session import Session
from csipd.cli.ctl.values import parse_category
from csipd.der.wording import counted
from csipd.sep2.identity import parse_lfdi

#: The columns that a file may have, in the order of the help.
COLUMNS = (
    "name",
    "lfdi",
    "csr",
    "groups",
    "manager",
    "aggregator",
    "pin",
    "category",
    "poll_rate",
    "post_rate",
    "ders",
    "listed",
)
_MOST = 10_000
_FLAGS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False, "": None}


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for NAME.crt of each device that has a csr."
)
@idempotent
@pass_session
def import_devices(session: Session, file: Path, out: Path | None, key: str) -> None:
    """Add the devices of a file: CSV with a line of heads (name,lfdi,groups ...) and a line for each device.

    A device has a name and one of lfdi and csr (the path of a signing request, from the folder of FILE).
    Further columns: groups (several with ; between them), manager, aggregator, pin, category, poll_rate,
    post_rate, ders, listed. The whole file is checked before the first device is added. Where one is refused
    the import ends there: with the same --idempotency-key it goes on after it was mended, and adds nothing
    twice.

    \b
    Examples:
      csipctl devices import feeder-1.csv
      csipctl devices import feeder-1.csv --out ./certificates --idempotency-key feeder-1
    """
    wanted = list(_read(file, out, session.client))
    console = session.out.console
    doubts: list[str] = []
    try:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("Adding devices", total=len(wanted))
            for number, (line, content) in enumerate(wanted, 1):
                try:
                    warnings = _add(session.client, content, out, f"{key[:56]}-{line}")
                except Failure as failure:
                    added = f"{number - 1} of {len(wanted)} devices were added"
                    raise type(failure)(f"{file}:{line}: {failure.message}; {added}") from None
                doubts += [f"warning: {file}:{line}: {warning}" for warning in warnings]
                progress.update(task, completed=number)
    finally:
        for doubt in doubts:
            session.out.note(doubt)
    if session.out.as_json:
        session.out.json({"added": len(wanted)})
    else:
        session.out.show(f"Added {counted(len(wanted), 'device')}.")


def _add(client: Client, content: Value, out: Path | None, key: str) -> Sequence[str]:
    """Add one device; what is doubtful about it."""
    files = {f"{content['name']}.crt": 0o644} if out is not None and "csr" in content else {}
    # The file is made first: what cannot be written would be lost.
    with NewFiles(out, files) as new:
        made = client.post("/devices", content, key).value
        for name in files:
            new.write(name, str(made.get("certificate", "")))
    warnings: Sequence[str] = made.get("device", {}).get("warnings", ())
    return warnings


def _read(file: Path, out: Path | None, client: Client) -> Iterator[tuple[int, Value]]:
    """The request for each device, with the number of its line. click.BadParameter names file and line."""
    rows = csv.DictReader(io.StringIO(read_text(file, "FILE")), strict=True)

    def wrong(line: int, what: str) -> click.BadParameter:
        return click.BadParameter(f"{file}:{line}: {what}", param_hint="FILE")

    heads = rows.fieldnames or ()
    if "name" not in heads or (unknown := [head for head in heads if head not in COLUMNS]):
        said = "no column is called name" if "name" not in heads else f"no such column: {', '.join(unknown)}"
        raise wrong(1, f"{said[:200]}; there may be {', '.join(COLUMNS)}")
    group = cache(lambda text: lookup.group(client, text))
    manager = cache(lambda text: lookup.device(client, text))
    seen: dict[str, int] = {}
    try:
        for row in rows:
            line = rows.line_num
            try:
                content = _content(row, file.parent, group, manager)
            except (ValueError, Failure) as error:
                raise wrong(line, getattr(error, "message", str(error))) from None
            if "csr" in content and out is None:
                raise wrong(line, "has a csr: --out is needed for its certificate")
            for what in filter(None, (content["name"], content.get("lFDI"))):
                if what in seen:
                    raise wrong(line, f"{what} stands in line {seen[what]} already")
                seen[what] = line
            if len(seen) > 2 * _MOST:
                raise wrong(line, f"a file has {_MOST} devices at the most")
            yield line, content
    except csv.Error as error:
        raise wrong(rows.line_num, f"is no CSV: {error}") from None


def _content(
    row: Mapping[str | None, Any],
    folder: Path,
    group: Callable[[str], int],
    manager: Callable[[str], int],
) -> Value:
    """The request for one device. ValueError or Failure for what is wrong with it."""
    if None in row or None in row.values():
        raise ValueError(f"has not as many values as there are heads ({len(row)})")
    cells = {str(name): str(value).strip() for name, value in row.items()}

    def cell(name: str) -> str | None:
        return cells.get(name) or None

    def number(name: str) -> int | None:
        text = cell(name)
        if text is not None and not text.isdecimal():
            raise ValueError(f"{name}: {text[:40]!r} is no number")
        return None if text is None else int(text)

    def flag(name: str) -> bool | None:
        text = cells.get(name, "").lower()
        if text not in _FLAGS:
            raise ValueError(f"{name}: {text[:40]!r} is neither yes nor no")
        return _FLAGS[text]

    name, lfdi, csr, category = cell("name"), cell("lfdi"), cell("csr"), cell("category")
    if name is None:
        raise ValueError("has no name")
    if (lfdi is None) == (csr is None):
        raise ValueError("has one of lfdi and csr, and not both")
    fleet = cell("manager")
    return given(
        name=name,
        lFDI=lfdi and parse_lfdi(lfdi),
        csr=csr and read_text(folder / csr, "FILE"),
        aggregator=flag("aggregator"),
        manager=fleet and manager(fleet),
        pIN=number("pin"),
        deviceCategory=category and parse_category(category),
        pollRate=number("poll_rate"),
        postRate=number("post_rate"),
        groups=tuple(group(one.strip()) for one in cells.get("groups", "").split(";") if one.strip()),
        ders=number("ders"),
        registered=False if flag("listed") else None,
    )
