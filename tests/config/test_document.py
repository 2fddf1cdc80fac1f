"""From a file on disk to scalars: what YAML is accepted, and that scalars are read as written."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import yaml

from csipd.config import (
    ConfigError,
    document,
    load,
    loads,
)
from csipd.config.problems import SHOWN
from tests.config.support import BASE, MINIMAL, ConfigCase, read


class FileTests(ConfigCase):
    """From a file on disk to text."""

    def write(self, octets: bytes) -> str:
        path = self.mktemp()
        Path(path).write_bytes(octets)
        return path

    def failure(self, path: str) -> str:
        return str(self.assertRaises(ConfigError, load, path))

    def test_missing(self) -> None:
        """A file that is not there is said to be so."""
        self.assertEqual(
            self.failure("nowhere.yml"), "nowhere.yml: cannot be read: No such file or directory"
        )

    def test_folder(self) -> None:
        """A folder is not a file."""
        self.assertIn("cannot be read: Is a directory", self.failure("."))

    def test_impossible_name(self) -> None:
        """A name that no file can have is an error like any other."""
        self.assertIn("cannot be read", self.failure("a\0b"))

    def test_not_utf8(self) -> None:
        """Octets that are not UTF-8 are an error in their line."""
        path = self.write(MINIMAL.encode() + b"time_zone: \xff\n")
        self.assertEqual(self.failure(path), f"{path}:3: expected UTF-8 text")

    def test_byte_order_mark(self) -> None:
        """A byte order mark, as editors on Windows write it, is passed over; so are their line ends."""
        path = self.write(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
        self.assertEqual(load(path).https_port, 7443)

    def test_too_large(self) -> None:
        """A file without end is not read to its end."""
        self.assertIn("cannot be read: more than", self.failure("/dev/zero"))

    def test_default_base(self) -> None:
        """Relative paths start from the current folder, and nothing is made there."""
        found = load(self.write(MINIMAL.encode()))
        self.assertEqual(found.tls_repository, Path.cwd() / "tls")
        self.assertFalse(found.tls_repository.exists())
        self.assertFalse(found.storage_path.exists())

    def test_relative_base(self) -> None:
        """Paths are absolute even where the base is not."""
        self.assertEqual(loads(MINIMAL, base=Path("x")).storage_path, Path.cwd() / "x" / "var")


class YamlTests(ConfigCase):
    """What YAML is accepted."""

    def test_empty(self) -> None:
        """A file without any key says what it should hold."""
        for text in ("", "# nothing\n", "---\n"):
            (line,) = self.wrong(text, minimal="")
            self.assertRegex(line, r"^c\.yml:[12]: expected keys with values")

    def test_not_a_mapping(self) -> None:
        """A list or a word is not a configuration."""
        for text in ("- a\n", "word\n"):
            self.assertRegex(self.wrong(text, minimal="")[0], r"^c\.yml:1: expected keys with values")

    def test_syntax(self) -> None:
        """What is no YAML is an error in its line."""
        (line,) = self.wrong("devices: [a\nprograms: 3\n")
        self.assertRegex(line, r"^c\.yml:[45]: not YAML: ")

    def test_tab(self) -> None:
        """A tab where blanks should be is found in its line."""
        self.assertRegex(self.wrong("limits:\n\tconnections: 3\n")[0], r"^c\.yml:4: not YAML: ")

    def test_control_character(self) -> None:
        """A control character is named, in its line."""
        self.assert_wrong("time_zone: a\0b\n", "c.yml:3: expected text, got the character U+0000")

    def test_lone_surrogate(self) -> None:
        """Text that cannot be encoded is an error and nothing worse."""
        self.assert_wrong("time_zone: \ud800\n", "c.yml:3: expected text, got the character U+D800")

    def test_escapes_out_of_range(self) -> None:
        """An escape for a character that does not exist is an error and nothing worse."""
        for loader in (document._Loader, yaml.SafeLoader):
            with mock.patch.object(document, "_Loader", loader):
                self.assertRegex(self.wrong('time_zone: "\\UFFFFFFFF"\n')[0], r"not YAML: ")

    def test_duplicate_key(self) -> None:
        """A key given twice is an error, wherever it stands."""
        self.assert_wrong(
            """\
            https_port: 7444
            devices:
              - id: a
                pin: 0
                pin: 0
            """,
            "c.yml:3: https_port: given twice, first in line 2",
            "c.yml:7: devices[0].pin: given twice, first in line 6",
        )

    def test_second_document(self) -> None:
        """One file holds one document."""
        self.assert_wrong("---\na: b\n", "c.yml:3: expected one YAML document, found a second one")

    def test_complex_key(self) -> None:
        """Keys are words."""
        self.assert_wrong("[a]: b\n", "c.yml:3: expected the name of a key, got a list")

    def test_tags(self) -> None:
        """Tags are refused, those of plain text and containers excepted."""
        self.assert_wrong(
            "time_zone: !!python/name:os.system UTC\n",
            "c.yml:3: time_zone: expected a value without a tag,"
            " got 'tag:yaml.org,2002:python/name:os.system'",
        )
        self.assertEqual(read("time_zone: !!str UTC\n").time_zone.key, "UTC")

    def test_aliases_and_merge_keys(self) -> None:
        """An alias stands for what it names, and a merge key for keys that are not given."""
        found = read(
            """\
            devices:
              - &first {id: a, pin: 111115, post_rate: 60}
              - <<: *first
                id: b
              - <<: [{pin: 0}, *first]
                id: c
            """
        )
        self.assertEqual(
            [(d.id, d.pin, d.post_rate) for d in found.devices],
            [("a", 111115, 60), ("b", 111115, 60), ("c", 0, 60)],
        )

    def test_merge_of_no_mapping(self) -> None:
        """Only mappings are merged."""
        self.assert_wrong("<<: 3\n", "c.yml:3: <<: expected a mapping, or a list of mappings, to merge")

    def test_alias_of_nothing(self) -> None:
        """An alias of what is not there, or not yet complete, is an error."""
        self.assert_wrong(
            "groups: *g\n", "c.yml:3: groups: alias *g names nothing that is complete before it"
        )
        self.assert_wrong(
            "groups: &g [*g]\n", "c.yml:3: groups[0]: alias *g names nothing that is complete before it"
        )

    def test_bomb(self) -> None:
        """Aliases that would grow beyond bounds are refused at once."""
        lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
        lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
        (line,) = self.wrong("\n".join(lines))
        self.assertRegex(line, r"expected at most \d+ values, aliases written out$")

    def test_depth(self) -> None:
        """Nesting is bounded and refused in our words, whatever bound a parser has of its own (case C10)."""

        class Bounded(yaml.SafeLoader):
            def fetch_flow_collection_start(self, token: type) -> None:
                if self.flow_level >= 40:
                    raise yaml.scanner.ScannerError(None, None, "enough is enough", self.get_mark())
                super().fetch_flow_collection_start(token)

        for loader in (document._Loader, yaml.SafeLoader, Bounded):
            with mock.patch.object(document, "_Loader", loader):
                for deep in ("[" * 100_000, "[\n " * 100_000, "{a: " * 5000, "\n" + "- " * 5000):
                    (line,) = self.wrong("groups: " + deep)
                    self.assertRegex(line, r"^c\.yml:\d+: .*expected at most 32 levels in one another$")

    def test_other_faults_keep_their_words(self) -> None:
        """A fault after many brackets that are closed again is not reported as one of nesting."""
        for text in ("groups: " + "[]," * 100 + "\n", "# [[[[\ngroups: [" + "{}, " * 100 + "@\n"):
            self.assertRegex(self.wrong(text)[0], r"not YAML: ")

    def test_unknown_key(self) -> None:
        """An unknown key is an error with the nearest known one."""
        self.assert_wrong(
            """\
            sever_mode: x
            limits: {conections: 3}
            operators:
              - colour: red
                name: a
                fingerprint: %s
            """
            % ("ab" * 32),
            "c.yml:3: sever_mode: unknown key; did you mean 'server_mode'?",
            "c.yml:4: limits.conections: unknown key; did you mean 'connections'?",
            "c.yml:6: operators[0].colour: unknown key; expected one of fingerprint, name",
        )

    def test_odd_key(self) -> None:
        """A key with line breaks in it does not break the line of its error."""
        (line,) = self.wrong('"a\\nb\\e": 3\n')
        self.assertIn(r"a\nb\x1b: unknown key", line)

    def test_many_errors(self) -> None:
        """All errors are kept, the first ones shown, the rest counted."""
        text = MINIMAL + "".join(f"k{n}: 1\n" for n in range(SHOWN + 5))
        error = self.assertRaises(ConfigError, loads, text, "c.yml", BASE)
        self.assertEqual(len(error.errors), SHOWN + 5)
        self.assertEqual(str(error).splitlines()[-1], "c.yml: and 5 more")
        self.assertEqual((error.errors[0].line, error.errors[0].key), (3, "k0"))


class ScalarTests(ConfigCase):
    """Scalars are read as they are written."""

    def test_integers(self) -> None:
        """An integer is decimal digits without quotes, within its bounds."""
        self.assertEqual(read("page_maximum: +300\n").page_maximum, 300)
        self.assert_each_wrong(
            "page_maximum",
            "an integer 255..10000",
            *("254", "10001", "0x1FF", "0500", "1_000", "5:00", "5e2", "500.0", "'500'", "[500]", "-500"),
            *("9" * 5000, "\u0665\u0660\u0660"),
        )

    def test_booleans(self) -> None:
        """A boolean is one of YAML's words without quotes."""
        for word, value in (("yes", True), ("True", True), ("ON", True), ("no", False), ("off", False)):
            self.assertIs(read(f"strict_pins: {word}\n").strict_pins, value)
        self.assert_each_wrong("strict_pins", "true or false", "1", "'true'", "y", "{}")

    def test_words(self) -> None:
        """A word of a list is that word, and a near miss is shown the right one."""
        self.assert_wrong(
            "server_mode: enddevices_create_at_start\n",
            "c.yml:3: server_mode: expected one of enddevices_create_on_start,"
            " enddevices_register_access_only, enddevices_allow_all_access, got 'enddevices_create_at_start';"
            " did you mean 'enddevices_create_on_start'?",
        )

    def test_null(self) -> None:
        """An empty value is a key that is not there."""
        for nothing in ("", "~", "null"):
            self.assertEqual(read(f"page_maximum: {nothing}\ndevices: {nothing}\n"), read(""))

    def test_long_value(self) -> None:
        """A message shows the beginning of a long value, on one line."""
        (line,) = self.wrong("time_zone: |\n  " + "x" * 3000 + "\n  y\n")
        self.assertLess(len(line), 200)
