"""What is read from an operator's openssl.cnf, and what is not."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

import csipd
from csipd.pki.openssl_cnf import OpenSSLConfigError, OpenSSLDefaults, read_defaults

# In the manner of the files that servers of this kind shipped with: paths below HOME, a random file, OIDs.
OLD_SERVER = """
HOME = .
RANDFILE = $ENV::HOME/.rnd
oid_section = more_oids

[ more_oids ]
policy_a = 1.2.3.4.1
policy_b = ${policy_a}.7

[ ca ]
default_ca = CA_default   # the usual one

[ CA_default ]
dir = $ENV::HOME/tls
database = $dir/index.txt
certificate = $dir/certs/ca.crt
private_key = $dir/private/ca.pem
default_days = 400
default_md = sha384
policy = policy_match

[ policy_match ]
commonName = supplied

[ req ]
default_bits = 2048
distinguished_name = dn
x509_extensions = v3_ca

[ dn ]
countryName = Country Name
countryName_default = IN
countryName_min = 2
0.organizationName = Organization's name
0.organizationName_default = Some Co-op  # a comment
1.organizationName_default = Second
organizationalUnitName = Unit
commonName = Your server\\'s host name
commonName_default = not.taken.example
commonName_max = 64

[ v3_ca ]
basicConstraints = critical,CA:true
"""


def read(text: str, **environment: str) -> OpenSSLDefaults:
    """What a text decides."""
    return read_defaults(text, environment)


class OpenSSLConfigTests(SynchronousTestCase):
    """read_defaults."""

    def refused(self, text: str, *words: str) -> None:
        """Assert that a text is refused in one line with these words."""
        message = str(self.assertRaises(OpenSSLConfigError, read, text))
        self.assertEqual([word for word in words if word not in message], [], message)
        self.assertNotIn("\n", message)

    def test_old_server(self) -> None:
        """Digest, days and subject are read from an old file; HOME, which it refers to, need not exist."""
        subject = (("countryName", "IN"), ("organizationName", "Some Co-op"), ("organizationName", "Second"))
        self.assertEqual(read(OLD_SERVER), OpenSSLDefaults("sha384", 400, subject))

    def test_ours(self) -> None:
        """The file that comes with csipd is read, and asks for what it says."""
        ours = (Path(csipd.__file__).parent.parent / "openssl.cnf").read_text()
        subject = (("countryName", "US"), ("organizationName", "csipd lab"))
        self.assertEqual(read(ours), OpenSSLDefaults("sha256", 825, subject))

    def test_empty(self) -> None:
        """A file that says nothing leaves everything as it is."""
        self.assertEqual(read(""), OpenSSLDefaults())
        self.assertEqual(read("[ca]\ndefault_ca = x\n[x]\ndefault_md = default"), OpenSSLDefaults())

    def test_without_prompt(self) -> None:
        """With prompt = no the section of the subject holds the values themselves."""
        text = (
            "[req]\nprompt = no\ndistinguished_name = me\n[me]\nC = US\nO = Lab\nCN = taken from elsewhere\n"
        )
        self.assertEqual(read(text).subject, (("C", "US"), ("O", "Lab")))

    def test_digest_of_requests(self) -> None:
        """The digest of requests counts where the CA has none."""
        self.assertEqual(read("[req]\ndefault_md = SHA-512").digest, "sha512")

    def test_syntax(self) -> None:
        """Quotes, escapes, comments, continued lines and references are what OpenSSL takes them for."""
        values = {
            "plain   # comment": "plain",
            '"a # b" c': "a # b c",
            r"a\#b\\c": r"a#b\c",
            r'"\n"\t\\': "n\t\\",
            "'$name'": "$name",
            "two \\\n  lines": "two   lines",
            "$name": "here",
            "${name}s": "heres",
            "$(other::name)/x": "there/x",
            "$global": "everywhere",
            "$ENV::UNIT": "Unit 7",
        }
        for value, expected in values.items():
            text = (
                "global = everywhere\n[req]\ndistinguished_name = dn\nother::name = there\n"
                f"[dn]\nname = here\nO_default = {value}\n"
            )
            self.assertEqual(read(text, UNIT="Unit 7").subject, (("O", expected),), value)

    def test_weak_digest(self) -> None:
        """A digest that is not fit for certificates is refused by name."""
        self.refused("[CA_default]\ndefault_md = md5", "default_md", "sha256", "md5")

    def test_days(self) -> None:
        """Days are a number, and more than none."""
        for days in ("0", "-1", "1y", "99999999"):
            self.refused(f"[CA_default]\ndefault_days = {days}", "default_days", days)

    def test_unknown_reference(self) -> None:
        """A reference to nothing is refused where it matters, with its place."""
        self.refused("[req]\ndistinguished_name = dn\n[dn]\nO_default = $lost", "[dn] O_default", "$lost")

    def test_circular_reference(self) -> None:
        """References that lead back to themselves end in a refusal."""
        self.refused("[req]\ndistinguished_name = $a\na = $b\nb = $a", "too many references")

    def test_no_such_line(self) -> None:
        """A line that is nothing is refused with its number; directives are skipped."""
        self.refused("[req]\n\n.include other.cnf\nwhat is this", "line 4")

    @given(st.text(alphabet="[]= \\\n$ab:#'\"{}", max_size=80))
    def test_any_text(self, text: str) -> None:
        """Any text is read or refused; nothing else is raised."""
        try:
            result = read("[req]\ndistinguished_name = a\n[a]\nb_default = " + text)
        except OpenSSLConfigError:
            return
        self.assertEqual(result.digest, "sha256")
