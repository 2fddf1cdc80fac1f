"""How commands are found in a document."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.docs.commands import Block, blocks, indented, script

TEXT = """\
# A document

```sh
one \\
    goes on
two  # said

cat > file <<'END'
not a command
END
```

- in a list

  ```json
  {}
  ```

```host
three
```
"""


class BlockTests(SynchronousTestCase):
    """Fenced blocks."""

    def test_found(self) -> None:
        """Each block has its language, its first line and its lines; fences may be indented."""
        found = blocks(TEXT)
        self.assertEqual([(one.language, one.line) for one in found], [("sh", 4), ("json", 16), ("host", 20)])
        self.assertEqual([one.commands for one in found if one.language != "json"], [3, 1])

    def test_refused(self) -> None:
        """A block without a language, or without an end, is reported with its line."""
        for text, line in (("a\n```\nb\n```\n", 2), ("```sh\na\n", 1)):
            self.assertIn(f"line {line}:", str(self.assertRaises(ValueError, blocks, text)))

    def test_indented(self) -> None:
        """Code that is only indented is found, what is in fences and what goes on in a list is not."""
        self.assertEqual(indented("text\n\n    code\n\n- item\n    goes on\n\n```sh\n\n    x\n```\n"), [3])

    def test_script(self) -> None:
        """What is run has its lines where the document has them."""
        path = Path(self.mktemp())
        path.write_text(TEXT)
        lines = script(path).splitlines()
        self.assertEqual(len(lines), len(TEXT.splitlines()))
        self.assertEqual([number for number, line in enumerate(lines, 1) if line], [4, 5, 6, 8, 9, 10])

    def test_count(self) -> None:
        """A comment is no command, nor is an empty line."""
        self.assertEqual(Block("sh", 1, ("# said", "", "one")).commands, 1)
