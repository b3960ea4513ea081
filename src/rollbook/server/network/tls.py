"""TLS 1.2 and 1.3, a certificate that can be reloaded, and a self-signed one."""

import datetime as dt
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rollbook.errors import UserError
from rollbook.model import utc_now

log = structlog.get_logger("rollbook.server")

# With forward secrecy, for TLS 1.2; every cipher of TLS 1.3 has it.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
VALID_DAYS = 365
RENEW_DAYS = 30


@dataclass(frozen=True)
class Certificate:
    """The PEM files of a certificate and its key; `self_signed` when Rollbook generated them."""

    cert: Path
    key: Path
    self_signed: bool = False


class Tls:
    """The TLS context of new connections, with the current certificate."""

    def __init__(self, certificate: Certificate) -> None:
        self._certificate = certificate
        self._current = load_context(certificate)
        self.context = self._current
        self.context.sni_callback = self._choose

    def reload(self) -> None:
        """Read the files again, for new connections; if they are invalid, log why and keep the old certificate."""
        try:
            self._current = load_context(self._certificate)
        except UserError as error:
            log.error("certificate not reloaded; the old one stays", detail=str(error))  # noqa: TRY400 no traceback
        else:
            log.info("certificate reloaded")

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        # Called in every handshake. Swapping the whole context never pairs a certificate with another one's key.
        connection.context = self._current


def load_context(certificate: Certificate) -> ssl.SSLContext:
    """Read a certificate and its key for a server; errors: UserError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        # Without a password function, OpenSSL would prompt on the terminal.
        context.load_cert_chain(certificate.cert, certificate.key, password=lambda: "")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "it is not in PEM format"
        raise UserError(
            f"The certificate {certificate.cert} cannot be used with the key {certificate.key}: {reason}. "
            "Both must be PEM files, and the key must belong to the certificate and have no password."
        ) from None
    return context


def self_signed_certificate(data_dir: Path, names: Sequence[str] = ()) -> Certificate:
    """Return the certificate in the data directory, for localhost and for these host names and addresses.

    Generate one if it is missing, lacks a name, or expires within RENEW_DAYS.
    """
    certificate = Certificate(data_dir / "localhost.pem", data_dir / "localhost-key.pem", self_signed=True)
    hosts = [_host(name) for name in ("localhost", "127.0.0.1", "::1", *names)]
    if not _is_usable(certificate, hosts):
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        _generate(certificate, hosts)
    return certificate


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name.lower())


def _is_usable(certificate: Certificate, hosts: Sequence[x509.GeneralName]) -> bool:
    if not (certificate.cert.exists() and certificate.key.exists()):
        return False
    found = x509.load_pem_x509_certificate(certificate.cert.read_bytes())
    certified = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if not set(hosts) <= set(certified):
        return False
    return found.not_valid_after_utc > utc_now() + dt.timedelta(days=RENEW_DAYS)


def _generate(certificate: Certificate, hosts: Sequence[x509.GeneralName]) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    unused = "content_commitment key_encipherment data_encipherment key_agreement crl_sign encipher_only decipher_only"
    usage = dict.fromkeys(unused.split(), False)
    builder = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(utc_now() - dt.timedelta(days=1))  # clients' clocks may be slow
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
