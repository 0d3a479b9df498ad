"""`superres compare`: models measured side by side on this machine, and a report of it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from superres.cli.values import check_at_least
from superres.errors import BadOption

__all__ = ["add_compare"]

_MIN_SIDE = 16  # pixels: what every network takes


def add_compare(command: argparse.ArgumentParser) -> None:
    """Add the options of `compare`."""
    add = command.add_argument
    add("images", nargs="*", type=Path, metavar="IMAGE", help="photos of your own to be shown")
    add("-o", "--output", type=Path, default=Path("comparison"), help="folder; default: comparison")
    add("--originals", action="store_true", help="reduce the images first; show them beside")
    add("--models", nargs="+", default=[], metavar="NAME", help="default: all with weights here")
    add("--scales", nargs="+", type=int, default=[2, 3, 4, 8], metavar="N", help="of all models")
    add("--weights", nargs="+", default=[], metavar="NAME=FILE", help="instead of a model's own")
    add("--random-weights", action="store_true", help="cost of models without weights too")
    add("--device", default="auto", help="cpu, cuda, cuda:N or mps; default: CPU, and CUDA if any")
    add("--precisions", nargs="+", default=[], choices=("fp32", "fp16", "bf16"))
    add(
        "--sets",
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="originals for quality; default: photos, drawings and text that need no files",
    )
    add("--damages", nargs="+", default=[], metavar="NAME", help="of the originals; default: all")
    add("--metrics", nargs="+", default=[], metavar="NAME", help="of quality; default: all here")
    add("--limit", type=int, default=0, help="images of each set; default: all")
    sides = [64, 128, 256, 512, 1024]
    add("--sides", nargs="+", type=int, default=sides, metavar="N", help="of square inputs")
    add("--max-seconds", type=float, default=60.0, help="of one measurement; default: 60")
    add("--max-memory", type=float, default=16.0, metavar="GB", help="of the largest image")
    add("--no-service", action="store_true", help="no documents per second")
    add("--quick", action="store_true", help="three models, small inputs: under two minutes")
    add("--blind", action="store_true", help="only write a page on which people choose by eye")
    add(
        "--record",
        type=Path,
        metavar="FILE",
        help="write qualities for model=auto, as superres/catalogue/measured.json has them",
    )
    command.set_defaults(run=compare)


def compare(given: argparse.Namespace) -> int:
    """Measure what is not measured yet and write the report; print where it lies."""
    from evaluation.damages import DAMAGES
    from evaluation.metrics import list_metrics
    from superres.comparison.contenders import list_contenders, list_places
    from superres.comparison.run import Comparison
    from superres.comparison.settings import CompareSettings, make_quick
    from superres.weights.store import Store

    settings = CompareSettings(
        output=given.output,
        images=tuple(given.images),
        are_originals=given.originals,
        models=tuple(given.models),
        scales=tuple(given.scales),
        files=_read_files(given.weights),
        use_random_weights=given.random_weights,
        device=given.device,
        precisions=tuple(given.precisions),
        sets=tuple(given.sets),
        limit=check_at_least("--limit", given.limit, 0),
        damages=_choose("--damages", given.damages, list(DAMAGES)),
        metrics=_choose("--metrics", given.metrics, list_metrics()),
        max_seconds=check_at_least("--max-seconds", given.max_seconds, 0.1),
        max_memory_mb=int(1024 * check_at_least("--max-memory", given.max_memory, 0.1)),
        has_service=not given.no_service,
        sides=tuple(sorted(check_at_least("--sides", side, _MIN_SIDE) for side in given.sides)),
    )
    if given.quick:
        settings = make_quick(settings)
    contenders = list_contenders(
        settings.models,
        settings.scales,
        Store.from_environment(offline=True),
        settings.files,
        use_random_weights=settings.use_random_weights,
    )
    if given.blind:
        from superres.comparison.blind import write_blind_page

        sys.stdout.write(f"{write_blind_page(settings, contenders)}\n")
        return 0
    comparison = Comparison(settings, contenders, list_places(settings.device, settings.precisions))
    comparison.run()

    from superres.comparison.report.document import Report
    from superres.comparison.report.record import write_record
    from superres.comparison.report.write import write_report

    report = Report.of(comparison)
    for path in write_report(report, settings.output):
        sys.stdout.write(f"{path}\n")
    if given.record:
        write_record(report, next(iter(comparison.sets)), given.record)
    return 0


def _read_files(given: Sequence[str]) -> dict[str, Path]:
    """Read pairs of a model's name and a file."""
    files = {}
    for pair in given:
        name, sign, file = pair.partition("=")
        if not sign or not Path(file).is_file():
            raise BadOption("--weights", pair, "a model's name, =, and a file that exists")
        files[name] = Path(file)
    return files


def _choose(option: str, given: Sequence[str], allowed: Sequence[str]) -> tuple[str, ...]:
    """Return what was chosen, all where nothing was. Raises BadOption."""
    for name in given:
        if name not in allowed:
            raise BadOption(option, name, f"some of {', '.join(allowed)}")
    return tuple(name for name in allowed if not given or name in given)
