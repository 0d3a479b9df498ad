"""Images enlarged from a terminal: by a model on this machine, or by a server.

  python -m superres upscale photo.jpg                   writes photo.x3.jpg beside it
  python -m superres upscale photos -o large             every image directly in a folder
  python -m superres upscale - < in.png > out.png        from standard input to standard output
  python -m superres upscale photo.jpg --server http://localhost:51001
  python -m superres video in.mp4 out.mp4                every frame; audio and subtitles are kept
  python -m superres upscale set -o large --dataset      a data set: folders, tars and labels inside
  python -m superres degrade set pairs --seed 1          low-resolution copies, to train with
  python -m superres models                              what there is to choose from
  python -m superres fetch realesrgan.x4plus             download weights ahead
  python -m superres fetch --all --to folder             for machines without a network
  python -m superres compare photo.jpg                   cost and quality of models, as a report

Exit codes: 0 done; 1 some images or weights failed, the others are there; 2 wrong options; 3 a
setting, a weights file or the server is wrong; 130 interrupted.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from contract.option import WrongValue
from contract.options import REQUEST_OPTIONS
from contract.restoration import FACES, find_preset_model
from superres.cli.compare import add_compare
from superres.cli.degrade import add_degrade
from superres.cli.tables import write_table
from superres.cli.video import add_video
from superres.errors import BadOption, Refused, SuperresError

if TYPE_CHECKING:
    import torch

    from superres.cli.batch import FileJob, RunOptions
    from superres.faces.enhancer import FaceEnhancer
    from superres.weights.store import Store

DONE, SOME_FAILED, WRONG_OPTIONS, WRONG_SETTINGS, INTERRUPTED = 0, 1, 2, 3, 130
_PIXEL_OPTIONS = (
    *("model", "weights", "server", "scale", "format", "quality", "png_compression", "tile"),
    *("keep_metadata", "restore", "strength", "face_enhance", "face_strength", "face_model"),
)
"""Options of `upscale` that the files of one data set must have in common."""
_KEY_VARIABLE = "SUPERRES_KEY"  # a key on a command line can be read by everyone on the machine


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code of one command. Raises SystemExit as argparse does: 0 for --help, else
    2.
    """
    given = _make_parser().parse_args(_join_scale(sys.argv[1:] if arguments is None else arguments))
    try:
        return int(given.run(given))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Nobody reads what we print; Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SOME_FAILED
    except SuperresError as error:
        sys.stderr.write(f"superres: {error}\n")
        return WRONG_OPTIONS if isinstance(error, Refused) else WRONG_SETTINGS
    except OSError as error:  # a full disk, a folder that may not be written
        sys.stderr.write(f"superres: {error}\n")
        return WRONG_SETTINGS


def _join_scale(arguments: Sequence[str]) -> list[str]:
    """Return `arguments` with a scale of -1:600 tied to its option: argparse takes it for another
    one.
    """
    tied: list[str] = []
    for argument in arguments:
        if tied and tied[-1] == "--scale":
            tied[-1] = f"--scale={argument}"
        else:
            tied.append(argument)
    return tied


