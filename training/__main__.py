"""Train a network as a recipe says: `python -m training RECIPE --images FOLDER … --output FILE`.

Beside the output, which is written at every check, lie a checkpoint, from which the same command
goes on, and a log as CSV.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from training.images import ImageSet
from training.patches import PatchPool
from training.recipe import Recipe, read_recipe
from training.students import make_student
from training.teacher import Teacher
from training.trainer import Batch, Trainer

_HELD_OUT = 64  # patches of the checks


def main(arguments: list[str] | None = None) -> None:
    """Train as the command line says."""
    options = _parse_arguments(arguments)
    torch.set_num_threads(options.threads)
    recipe = read_recipe(options.recipe)
    if options.steps:
        recipe = replace(recipe, training=replace(recipe.training, steps=options.steps))
    if options.scale:
        recipe = replace(recipe, student=replace(recipe.student, scale=options.scale))
    torch.manual_seed(recipe.training.seed)
    device = torch.device(options.device)
    teacher = None
    if recipe.teacher:
        teacher = Teacher(recipe.teacher, options.teacher, device)
    student = make_student(recipe.student, teacher, options.start)
    trainer = Trainer(student, recipe, options.output, device)
    resumed = trainer.resume()
    print(f"{'going on at' if resumed else 'starting at'} step {trainer.step}", flush=True)
    held_out = _make_held_out(recipe, ImageSet(options.check), teacher)
    print(f"held out: {trainer.check(held_out).levels:.3f} levels", flush=True)
    seed = recipe.training.seed + trainer.step
    pool = PatchPool(ImageSet(options.images), teacher, recipe.data, recipe.student.scale, seed)
    pool.fill()
    for line in trainer.run(pool, held_out):
        print(line, flush=True)


def _make_held_out(recipe: Recipe, images: ImageSet, teacher: Teacher | None) -> Batch:
    """Return patches of images that are not trained on, the same ones in every run."""
    data = replace(recipe.data, pool=_HELD_OUT, fresh=0)
    pool = PatchPool(images, teacher, data, recipe.student.scale, seed=0)
    pool.fill()
    return Batch(*pool.draw_batch(_HELD_OUT))


def _parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="training", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("recipe", type=Path, help="TOML file, e.g. of training/recipes")
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="folders to learn")
    parser.add_argument("--check", type=Path, nargs="+", required=True, help="held-out folders")
    parser.add_argument("--output", type=Path, required=True, help="safetensors file to write")
    parser.add_argument("--teacher", type=Path, nargs="+", help="the teacher's weights files")
    parser.add_argument("--start", type=Path, help="weights to start from")
    parser.add_argument("--steps", type=int, help="instead of the recipe's")
    parser.add_argument("--scale", type=int, help="instead of the recipe's")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
