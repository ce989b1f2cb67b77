"""`mnas export`: an architecture, or a network with its weights, in another format."""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from mnas.architecture.architecture import Architecture
from mnas.architecture.spec import find
from mnas.cli.arguments import Changes, Spec, parse, write_output
from mnas.errors import UsageError, require_one_of, require_whole
from mnas.export.formats import FORMATS, TEXT_FORMATS

if TYPE_CHECKING:
    from mnas.nn.network import Variables


@dataclasses.dataclass(frozen=True)
class ExportArguments:
    """Export an architecture as text, or a network with its weights as a file.

    Text: json (a spec), tf (block strings), timm (arch_def). Files, which need --weights or
    --random-weights: safetensors (weights by timm's names), stablehlo (jax.export), onnx.

    Example: mnas export runs/digits-1 --format timm
    """

    spec: Spec
    format: str = "json"
    """json, tf, timm, safetensors, stablehlo or onnx."""
    changes: Annotated[Changes, tyro.conf.arg(name="")] = Changes()
    weights: str | None = None
    """.safetensors file with the weights by timm's names, written by mnas or by timm."""
    random_weights: int | None = None
    """Random seed of weights to export instead of trained ones."""
    platforms: tuple[str, ...] = ("cpu",)
    """Platforms of a stablehlo file: cpu, cuda, rocm, tpu. One for cpu alone is faster there."""
    out: str | None = None
    """File to write; None: standard output, for text only."""


def main(arguments: list[str]) -> None:
    """Run `mnas export`."""
    options = parse(ExportArguments, "mnas export", arguments)
    require_one_of("export", "format", options.format, FORMATS)
    weighted = options.weights is not None or options.random_weights is not None
    if options.format in TEXT_FORMATS and weighted:
        raise UsageError(
            f"format = {options.format!r} contains no weights; accepted: neither --weights nor "
            "--random-weights"
        )
    if options.format != "stablehlo" and options.platforms != ("cpu",):
        raise UsageError("--platforms applies to format 'stablehlo' only")
    architecture = options.changes.apply(find(options.spec))
    if options.format not in TEXT_FORMATS:
        _export_network(options, architecture)
    elif options.out is None:
        print(TEXT_FORMATS[options.format](architecture))
    else:
        write_output(options.out, TEXT_FORMATS[options.format](architecture))


def _export_network(options: ExportArguments, architecture: Architecture) -> None:
    if options.out is None:
        raise UsageError(f"format = {options.format!r} is not text; accepted: with --out FILE")
    if not Path(options.out).absolute().parent.is_dir():
        raise UsageError(f"{options.out} can't be written: no such directory")
    variables = _variables(options, architecture)
    try:
        match options.format:
            case "safetensors":
                from mnas.nn.weights import save_weights

                save_weights(options.out, architecture, variables)
            case "stablehlo":
                from mnas.export.stablehlo import save_stablehlo

                save_stablehlo(options.out, architecture, variables, options.platforms)
            case "onnx":
                from mnas.export.onnx import save_onnx

                save_onnx(options.out, architecture, variables)
    except OSError as error:
        raise UsageError(f"{options.out} can't be written: {error.strerror}") from None
    print(f"written: {options.out}", file=sys.stderr)


def _variables(options: ExportArguments, architecture: Architecture) -> "dict[str, Variables]":
    """Return the weights to export; a search keeps none, so there is no default."""
    if options.weights is not None and options.random_weights is None:
        from mnas.nn.weights import load_weights

        return load_weights(options.weights, architecture)
    if options.random_weights is not None and options.weights is None:
        from mnas.nn.network import init_variables

        require_whole("export", "random_weights", options.random_weights, least=0)
        return init_variables(architecture, options.random_weights)
    raise UsageError(
        f"format = {options.format!r} needs weights; accepted: one of "
        "--weights FILE.safetensors and --random-weights SEED"
    )
