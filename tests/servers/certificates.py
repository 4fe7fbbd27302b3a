"""Certificates for a server on the loopback, made when they are needed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple


class Certificates(NamedTuple):
    """Files: an authority that nobody else knows, and a server that it vouches for."""

    authority: Path
    certificate: Path
    key: Path


def make(folder: Path) -> Certificates:
    """Make them for 127.0.0.1."""
    authority, certificate, key = folder / "ca.pem", folder / "server.pem", folder / "server.key"
    authority_key, request, names = folder / "ca.key", folder / "server.csr", folder / "names"
    names.write_text("subjectAltName=IP:127.0.0.1\n")
    new_key = ("-newkey", "rsa:2048", "-nodes")
    _openssl(
        "req",
        "-x509",
        *new_key,
        "-days",
        "2",
        "-subj",
        "/CN=kjobs tests",
        "-addext",
        "keyUsage=critical,keyCertSign",
        "-keyout",
        authority_key,
        "-out",
        authority,
    )
    _openssl("req", *new_key, "-subj", "/CN=127.0.0.1", "-keyout", key, "-out", request)
    _openssl(
        "x509",
        "-req",
        "-days",
        "2",
        "-CAcreateserial",
        "-CA",
        authority,
        "-CAkey",
        authority_key,
        "-extfile",
        names,
        "-in",
        request,
        "-out",
        certificate,
    )
    return Certificates(authority, certificate, key)


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
