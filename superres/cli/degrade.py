"""`superres degrade`: low-resolution copies of images, to train and to test with."""

import argparse
import json
import os
import sys
from pathlib import Path

from superres.cli.paths import check_target, write_output
from superres.cli.values import check_at_least
from superres.errors import BadOption

__all__ = ["add_degrade"]


def add_degrade(command: argparse.ArgumentParser) -> None:
    """Add the options of `degrade`."""
    add = command.add_argument
    add("input", nargs="?", type=Path, metavar="INPUT", help="an image, or a folder of a data set")
    add("output", nargs="?", type=Path, metavar="OUTPUT", help="a file, or a folder for pairs")
    add("--recipe", default="realesrgan", help="default: realesrgan; see --list")
    add("--list", action="store_true", help="print the recipes")
    add("--reduction", type=int, default=4, metavar="N", help="of both sides; default: 4")
    add("--seed", type=int, default=0, help="the same one gives the same files; default: 0")
    layouts = "folders (hr/ and lr/), webdataset (tar archives) or imagefolder (Hugging Face)"
    add("--layout", default="folders", help=f"{layouts}; default: folders")
    add("--shard-pairs", type=int, default=1000, metavar="N", help="in a tar; default: 1000")
    add("--workers", type=int, help="threads; default: one for each core")
    add("--restart", action="store_true", help="begin anew instead of going on")
    add("--force", action="store_true", help="replace OUTPUT, where INPUT is one image")
    command.set_defaults(run=degrade)


def degrade(given: argparse.Namespace) -> int:
    """Make a degraded copy of every image; print what was made."""
    if given.list:
        return _list_recipes()
    if given.input is None or given.output is None:
        raise BadOption("INPUT OUTPUT", str(given.input), "an image and a file, or two folders")
    return _degrade_set(given) if given.input.is_dir() else _degrade_file(given)


def _list_recipes() -> int:
    from superres.cli.tables import write_table
    from superres.degradation.recipes import RECIPES

    write_table([(name, recipe.description) for name, recipe in RECIPES.items()])
    return 0


def _degrade_set(given: argparse.Namespace) -> int:
    """Make the pairs of a data set."""
    from superres.cli.dataset import tell_failure
    from superres.dataset.degrading import PairSettings, make_pairs
    from superres.dataset.pair_files import LAYOUTS
    from superres.degrade import DegradeOptions

    if given.layout not in LAYOUTS:
        raise BadOption("--layout", given.layout, f"one of {', '.join(LAYOUTS)}")
    settings = PairSettings(
        options=DegradeOptions(given.recipe, given.reduction, given.seed),
        layout=given.layout,
        shard_pairs=check_at_least("--shard-pairs", given.shard_pairs, 1),
    )
    cores = len(os.sched_getaffinity(0))
    workers = cores if given.workers is None else check_at_least("--workers", given.workers, 1)
    made = make_pairs(
        given.input, given.output, settings, tell_failure, workers=workers, restart=given.restart
    )
    sys.stdout.write(
        f"{given.output}: {made.made} pairs made, {made.kept} there before, {made.failed} failed\n"
    )
    return 1 if made.failed else 0


def _degrade_file(given: argparse.Namespace) -> int:
    """Degrade one image; print the parameters of every step."""
    from superres.codecs.decode import DEFAULT_LIMITS, decode
    from superres.codecs.encode import find_format
    from superres.degrade import DegradeOptions, degrade_image

    made = find_format(given.output.suffix)
    check_target(given.output, given.force)
    with given.input.open("rb") as stream:
        data = stream.read(DEFAULT_LIMITS.max_bytes + 1)
    options = DegradeOptions(given.recipe, given.reduction, given.seed)
    encoded, record = degrade_image(decode(data), options, made)
    write_output(given.output, encoded.data, given.force)
    sys.stdout.write(f"{json.dumps(record)}\n")
    return 0
