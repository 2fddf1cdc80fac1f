"""`csipctl` as a whole: options before the command, exit codes, help, completion, standard output."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import click
from twisted.trial.unittest import SynchronousTestCase

from csipd.cli.csipctl import csipctl
from csipd.cli.ctl.client import JSON, Answer
from csipd.cli.ctl.errors import Code, ServerFailed, Unreachable
from csipd.cli.ctl.https import Credentials, Server
from csipd.cli.ctl.output import Output
from csipd.cli.ctl.session import Machine, Session
from csipd.cli.ctl.simulation import where
from csipd.web.admin.devices import DevicePage
from tests.cli.fake import NOW, FakeAPI, device

DOCUMENTATION = Path(__file__).resolve().parent.parent.parent / "docs" / "csipctl.md"


def commands(
    group: click.Group = csipctl, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All commands that do something, with the words that call them."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def examples(text: str) -> list[str]:
    """Lines of a help text, or of a document, that call csipctl; after a backslash a line goes on."""
    joined = re.sub(r"\\\n\s*", "", text)
    return [line.strip() for line in joined.splitlines() if line.strip().startswith("csipctl ")]


def arguments(example: str) -> list[str]:
    """The arguments of csipctl in an example, without the pipe or redirection behind it."""
    return shlex.split(re.split(r" [|>#] ", example)[0])[1:]


class OptionTests(SynchronousTestCase):
    """Where the server is, and who we are."""

    def setUp(self) -> None:
        self.api = FakeAPI()
        self.api.answers("GET", "/status", {})
        self.config = Path(self.mktemp())

    def connection(
        self, *options: str, env: dict[str, str] | None = None
    ) -> tuple[Server, Credentials, float]:
        done = self.api.run(*options, "status", env=env)
        self.assertEqual(done.exit_code, 0, done.stderr)
        return self.api.connections[-1]

    def configure(self, *lines: str) -> str:
        self.config.write_text("\n".join(("server: 127.0.0.1", "https_port: 7443", *lines)))
        return str(self.config)

    def test_defaults(self) -> None:
        """This machine, and the certificates that lie in ./tls."""
        server, credentials, timeout = self.connection()
        self.assertEqual(server, Server("127.0.0.1", 7444, "127.0.0.1"))
        tls = Path("tls")
        self.assertEqual(
            credentials, Credentials(tls / "certs/ca.crt", tls / "certs/admin.crt", tls / "private/admin.pem")
        )
        self.assertEqual(timeout, 30)

    def test_options(self) -> None:
        """Server, name, folder, single files and the timeout can be named."""
        server, credentials, timeout = self.connection(
            *(
                "--server",
                "https://h.example:1",
                "--name",
                "n.example",
                "--tls",
                "x",
                "--key",
                "k",
                "--timeout",
                "5",
            )
        )
        self.assertEqual(server, Server("h.example", 1, "n.example"))
        self.assertEqual(
            credentials, Credentials(Path("x/certs/ca.crt"), Path("x/certs/admin.crt"), Path("k"))
        )
        self.assertEqual(timeout, 5)

    def test_environment(self) -> None:
        """Each option before the command is also an environment variable, over which the option wins."""
        env = {
            "CSIPCTL_SERVER": "https://e.example",
            "CSIPCTL_CA": "a",
            "CSIPCTL_CERT": "c",
            "CSIPCTL_KEY": "k",
        }
        server, credentials, _ = self.connection(env=env)
        self.assertEqual(
            (server.host, credentials), ("e.example", Credentials(Path("a"), Path("c"), Path("k")))
        )
        self.assertEqual(self.connection("--server", "https://o.example", env=env)[0].host, "o.example")
        self.assertEqual(self.api.run("status", env={"CSIPCTL_JSON": "1"}).stdout, "{}\n")
        for option in csipctl.params:
            if option.name not in ("help", "version"):
                self.assertEqual(option.envvar, f"CSIPCTL_{option.opts[0][2:].upper()}")

    def test_no_other_variables(self) -> None:
        """Options of commands are no environment variables: what is done is on the command line."""
        for path, command in commands():
            self.assertEqual([one.name for one in command.params if one.envvar], [], path)

    def test_configuration(self) -> None:
        """--config takes host and port of the API and tls_repository from csipd's own configuration."""
        file = self.configure("admin_port: 8444", "admin_host: 10.1.1.1", "tls_repository: /x/tls")
        server, credentials, _ = self.connection("--config", file)
        self.assertEqual(server, Server("10.1.1.1", 8444, "127.0.0.1"))
        self.assertEqual(credentials.certificate, Path("/x/tls/certs/admin.crt"))
        server, credentials, _ = self.connection(
            "--config", file, "--server", "https://other", "--tls", "mine"
        )
        self.assertEqual(server.name, "other")
        self.assertEqual(credentials.certificate, Path("mine/certs/admin.crt"))

    def test_time_of_a_lab(self) -> None:
        """Moments go by the server's clock where the configuration is a lab's: it may run fast."""
        self.api.answers("GET", "/status", {"now": NOW + 86_400})
        self.api.answers("GET", "/controls", {"items": []})
        for lines, expected in (((), NOW - 60), (("lab: true",), NOW + 86_400 - 60)):
            file = self.configure(*lines)
            done = self.api.run("--config", file, "controls", "list", "--since", "-60s")
            self.assertEqual(done.exit_code, 0, done.output)
            self.assertEqual(self.api.requests[-1].query["since"], str(expected))

    def test_configuration_for_all_addresses(self) -> None:
        """A server on every address is reached on this machine, by the name that its certificate then has."""
        file = self.configure("admin_host: 0.0.0.0").replace("server: 127.0.0.1", "server: 0.0.0.0")
        self.config.write_text(self.config.read_text().replace("server: 127.0.0.1", "server: 0.0.0.0"))
        self.assertEqual(self.connection("--config", file)[0], Server("127.0.0.1", 7444, "127.0.0.1"))

    def test_wrong_options(self) -> None:
        """What cannot be used is wrong usage, before anything is connected."""
        for options in (
            ("--server", "http://127.0.0.1"),
            ("--config", "nowhere.yml"),
            ("--config", self.configure("nonsense: 1")),
            ("--config", self.configure("admin_port: 0")),
            ("--zone", "Middle/Earth"),
            ("--timeout", "0"),
            ("--nonsense",),
        ):
            done = self.api.run(*options, "status")
            self.assertEqual(done.exit_code, Code.USAGE, options)
        self.assertEqual(self.api.connections, [])

    def test_nothing_is_connected_for_nothing(self) -> None:
        """A connection is made when a command needs it, and is let go at the end."""
        self.api.run("completion", "bash")
        self.assertEqual((len(self.api.connections), self.api.closed), (0, 0))
        self.api.run("status")
        self.assertEqual((len(self.api.connections), self.api.closed), (1, 1))