def _make_parser() -> argparse.ArgumentParser:
    """Return what the command line may say."""
    made = argparse.ArgumentParser(
        prog="python -m superres",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    _add_upscale(commands.add_parser("upscale", help="enlarge images", allow_abbrev=False))
    models = commands.add_parser("models", help="list the models")
    models.set_defaults(run=list_models)
    video = "enlarge videos (requirements-video.txt)"
    add_video(commands.add_parser("video", help=video, allow_abbrev=False))
    degraded = "make degraded copies of images, to train with"
    add_degrade(commands.add_parser("degrade", help=degraded, allow_abbrev=False))
    compare = "measure models side by side on this machine"
    add_compare(commands.add_parser("compare", help=compare, allow_abbrev=False))
    _add_fetch(commands.add_parser("fetch", help="download weights ahead", allow_abbrev=False))
    return made


def _add_upscale(command: argparse.ArgumentParser) -> None:
    """Add the options of `upscale`."""
    add = command.add_argument
    add(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="an image, a folder (the images directly in it), or - for standard input",
    )
    add(
        "-o",
        "--output",
        help="a file, a folder, or - for standard output; default: photo.x3.jpg beside photo.jpg "
        "(photo.upscaled.jpg with --scale or --server)",
    )
    add(
        "--model", help="or auto:fast, :balanced, :best; default: compact.photo-x4, or the server's"
    )
    add(
        "--weights", type=Path, metavar="FILE", help="a weights file of your own instead of --model"
    )
    add("--scale", help='FFmpeg\'s "width:height", e.g. 600:-1 or iw*2:ih*2; default: all of it')
    add("--format", help="png, jpeg, webp …; default: the ending of --output, else the input's own")
    add(
        "--quality",
        type=_make_reader("quality"),
        default=95,
        help="of lossy formats, 0..100; default: 95",
    )
    add(
        "--png-compression",
        type=_make_reader("png_compression"),
        help="0 none .. 9 smallest; default: 1",
    )
    add(
        "--tile", type=_make_reader("tile"), default=0, help="edge in input pixels; default: chosen"
    )
    add("--keep-metadata", action="store_true", help="EXIF and XMP travel to the output")
    add(
        "--restore",
        metavar="STEPS",
        help="deblock,denoise,faces,upscale in any order, without upscale at the image's own size; "
        "a weights file that keeps the size is a step too; or a preset: jpeg, old-photo, scan, "
        "face, anime; or a YAML file with a list",
    )
    add(
        "--strength",
        type=_make_reader("strength"),
        default=1.0,
        help="0..1, how much of the result is blended over the plain enlargement; default: 1",
    )
    add("--face-enhance", action="store_true", help="restore faces, with models for photos")
    add(
        "--face-strength",
        type=_make_reader("face_strength"),
        help="of a restored face, 0..1; default: 1",
    )
    add("--face-model", help="on this machine; default: gfpgan.v1.4; see NOTICE.md")
    add(
        "--dataset",
        action="store_true",
        help="INPUT and --output are folders of a data set: folders inside and tar archives are "
        "enlarged too, other files copied, names kept; a second run goes on where one ended",
    )
    add("--restart", action="store_true", help="of --dataset: begin anew instead of going on")
    add("--force", action="store_true", help="replace files that exist")
    add("--device", help="auto, cpu, mps, cuda or cuda:N; default: auto")
    add("--offline", action="store_true", help="never download weights")
    add("--server", help="let a server do the work, e.g. http://localhost:51001")
    add("--key", help=f"the server's API key; default: ${_KEY_VARIABLE}")
    command.set_defaults(run=upscale)


def _make_reader(name: str) -> Callable[[str], float]:
    """Return a reader of an option's numbers, for argparse."""
    option = REQUEST_OPTIONS[name]

    def read(text: str) -> float:
        try:
            number: float = option.read(text)
            return number
        except WrongValue as error:
            message = f'"{text}": expected {error.allowed}'
            raise argparse.ArgumentTypeError(message) from error

    return read


def upscale(given: argparse.Namespace) -> int:
    """Enlarges every image."""
    from superres.cli.batch import Run
    from superres.cli.paths import choose_destination

    if given.dataset:
        return _upscale_set(given)
    if given.restart:
        raise BadOption("--restart", True, "--dataset beside it")
    goal = choose_destination(given.inputs, given.output, given.format)
    if goal.is_stream(given.inputs) and sys.stdout.isatty():
        raise BadOption("--output", "-", "a file, as standard output is a terminal")
    run = Run(_choose_job(given, _read_wanted(given)), goal, given.force)
    return SOME_FAILED if run.upscale_all(given.inputs) else DONE


def _upscale_set(given: argparse.Namespace) -> int:
    """Enlarge a data set."""
    from superres.cli.dataset import upscale_set

    if len(given.inputs) != 1 or given.output is None:
        raise BadOption("--dataset", True, "one folder as INPUT and --output beside it")
    asked = {name: getattr(given, name) for name in _PIXEL_OPTIONS}
    failed = upscale_set(
        Path(given.inputs[0]),
        Path(given.output),
        _choose_job(given, _read_wanted(given)),
        given.format,
        {name: None if value is None else str(value) for name, value in asked.items()},
        given.restart,
    )
    return SOME_FAILED if failed else DONE


def _read_wanted(given: argparse.Namespace) -> "RunOptions":
    """Return the options that change pixels or files. Raises BadOption."""
    from superres.cli.batch import RunOptions
    from superres.cli.restoration import read_steps
    from superres.image.size_expression import SizeExpression

    scale = None if given.scale is None else SizeExpression.parse(given.scale)
    steps = read_steps(given.restore)
    has_faces = given.face_enhance or FACES in steps
    if not has_faces and (given.face_strength is not None or given.face_model):
        raise BadOption("--face-strength and --face-model", "…", "--face-enhance beside it")
    return RunOptions(
        scale,
        given.quality,
        given.tile,
        given.keep_metadata,
        given.png_compression,
        given.face_enhance,
        given.face_strength,
        steps,
        given.strength,
    )


def _choose_job(given: argparse.Namespace, wanted: "RunOptions") -> "FileJob":
    """Return the work as the options choose it. Raises BadOption or Misconfigured."""
    from superres.cli.batch import upscale_here, upscale_remotely
    from superres.cli.client import Server

    if given.server is not None:
        if given.device or given.offline or given.face_model or given.weights:
            allowed = "none of --device, --offline, --face-model and --weights beside it"
            raise BadOption("--server", given.server, allowed)
        key = given.key or os.environ.get(_KEY_VARIABLE)
        return upscale_remotely(Server(given.server, key), given.model, wanted)
    if given.key:
        raise BadOption("--key", "…", "--server beside it")

    from superres.cli.local_model import choose_model, explain_missing_packages, load_model
    from superres.restoration.chained_model import Blending
    from superres.restoration.loading import chain_steps
    from superres.weights.store import Store

    store = Store.from_environment(offline=given.offline or None)
    name = given.model or (None if given.weights else find_preset_model(given.restore))
    spec = choose_model(name, given.weights, store, given.face_enhance)
    if given.face_enhance and "face_enhance" not in spec.options:
        raise BadOption("--face-enhance", True, f"no value with model {spec.name}")
    blending = Blending(
        wanted.strength, 1.0 if wanted.face_strength is None else wanted.face_strength
    )
    with explain_missing_packages(spec):
        model = load_model(spec, given.device or "auto", store, given.weights)
        upscaler = chain_steps(model, wanted.restore, blending, store, given.face_model)
        after = given.face_enhance and FACES not in wanted.restore
        faces = _load_faces(given, model.device.device, store) if after else None
    return upscale_here(upscaler, wanted, faces)


def _load_faces(
    given: argparse.Namespace, device: "torch.device", store: "Store"
) -> "FaceEnhancer":
    """Return the restorer of faces. Raises Misconfigured."""
    from superres.faces.enhancer import FaceEnhancer
    from superres.restoration.loading import DEFAULT_FACE_MODEL

    return FaceEnhancer.from_store(given.face_model or DEFAULT_FACE_MODEL, device, store)


def list_models(_given: argparse.Namespace) -> int:
    """Print the models that --model takes, in aligned columns."""
    from superres.catalogue import CATALOGUE
    from superres.catalogue.measured import find_quality
    from superres.cli.automatic import list_known_costs

    costs = list_known_costs()
    head = ("model", "scale", "weights", "licence", "quality", "speed", "s/MP here", "good at")
    rows = [head]
    for spec in CATALOGUE.values():
        quality = find_quality(spec.name, spec.scale).model
        cost = costs.get(spec.name)
        figures = (
            "–" if quality is None else f"{quality:.1f}",
            spec.speed.value,
            "–" if cost is None else f"{cost:.3g}",
        )
        facts = (f"x{spec.scale}", spec.download_size, spec.licence or "–", *figures)
        rows.append((spec.name, *facts, spec.description))
    write_table(rows)
    return DONE


def _add_fetch(command: argparse.ArgumentParser) -> None:
    """Add the options of `fetch`."""
    add = command.add_argument
    add("names", nargs="*", metavar="NAME", help="a model that `models` lists")
    add("--all", action="store_true", help="every model")
    add(
        "--to",
        metavar="FOLDER",
        help="also copy the files into a folder, with their licences: for machines without a "
        "network, which name it in SUPERRES_WEIGHTS_DIR",
    )
    command.set_defaults(run=_fetch_weights)


def _fetch_weights(given: argparse.Namespace) -> int:
    """Fetch and verify the weights of models; print where each file lies."""
    from superres.cli.fetch import fetch_all

    if bool(given.names) == given.all:
        raise BadOption("NAME", " ".join(given.names), "models, or --all alone")
    fetched = fetch_all(given.names, None if given.to is None else Path(given.to))
    if not any(file.failed for file in fetched):
        return DONE
    return SOME_FAILED if any(file.path for file in fetched) else WRONG_SETTINGS
