"""`mnas proxy-quality`: how well a proxy ranks networks of known accuracy."""

import dataclasses
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from mnas.analysis.proxy_quality import (
    Quality,
    known_networks,
    quality,
    random_rows,
    require_enough,
)
from mnas.architecture.network_table import TableRow, read_network_table
from mnas.cli.arguments import parse, rows_table
from mnas.cli.command import stop_advice
from mnas.cli.proxy_scores import check_settings, combined_scores, evaluated, score_records
from mnas.cli.recipe_flags import flag_value
from mnas.engines.config import EngineConfig
from mnas.errors import UsageError, rejected, require_finite, require_positive, require_whole
from mnas.evaluation import WrapperConfig
from mnas.evaluators.presets import with_recipe
from mnas.evaluators.proxy import ProxyConfig
from mnas.experiment import registry
from mnas.experiment.network_list import require_space
from mnas.files import locked_directory, read_json, write_csv, write_json
from mnas.reports import proxy_quality as report
from mnas.reports.terminal import plain_console
from mnas.reports.text import named_path

DEFAULT_RECIPE = "default"
MAX_SEEDS = 100  # open journals
WIDTH = 170  # columns of the table
FILE = "quality.json"


@dataclasses.dataclass(frozen=True)
class ProxyQualityArguments:
    """Measure how well a proxy ranks networks of known accuracy, beside predictors that are free.

    TABLE is a CSV file, also .csv.gz: `blocks` (block strings joined by `;`) or `decisions` (those
    of --space), `accuracy`, also `accuracy_1`, `accuracy_2`, ... by seed, and for `blocks` further
    settings of networks (`resolution`, `stem`, `head`, `activation`, ...). The networks are
    evaluated on the engine; the same command resumes an examination that was stopped. The scores
    are examined as they are and smoothed by the model of mnas search --search.selection model,
    which sees blocks and costs of these networks, and no accuracies. Measures are
    Kendall's τ and Spearman's correlation with the accuracies, τ among networks of equal depth, in
    ten bands of equal mult-adds, within the best quarter and of the reward, and the overlap of the
    best tenths; intervals are of 95%, by bootstrap over networks.

    --report DIR DIR ... prints finished examinations side by side and draws them in one picture.

    Example: mnas proxy-quality table.csv --space nas-bench-macro --data cifar10.npz --networks 100
    """

    table: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="TABLE")] = None
    space: str | None = None
    """Search space, by name, of the column `decisions`, and whose networks train a weight bank;
    with its default settings."""
    data: str | None = None
    """Short for --evaluator.data.source."""
    recipe: str = DEFAULT_RECIPE
    """Settings of the proxy to start from, which flags override: default, those of a search;
    proxy-10s, proxy-30s, proxy-60s, bank, by CPU-seconds a child; or a recipe of mnas train."""
    evaluator: Any = ProxyConfig()
    """Proxy; another one by --evaluator NAME, as of mnas search."""
    networks: int | None = None
    """Number of networks, in a random order that is the same for all proxies; None: all."""
    skip: int = 0
    """Number of networks to leave out before, such as those on which a proxy was chosen."""
    order_seed: int = 0
    """Random seed of that order."""
    seeds: int = 1
    """Evaluations of each network."""
    children: int = 300
    """Children of a search, by whose number the cost of a weight bank is divided."""
    scores: tuple[str, ...] = ()
    """CSV files of scores instead of evaluations, higher is better, such as networks.csv of an
    examination: `name` (decisions, the column name, or 'line N' of TABLE), `score` or `score_1`,
    `score_2`, ..., and optionally `cpu_seconds`. Of several files, the mean of standardised
    scores."""
    target_madds: float | None = None
    """Target of the reward accuracy·(mult-adds/target)^w; None: the networks' median."""
    w: float = -0.07
    """Exponent of the reward."""
    engine: EngineConfig = EngineConfig()
    report: tuple[str, ...] = ()
    """Directories of finished examinations to compare, in place of TABLE."""
    out: str = "proxy-quality"
    """Directory of quality.json, quality.csv, networks.csv, quality.svg and journals."""
    json: bool = False
    """Print one JSON object."""

    def __post_init__(self) -> None:
        for field, least, most in (("skip", 0, None), ("order_seed", 0, None)):
            require_whole("proxy-quality", field, getattr(self, field), least=least, most=most)
        if self.networks is not None:
            require_whole("proxy-quality", "networks", self.networks)
        require_whole("proxy-quality", "seeds", self.seeds, most=MAX_SEEDS)
        require_whole("proxy-quality", "children", self.children)
        require_finite("proxy-quality", "w", self.w)
        if self.target_madds is not None:
            require_positive("proxy-quality", "target_madds", self.target_madds)


