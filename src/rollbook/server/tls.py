"""Makes a self-signed certificate for localhost, for a server that was given none."""

import datetime as dt
import os
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rollbook.model import utc_now

VALID_DAYS = 365
RENEW_DAYS = 30


@dataclass(frozen=True)
class Certificate:
    """The PEM files of a certificate and its key; `self_signed` when Rollbook made them."""

    cert: Path
    key: Path
    self_signed: bool = False


def self_signed_certificate(data_dir: Path) -> Certificate:
    """Return the certificate in the data directory, made anew when it is missing or about to expire."""
    certificate = Certificate(data_dir / "localhost.pem", data_dir / "localhost-key.pem", self_signed=True)
    if not _is_usable(certificate):
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(certificate)
    return certificate


def _is_usable(certificate: Certificate) -> bool:
    if not (certificate.cert.exists() and certificate.key.exists()):
        return False
    found = x509.load_pem_x509_certificate(certificate.cert.read_bytes())
    return found.not_valid_after_utc > utc_now() + dt.timedelta(days=RENEW_DAYS)


def _make(certificate: Certificate) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    hosts = [x509.DNSName("localhost"), *(x509.IPAddress(ip_address(text)) for text in ("127.0.0.1", "::1"))]
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    unused = "content_commitment key_encipherment data_encipherment key_agreement crl_sign encipher_only decipher_only"
    usage = dict.fromkeys(unused.split(), False)
    builder = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(utc_now() - dt.timedelta(minutes=5))
        .not_valid_after(utc_now() + dt.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=True, **usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    with os.fdopen(os.open(certificate.key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(secret)
    certificate.cert.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(pem))
