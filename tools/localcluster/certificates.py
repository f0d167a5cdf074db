"""Certificates: one CA of our own, and what it signs for servers and for the API's clients."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tools.localcluster.paths import write_private

# They are thrown away with the cluster; nobody wants to renew them in a test cluster that lives on.
LIFETIME = timedelta(days=3650)


@dataclass(frozen=True)
class Pair:
    """Where a certificate and its private key lie, both PEM."""

    certificate: Path
    key: Path


class Authority:
    """The cluster's CA. It exists once its folder holds a pair named ``ca``.

    Args:
        folder: for all pairs; created at need.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def ca(self) -> Path:
        """The CA's certificate."""
        return self.pair("ca").certificate

    def pair(self, name: str) -> Pair:
        """Say where the pair with this name lies."""
        return Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")

    def ensure_ca(self) -> None:
        """Make the CA and the key that signs service account tokens, unless they are there."""
        if self._exists("ca"):
            return
        self._make_signing_key()
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("kaito-local-ca")
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        certificate = (
            _builder(name, name, key.public_key(), key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
        self._write("ca", certificate, key)

    def ensure_pair(
        self, name: str, user: str, groups: Sequence[str] = (), addresses: Sequence[str | IPv4Address] = ()
    ) -> Pair:
        """Give a signed pair, made at need, that serves as client and as server certificate.

        Args:
            name: of the files.
            user: the common name, which the API server takes as the user's name.
            groups: the organizations, which it takes as the user's groups.
            addresses: DNS names and IP addresses under which a server with it can be reached.
        """
        if not self._exists(name):
            self._sign(name, user, groups, addresses)
        return self.pair(name)

    def _exists(self, name: str) -> bool:
        pair = self.pair(name)
        return pair.certificate.exists() and pair.key.exists()

    def _sign(
        self, name: str, user: str, groups: Sequence[str], addresses: Sequence[str | IPv4Address]
    ) -> None:
        ca = x509.load_pem_x509_certificate(self.ca.read_bytes())
        ca_key = _load_key(self.pair("ca").key)
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        builder = (
            _builder(_name(user, groups), ca.subject, key.public_key(), ca_key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        )
        if addresses:
            builder = builder.add_extension(_alternative_names(addresses), critical=False)
        self._write(name, builder.sign(ca_key, hashes.SHA256()), key)

    def _make_signing_key(self) -> None:
        pair = self.pair("service-accounts")  # its "certificate" is the bare public key
        key = ec.generate_private_key(ec.SECP256R1())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        write_private(pair.certificate, public.decode())
        write_private(pair.key, _pem(key))

    def _write(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        pair = self.pair(name)
        write_private(pair.key, _pem(key))
        write_private(pair.certificate, certificate.public_bytes(Encoding.PEM).decode())


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    signed_by: ec.EllipticCurvePublicKey,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # tolerates a clock that is set back a little
        .not_valid_after(now + LIFETIME)
        # Python 3.13 trusts no certificate without them.
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signed_by), critical=False)
    )


def _name(user: str, groups: Sequence[str] = ()) -> x509.Name:
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _alternative_names(addresses: Sequence[str | IPv4Address]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(
        x509.DNSName(address) if isinstance(address, str) else x509.IPAddress(address)
        for address in addresses
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} holds no EC key: remove it and start the cluster again.")
    return key