def main(arguments: list[str]) -> None:
    """Run `mnas proxy-quality`."""
    options = _parsed(arguments)
    if options.report:
        compare(options)
        return
    if options.table is None:
        raise UsageError("proxy-quality: no TABLE; accepted: a CSV file, or --report DIR ...")
    with stop_advice(f"to continue: mnas proxy-quality {shlex.join(arguments)}"):
        examine(options, Path(options.table))


def _parsed(arguments: Sequence[str]) -> ProxyQualityArguments:
    """Return the arguments, with the flags of the evaluator that they name."""
    words, evaluator = _without_evaluator(list(arguments))
    recipe = flag_value(words, "recipe") or DEFAULT_RECIPE
    if recipe != DEFAULT_RECIPE:
        evaluator = with_recipe(evaluator, recipe)
    source = flag_value(words, "data")
    if source is not None:
        data = getattr(evaluator, "data", None)
        if data is None:
            raise rejected("proxy-quality", "data", source, "none with an evaluator without images")
        evaluator = dataclasses.replace(evaluator, data=dataclasses.replace(data, source=source))
    default = ProxyQualityArguments(evaluator=evaluator)
    return parse(ProxyQualityArguments, "mnas proxy-quality", words, default)


def _without_evaluator(words: list[str]) -> tuple[list[str], Any]:
    """Return the words without `--evaluator NAME`, and that evaluator's default settings."""
    name = flag_value(words, "evaluator")
    if name is None:
        return words, ProxyConfig()
    kind = registry.load("evaluator", name)
    evaluator = kind()
    if isinstance(evaluator, WrapperConfig):
        evaluator = kind.around(ProxyConfig())
    rest, remaining = [], iter(words)
    for word in remaining:
        if word == "--evaluator":
            next(remaining, None)
        elif not word.startswith("--evaluator="):
            rest.append(word)
    return rest, evaluator


def examine(options: ProxyQualityArguments, table: Path) -> None:
    """Evaluate the networks of a table, or read their scores, and report the proxy's quality."""
    console, directory = plain_console(stderr=True), Path(options.out)
    space = None if options.space is None else registry.load("space", options.space)()
    rows = _selected(options, table, space)
    check_settings(options.seeds, options.scores)
    if not options.scores:
        require_space(options.evaluator, space)
    with locked_directory(directory, "is examining a proxy in this directory"):
        if options.scores:
            scores = combined_scores([Path(path) for path in options.scores], rows)
        else:
            scores = evaluated(
                rows,
                options.evaluator,
                options.engine,
                options.seeds,
                directory,
                console,
                space,
                options.children,
            )
        known = [(row, score) for row, score in zip(rows, scores, strict=True) if score is not None]
        if len(known) < len(rows):
            console.print(f"without a score: {len(rows) - len(known)} of {len(rows)} networks")
        require_enough(len(known))
        kept, found = [row for row, _ in known], [score for _, score in known]
        networks = known_networks(kept, options.target_madds, options.w)
        result = quality(kept, found, networks)
        write_csv(directory / "networks.csv", score_records(kept, found))
        write_csv(directory / "quality.csv", report.records(result))
        write_json(directory / FILE, result.to_dict())
        report.write_picture(directory / "quality.svg", {Path(named_path(directory)).name: result})
    _print(result, console)
    files = "quality.json, quality.csv, networks.csv, quality.svg"
    console.print(f"written: {directory}/{files}", soft_wrap=True)
    if options.json:
        print(json.dumps(result.to_dict(), indent=2, allow_nan=False))


def _selected(options: ProxyQualityArguments, table: Path, space: Any) -> list[TableRow]:
    """Return the rows of the table that are examined."""
    rows = read_network_table(table, None if space is None else space.build().decode)
    rows = random_rows(rows, options.networks, options.skip, options.order_seed)
    require_enough(len(rows))
    return rows


def compare(options: ProxyQualityArguments) -> None:
    """Print finished examinations side by side and draw them in one picture."""
    if options.table is not None:
        raise UsageError("proxy-quality: both TABLE and --report; accepted: one of them")
    console, directory = plain_console(stderr=True, width=WIDTH), Path(options.out)
    found: dict[str, Quality] = {}
    for name in options.report:
        path = Path(name) / FILE
        found[named_path(name)] = Quality.from_dict(read_json(path), str(path))
    with locked_directory(directory, "is examining a proxy in this directory"):
        report.write_picture(directory / "quality.svg", found)
    heads, rows = report.summary(found)
    console.print(rows_table(heads, rows))
    console.print(f"written: {directory}/quality.svg", soft_wrap=True)
    if options.json:
        result = {name: of_name.to_dict() for name, of_name in found.items()}
        print(json.dumps(result, indent=2, allow_nan=False))


def _print(result: Quality, console: Console) -> None:
    """Print the table of measures and the notes below it."""
    heads = ["predictor", *report.HEADS.values()]
    wide = plain_console(stderr=True, width=max(console.width, WIDTH))
    wide.print(rows_table(heads, report.lines(result)))
    for line in report.notes(result):
        console.print(line, soft_wrap=True)
