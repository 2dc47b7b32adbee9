"""Signatures of records by an ssh key, made and checked by OpenSSH's `ssh-keygen -Y`."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from tif.errors import InputError, MissingError
from tif.eval.record import EVAL_FILE
from tif.records import RUN_FILE
from tif.seal import Check
from tif.sets import store

NAMESPACE: Final = "tif"
"""OpenSSH's namespace: a signature that the key made for another purpose is not valid here."""


def sign_record(path: str | Path, key: Path) -> Path:
    """Sign the record of a run or evaluation, or the file of a set, and return the path of the signature.

    Args:
        path: as in `tif verify`.
        key: a private key, or a public key whose private key is in the ssh agent.

    Raises:
        MissingError: without OpenSSH.
        InputError: if ssh-keygen refuses.
    """
    record = _record(path)
    signature = _signature(record)
    signature.unlink(missing_ok=True)  # ssh-keygen would ask before it replaces one
    done = _ssh_keygen("-Y", "sign", "-n", NAMESPACE, "-f", str(key), str(record))
    if done.returncode:
        raise InputError("cannot be signed", where=str(record), why=_reason(done), hint="Check the key after --sign.")
    return signature


def check_signature(path: str | Path, signers: Path) -> Check:
    """Check the signature of a record, and name the signer.

    Args:
        path: as in `tif verify`.
        signers: an `allowed_signers` file, see ssh-keygen(1).

    Raises:
        MissingError: without OpenSSH.
        InputError: if the file of signers cannot be read.
    """
    if not signers.is_file():
        raise InputError("no such file", where=str(signers), hint="Give an allowed_signers file of OpenSSH.")
    record = _record(path)
    signature = _signature(record)
    if not signature.is_file():
        return Check(name=str(signature), state="missing", detail="the record is not signed")
    found = _ssh_keygen("-Y", "find-principals", "-s", str(signature), "-f", str(signers))
    signer = found.stdout.decode(errors="replace").splitlines()[:1]
    if found.returncode or not signer:
        return Check(name=str(signature), state="differs", detail=f"its signer is not in {signers}")
    given = ("-n", NAMESPACE, "-I", signer[0], "-s", str(signature), "-f", str(signers))
    done = _ssh_keygen("-Y", "verify", *given, content=record.read_bytes())
    if done.returncode:
        return Check(name=str(signature), state="differs", detail=_reason(done))
    return Check(name=str(signature), state="ok", detail=f"signed by {signer[0]}")


def _record(path: str | Path) -> Path:
    place = Path(path)
    for name in (RUN_FILE, EVAL_FILE):
        if (place / name).is_file():
            return place / name
    return store.file_of(path) if place.suffix != ".json" else place


def _signature(record: Path) -> Path:
    return record.with_name(f"{record.name}.sig")


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"ssh-keygen exited with {done.returncode}"


def _ssh_keygen(*arguments: str, content: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["ssh-keygen", *arguments], input=content, capture_output=True, check=False)
    except FileNotFoundError:
        raise MissingError("ssh-keygen is not installed", hint="Install OpenSSH.") from None


__all__ = ["NAMESPACE", "check_signature", "sign_record"]
