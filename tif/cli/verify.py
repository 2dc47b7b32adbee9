"""`tif verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tif.cli.arguments import DataDir, Json
from tif.console import emit, emit_json, say


def register(app: typer.Typer) -> None:
    """Put `verify` on the command line."""
    app.command("verify")(verify)


def verify(
    paths: Annotated[list[str], typer.Argument(metavar="RUN|SET|EVAL...", help="Run folders, sets, evaluations.")],
    *,
    signers: Annotated[
        Path | None, typer.Option("--signers", help="Also check signatures, by this allowed_signers file of OpenSSH.")
    ] = None,
    sign: Annotated[
        Path | None, typer.Option("--sign", help="Sign each record with this ssh key, if everything is as recorded.")
    ] = None,
    data_dir: DataDir = None,
    json_: Json = False,
) -> None:
    """Compare runs, sets and evaluations with the digests that tif recorded.

    It names what differs. Exit code 1 if anything differs, is missing, or was written by an older tif without digests.

    Example: tif verify runs/people annotations/people.parquet
    """
    from tif.eval.signature import check_signature, sign_record
    from tif.eval.verify import verify as run

    checks = []
    for path in paths:
        own = run(path, data_dir=data_dir)
        if signers is not None:
            own.append(check_signature(path, signers))
        checks += own
    failed = [check for check in checks if not check.passed]
    if json_:
        emit_json({"verified": not failed, "checks": [check.to_json() for check in checks]})
    else:
        for check in checks:
            emit(check.line())
    if failed:
        say(f"{len(failed)} of {len(checks)} checks failed")
        raise typer.Exit(1)
    if sign is not None:
        for path in paths:
            say(f"wrote {sign_record(path, sign)}")


__all__ = ["register", "verify"]
