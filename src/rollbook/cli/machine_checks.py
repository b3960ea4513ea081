"""The checks of `rollbook doctor` on the machine: settings, certificate, files, disk, proxies, descriptors."""

import resource
import shutil
import ssl
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

from cryptography import x509

from rollbook.cli.problems import Finding, problem, warning
from rollbook.model import utc_now
from rollbook.server.network.tls import RENEW_DAYS
from rollbook.settings import OTHER_FILES, RemoteSettings, Settings, split_list
from rollbook.settings_file import find_settings_file

OTHERS = 0o077
# The group of files in /etc/rollbook is the service's.
OTHERS_THAN_GROUP = 0o027
LOW_DISK, NO_DISK = 1_000_000_000, 100_000_000  # bytes
LARGE_WAL = 500_000_000  # bytes
WIDE_NETWORK = 256  # addresses


def check_machine(settings: Settings) -> Iterator[Finding]:
    """Check everything outside the database."""
    yield _check_settings()
    yield from _check_certificate(settings)
    yield from _check_files(settings)
    yield from _check_disk(settings)
    yield from _check_proxies(settings)
    yield _check_descriptors(settings)


def _check_settings() -> Finding:
    file = find_settings_file()
    known = {f"ROLLBOOK_{name.upper()}" for name in (*Settings.model_fields, *RemoteSettings.model_fields)}
    unknown = sorted(name for name in file.names - known if name.startswith("ROLLBOOK_"))
    if unknown:
        return warning("settings", f"{file.path} sets {', '.join(unknown)}, which is no setting", "Check the spelling.")
    return Finding("settings", file.note)


def _check_certificate(settings: Settings) -> Iterator[Finding]:
    cert = settings.tls_cert or settings.data_dir / "localhost.pem"
    key = settings.tls_key or settings.data_dir / "localhost-key.pem"
    own = settings.tls_cert is None and settings.tls_key is None
    missing = [path for path in (cert, key) if not path.is_file()]
    if own and missing:
        yield Finding("certificate", "none yet; the server makes one for localhost at its start")
        return
    if missing:
        yield problem(
            "certificate", f"there is no file {missing[0]}", "Correct ROLLBOOK_TLS_CERT and ROLLBOOK_TLS_KEY."
        )
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key)
        end = x509.load_pem_x509_certificate(cert.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        advice = "Configure a PEM certificate with its chain, and its key, both readable by the server."
        yield problem("certificate", f"{cert} and {key} do not work together: {error}", advice)
        return
    renew = "Restart the server: it makes a new one." if own else "Renew it, and send SIGHUP to the server."
    if end < utc_now():
        yield problem("certificate", f"{cert} ended on {end:%Y-%m-%d}", renew)
    elif end < utc_now() + timedelta(days=RENEW_DAYS):
        yield warning("certificate", f"{cert} ends on {end:%Y-%m-%d}", renew)
    else:
        yield Finding("certificate", f"{cert}, until {end:%Y-%m-%d}")


def _check_files(settings: Settings) -> Iterator[Finding]:
    own = [settings.database_file, settings.data_dir / "localhost-key.pem", Path(".env")]
    modes = dict.fromkeys(own, OTHERS) | dict.fromkeys((settings.tls_key, find_settings_file().path), OTHERS_THAN_GROUP)
    open_ = [path for path, others in modes.items() if path and path.exists() and path.stat().st_mode & others]
    for path in open_:
        advice = f"Run chmod {0o666 & ~modes[path]:o} {path}, and check whether others have read it."
        yield warning("files", f"{path} is open to other users ({path.stat().st_mode & 0o777:o})", advice)
    if not open_:
        yield Finding("files", "only the service can read database, key, .env and settings file")


def _check_disk(settings: Settings) -> Iterator[Finding]:
    file = settings.database_file
    folder = file.parent if file is not None else settings.data_dir
    if not folder.is_dir():
        return
    free = shutil.disk_usage(folder).free
    found = f"{free / 1e9:,.1f} GB free at {folder}"
    if free < LOW_DISK:
        advice = "Free disk space: without it calls are refused with 503, and nothing is lost."
        yield (problem if free < NO_DISK else warning)("disk", found, advice)
    else:
        yield Finding("disk", found)
    if file is not None:
        yield _check_log(file.with_name(f"{file.name}-wal"))


def _check_log(file: Path) -> Finding:
    size = file.stat().st_size if file.exists() else 0
    found = f"SQLite's write-ahead log has {size / 1e6:,.1f} MB"
    if size <= LARGE_WAL:
        return Finding("wal", found)
    advice = "A long read transaction, such as a backup, keeps it large; it shrinks afterwards."
    return warning("wal", f"{found}: {file}", advice)


def _check_proxies(settings: Settings) -> Iterator[Finding]:
    named = [ip_network(text, strict=False) for text in split_list(settings.trusted_proxies)]
    wide = [str(network) for network in named if network.num_addresses > WIDE_NETWORK]
    if wide:
        found = f"every host in {', '.join(wide)} can claim that a call came over HTTPS, and from which address"
        yield warning("proxies", found, "List only the addresses of the proxies in ROLLBOOK_TRUSTED_PROXIES.")
    elif settings.http_port is not None and not named:
        found = "a plain port without a proxy that may use it"
        yield warning("proxies", found, "List the proxies in ROLLBOOK_TRUSTED_PROXIES, or remove the plain port.")
    else:
        yield Finding("proxies", settings.trusted_proxies or "none trusted")


def _check_descriptors(settings: Settings) -> Finding:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)  # a server raises its limit to this
    wanted = settings.max_connections + OTHER_FILES
    found = f"a server process needs up to {wanted} files and connections, this shell allows {most}"
    if most < wanted:
        advice = "Set LimitNOFILE= in its unit, or ulimit -Hn in its shell; or lower ROLLBOOK_MAX_CONNECTIONS."
        return warning("descriptors", found, advice)
    return Finding("descriptors", found)