class ExitTests(SynchronousTestCase):
    """Exit codes, and the one line that goes with them."""

    def setUp(self) -> None:
        self.api = FakeAPI()

    def test_codes(self) -> None:
        """Refused, not reached and failed are told apart, on standard error and in one line each."""
        self.api.answers("GET", "/status", {})
        self.assertEqual(self.api.run("status").exit_code, 0)
        for failure, code in ((Unreachable("no way"), 3), (ServerFailed("fell\nover"), 4)):
            self.api.answers("GET", "/status", failure)
            done = self.api.run("status")
            self.assertEqual((done.exit_code, done.stdout), (code, ""))
            self.assertTrue(re.fullmatch(r"csipctl: [^\n]+\n", done.stderr), done.stderr)
        for status, code in ((400, 1), (404, 1), (422, 1), (500, 4), (503, 4)):
            self.api.refuses("GET", "/status", status, "Because.")
            done = self.api.run("status")
            self.assertEqual((done.exit_code, done.stderr), (code, f"csipctl: Because ({status})\n"))

    def test_interrupted(self) -> None:
        """Ctrl-C is 130, wherever it comes."""
        self.api.answers("GET", "/status", {})

        def interrupt(*_: object) -> Any:
            raise KeyboardInterrupt

        self.patch(self.api, "send", interrupt)
        done = self.api.run("status")
        self.assertEqual(done.exit_code, 130)
        self.assertNotIn("Traceback", done.output)

    def test_usage(self) -> None:
        """No command, an unknown one, and unknown options are 2."""
        for words in ((), ("devices",), ("nonsense",), ("devices", "nonsense"), ("status", "--nonsense")):
            self.assertEqual(self.api.run(*words).exit_code, 2, words)

    def test_misplaced(self) -> None:
        """An option that stands before the command says so where it was given after it."""
        done = FakeAPI().run("status", "--json")
        self.assertEqual(done.exit_code, 2)
        self.assertIn("--json stands before the command: csipctl --json ...", done.stderr)
        self.assertNotIn("stands before", FakeAPI().run("status", "--nothing").stderr)

    def test_as_a_process(self) -> None:
        """The installed command ends with these codes, and errors stand on standard error."""
        program = [sys.executable, "-c", "from csipd.cli.csipctl import main; main()"]

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run([*program, *words], capture_output=True, text=True, check=False)

        done = run("--tls", "nowhere", "status")
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertIn("nowhere/certs/ca.crt", done.stderr)
        environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
        done = subprocess.run(
            [*program, "check-config", "\u6771\u4eac.yml"],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        self.assertIn("??.yml", done.stdout)
        done = run("--version")
        self.assertEqual(done.returncode, 0)
        self.assertIn("csipctl", done.stdout)


class OutputTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.api = FakeAPI()

    def test_json_as_it_came(self) -> None:
        """--json gives the octets of the answer and nothing else."""
        body = '{"number":  1, "name": "Zürich \\u001b", "new_member": [1.0]}'.encode()
        self.api.answers("GET", "/devices/1", Answer(200, JSON, body))
        self.assertEqual(self.api.run("--json", "devices", "show", "1").stdout_bytes, body + b"\n")

    def test_no_colour_in_a_pipe(self) -> None:
        """What is no terminal gets no colour and no lines; a terminal gets both."""
        self.api.answers("GET", "/devices", DevicePage(items=(device(1, standing="withdrawn"),)))
        plain = self.api.run("devices", "list").stdout
        self.assertTrue(plain.isascii() and "\x1b" not in plain, plain)
        self.assertTrue(all(line == line.rstrip() for line in plain.splitlines()))
        env = {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "TERM": "xterm-256color", "COLUMNS": "200"}
        drawn = self.api.run("devices", "list", env=env).stdout
        self.assertIn("\x1b[31m", drawn)
        self.assertIn("─", drawn)
        self.assertNotIn(
            "\x1b",
            self.api.run("devices", "list", env={**env, "FORCE_COLOR": "", "TTY_COMPATIBLE": "0"}).stdout,
        )

    def test_nothing_obeys_a_device(self) -> None:
        """Names that hold markup or escape sequences are shown as text, on a terminal too."""
        name = "[red]x[/red]\x1b]0;owned\x07\n2"
        self.api.answers("GET", "/devices/1", {**json.loads('{"number": 1}'), "name": name})
        for env in ({}, {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "TERM": "xterm", "COLUMNS": "200"}):
            shown = self.api.run("devices", "show", "1", env=env).stdout
            self.assertIn("[red]x[/red]\ufffd]0;owned\ufffd 2", shown)


class HelpTests(SynchronousTestCase):
    """Help that a newcomer can work from."""

    def test_every_command(self) -> None:
        """Each command has a help in one sentence or more, with an example that calls it."""
        for path, command in commands():
            called = [line for line in examples(command.help or "") if " ".join(path) in line]
            self.assertTrue(called, path)
            self.assertTrue(all(one.help for one in command.params if isinstance(one, click.Option)), path)

    def test_help_fits(self) -> None:
        """Each help can be asked for by -h and --help, and its examples are not wrapped."""
        api = FakeAPI()
        for path, command in commands():
            for option in ("-h", "--help"):
                done = api.run(*path, option)
                self.assertEqual(done.exit_code, 0)
                for example in examples((command.help or "").replace("\b", "")):
                    self.assertIn(example, re.sub(r"\\\n\s*", "", done.stdout), path)

    def test_examples_can_be_called(self) -> None:
        """Each example, in a help or in the documentation, is one that the command line takes."""
        for _, command in commands():
            self.patch(command, "callback", lambda **_: None)
        self.patch(csipctl, "callback", click.pass_context(_without_files))
        found = examples(csipctl.help or "") + examples(DOCUMENTATION.read_text())
        for _, command in commands():
            found += examples((command.help or "").replace("\b", ""))
        self.assertGreater(len(found), 60)
        api = FakeAPI()
        for example in found:
            done = api.run(*arguments(example))
            self.assertEqual(done.exit_code, 0, f"{example}\n{done.output}")

    def test_documented(self) -> None:
        """The documentation names every command and every exit code."""
        text = DOCUMENTATION.read_text()
        for path, _ in commands():
            self.assertIn(" ".join(path), text)
        for code in Code:
            self.assertIn(f"| {code.value} |", text)


def _without_files(context: click.Context, **options: Any) -> None:
    """In the place of what csipctl does before a command: no file is read."""
    context.obj = Session(
        machine=Machine(),
        server=Server("h", 1, "h"),
        credentials=Credentials(Path(), Path(), Path()),
        timeout=1,
        tls=Path(),
        settings=None,
        zone=UTC,
        out=Output(as_json=False),
    )


class WhereTests(SynchronousTestCase):
    """Where simulated devices look for the server."""

    def where(self, *arguments: str, **keys: Any) -> tuple[str, int]:
        file = Path(self.mktemp())
        text: dict[str, Any] = {"server": "127.0.0.1", "https_port": 7543, "tls_repository": "tls", **keys}
        file.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in text.items()))
        context = click.Context(csipctl)
        with context:
            csipctl.parse_args(context, ["--config", str(file), *arguments, "status"])
            context.invoke(csipctl.callback or self.fail, **context.params)
        return where(context.obj)

    def test_where(self) -> None:
        """Where devices do by the configuration, wherever operators do; else beside what was given."""
        self.assertEqual(self.where(), ("127.0.0.1", 7543))
        self.assertEqual(self.where(server="::1"), ("::1", 7543))
        self.assertEqual(self.where(server="192.0.2.1"), ("192.0.2.1", 7543))
        every = {"server_names": ["csip.example"]}
        self.assertEqual(self.where(server="0.0.0.0", **every), ("127.0.0.1", 7543))
        self.assertEqual(self.where(server="::", **every), ("::1", 7543))
        given = self.where("--server", "https://csip.example:7444", server="192.0.2.1")
        self.assertEqual(given, ("csip.example", 7543))


class CompletionTests(SynchronousTestCase):
    def test_scripts(self) -> None:
        """Each shell gets a script that asks csipctl itself."""
        for shell in ("bash", "zsh", "fish"):
            done = FakeAPI().run("completion", shell)
            self.assertEqual(done.exit_code, 0)
            self.assertIn(f"_CSIPCTL_COMPLETE={shell}_complete", done.stdout)
        self.assertEqual(FakeAPI().run("completion", "tcsh").exit_code, 2)

    def test_completion(self) -> None:
        """Asked by the script, csipctl names what can follow."""
        env = {"_CSIPCTL_COMPLETE": "bash_complete", "COMP_WORDS": "csipctl controls ca", "COMP_CWORD": "2"}
        done = FakeAPI().run(env=env)
        self.assertEqual((done.exit_code, done.stdout), (0, "plain,cancel\n"))
