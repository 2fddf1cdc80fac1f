"""``csipctl init``: a configuration to begin with."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import click

from csipd.cli.ctl.errors import Failure
from csipd.cli.ctl.options import pass_session
from csipd.cli.ctl.session import Session


@click.command("init")
@click.argument("file", default="config.yml", type=click.Path(path_type=Path))
@pass_session
def init(session: Session, file: Path) -> None:
    """Write a configuration of csipd to begin with, as config.yml or under another name.

    It serves two devices on this machine alone. What is there is not overwritten; no server is asked.

    \b
    Examples:
      csipctl init
      csipctl init /etc/csipd/config.yml
    """
    text = files("csipd.config").joinpath("initial.yml").read_text("utf-8")
    try:
        with file.open("x", encoding="utf-8") as target:
            target.write(text)
    except FileExistsError:
        raise Failure(f"{file} is there already") from None
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from None
    if session.out.as_json:
        session.out.json({"file": str(file)})
    else:
        session.out.show(f"made {file}")
    given = "" if str(file) == "config.yml" else f" --config {file}"
    session.out.note(f"twistd --nodaemon csipd{given} --hints serves it, and says what to try")
