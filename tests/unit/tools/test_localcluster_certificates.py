from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tools.localcluster.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path)
    made.ensure_ca()
    return made


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_a_signed_certificate_is_the_authoritys(authority: Authority) -> None:
    pair = authority.ensure_pair("node", "system:node:n", ["system:nodes"])
    load(pair.certificate).verify_directly_issued_by(load(authority.ca))


def test_user_and_group_stand_where_the_api_server_reads_them(authority: Authority) -> None:
    subject = load(authority.ensure_pair("node", "system:node:n", ["system:nodes"]).certificate).subject
    assert [a.value for a in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["system:node:n"]
    assert [a.value for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["system:nodes"]


def test_a_server_is_known_by_its_names_and_addresses(authority: Authority) -> None:
    pair = authority.ensure_pair("server", "s", (), ["kubernetes", IPv4Address("10.96.0.1")])
    names = load(pair.certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["kubernetes"]
    assert names.get_values_for_type(x509.IPAddress) == [IPv4Address("10.96.0.1")]


def test_a_pair_is_made_once(authority: Authority) -> None:
    first = authority.ensure_pair("a", "a").certificate.read_bytes()
    authority.ensure_ca()
    assert authority.ensure_pair("a", "a").certificate.read_bytes() == first


def test_a_pair_without_its_certificate_is_made_anew(authority: Authority) -> None:
    pair = authority.ensure_pair("a", "a")
    pair.certificate.unlink()
    assert authority.ensure_pair("a", "a").certificate.exists()


def test_no_key_is_readable_for_others(authority: Authority, tmp_path: Path) -> None:
    authority.ensure_pair("a", "a")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("*.key")} == {0o600}
