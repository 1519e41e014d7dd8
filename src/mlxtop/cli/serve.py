"""`mlxtop serve`: the metrics of all MLX programs on this machine, for Prometheus."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlxtop.cli import options
from mlxtop.cli import values as kinds
from mlxtop.core.errors import MlxtopError, UsageError

if TYPE_CHECKING:
    import ssl

    from mlxtop.core.budget import BudgetSpec
    from mlxtop.serve.address import Address
    from mlxtop.serve.server import Guard


@click.command(
    epilog="""\b
Try:
  mlxtop serve
  curl -H "Authorization: Bearer $(cat ~/.local/state/mlxtop/serve.token)" http://127.0.0.1:9464/metrics
  mlxtop serve --textfile /var/lib/prometheus/node-exporter
"""
)
@click.option(
    "--listen",
    type=kinds.NAME,
    metavar="HOST:PORT",
    help="Where to listen.  [default: 127.0.0.1:9464, or not at all with --textfile]",
)
@click.option(
    "--textfile",
    type=kinds.FolderParam(),
    metavar="DIR",
    help="Write mlxtop.prom into DIR every 15 seconds, for node_exporter's textfile collector.",
)
@click.option(
    "--token-file",
    type=kinds.FILE,
    metavar="FILE",
    help="The token that a scraper has to show.  [default: MLXTOP_SERVE_TOKEN in the environment, or a file "
    "that is made for it]",
)
@click.option(
    "--no-token", is_flag=True, help="Let every user of this machine read. Beyond it only with TLS."
)
@click.option("--allow-remote", is_flag=True, help="Listen beyond this machine.")
@click.option("--certificate", type=kinds.FILE, metavar="FILE", help="Certificate for TLS, in PEM.")
@click.option("--key", type=kinds.FILE, metavar="FILE", help="Its private key, if that is in another file.")
@click.option(
    "--every",
    type=kinds.SecondsParam(0.5, 60),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How often each program tells what is new: no number is older.",
)
@options.BUDGET("It is that of every program.")
def serve(
    listen: str | None,
    textfile: Path | None,
    token_file: Path | None,
    no_token: bool,
    allow_remote: bool,
    certificate: Path | None,
    key: Path | None,
    every: float,
    budget: "BudgetSpec | None",
) -> None:
    """Tell Prometheus the memory of all MLX programs on this machine.

    Serves what mlxtop top sees at http://127.0.0.1:9464/metrics, until Ctrl-C or SIGTERM. A scraper has to
    show a token, because other users of this machine can reach the address, too. Nothing can be changed
    through it.
    """
    try:
        import prometheus_client  # noqa: F401
    except ImportError as error:
        raise MlxtopError("mlxtop serve needs prometheus_client: pip install 'mlxtop[serve]'.") from error
    from mlxtop.cli.serve_run import Sinks, run
    from mlxtop.serve import address
    from mlxtop.serve.textfile import Textfile

    options.parse_ceiling({"budget": budget, "on_budget": ()})
    where = None if textfile is not None and listen is None else address.parse(listen or address.DEFAULT)
    guard, told = _guard(where, token_file, no_token, allow_remote, certificate, key)
    file = None if textfile is None else Textfile(textfile)
    run(Sinks(where, guard, told, file), every, budget)


def _guard(
    where: "Address | None",
    token_file: Path | None,
    no_token: bool,
    allow_remote: bool,
    certificate: Path | None,
    key: Path | None,
) -> "tuple[Guard, str]":
    """Who may read, and where the token is, in a few words."""
    from mlxtop.serve import token
    from mlxtop.serve.server import Guard

    if where is None:
        return Guard(), ""
    if no_token and token_file is not None:
        raise UsageError("--no-token and --token-file exclude each other.")
    if key is not None and certificate is None:
        raise UsageError("--key needs a --certificate.")
    if not where.loopback and not allow_remote:
        raise UsageError(f"{where} can be reached from other machines: add --allow-remote if that is meant.")
    if not where.loopback and no_token and certificate is None:
        raise UsageError("Beyond this machine a token or a --certificate is needed: leave out --no-token.")
    tls = None if certificate is None else _tls(certificate, key)
    if no_token:
        return Guard(None, tls), "for whoever gets there"
    secret, place = token.read(token_file)
    return Guard(secret, tls), f"with the token {place}"


def _tls(certificate: Path, key: Path | None) -> "ssl.SSLContext":
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)

    def password() -> str:
        raise UsageError("--key: the key is locked with a password, and nobody is here to type it.")

    try:
        context.load_cert_chain(certificate, key, password)
    except OSError as error:
        is_other = isinstance(error, ssl.SSLError)
        why = "they are no certificate and its key in PEM" if is_other else error.strerror
        raise UsageError(f"--certificate and --key cannot be used: {why}.") from error
    return context
