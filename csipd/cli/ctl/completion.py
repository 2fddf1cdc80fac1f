"""``csipctl completion``: the script that lets a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script for completion with the Tab key.

    \b
    Examples:
      csipctl completion bash > ~/.local/share/bash-completion/completions/csipctl
      csipctl completion zsh > ~/.zfunc/_csipctl
      csipctl completion fish > ~/.config/fish/completions/csipctl.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "csipctl", "_CSIPCTL_COMPLETE").source())
