"""A training run as data: a TOML file, read into records that name every wrong key."""

import tomllib
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from superres.degradation.recipes import RECIPES


class WrongRecipe(ValueError):
    """A recipe that cannot be followed; the message names file, key, value and what is allowed."""


@dataclass(frozen=True, kw_only=True)
class StudentSettings:
    """The network that is trained, and where it starts."""

    network: Literal["compact", "bicubic_pp", "dipnet"]
    scale: int
    convolutions: int = 16  # compact: inner ones
    features: int = 64  # compact: channels of the inner convolutions
    trainable: Literal["all", "last"] = "all"  # last: the last layer only, the trunk stays as it is


@dataclass(frozen=True, kw_only=True)
class TeacherSettings:
    """The network whose output is learned."""

    model: str  # of the catalogue
    denoise_strength: float = 0.5  # of a model with two weights files
    keep_mean: bool = True  # correct the mean colour of its output to that of its input
    sharpen: float = 0.0  # unsharp mask of its output: a student blurs what it cannot tell


@dataclass(frozen=True, kw_only=True)
class Share:
    """One kind of training patches."""

    weight: float  # of the patches, relative to the other kinds
    degradation: str  # a name of superres.degradation.recipes.RECIPES
    reduction: tuple[float, float] = (1.0, 1.0)  # of the original before it is the HR image
    source: Literal["photos", "flats"] = "photos"  # flats: flat colours and slow gradients
    grey: float = 0.0  # share of them without colour
    hr_weight: float = 0.0  # of the HR image in the target; the rest is the teacher's output


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """How patches are made and how long each is used."""

    shares: tuple[Share, ...]
    patch: int = 48  # LR pixels a side
    rim: int = 4  # LR pixels at the sides of a patch that the loss does not count
    pool: int = 2000  # patches in memory
    fresh: int = 2  # of them replaced at each step


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """Weights of the losses between output and target."""

    l1: float = 1.0
    charbonnier: float = 0.0
    frequency: float = 0.0  # L1 between the Fourier transforms
    l2_from: float = 1.0  # share of the steps after which L2 replaces all others


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Length and pace of the run."""

    steps: int
    batch: int = 8
    rate: float = 4e-4  # highest learning rate
    warm_up: int = 200  # steps
    decay: float = 0.999  # of the moving average of the weights
    seed: int = 1
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    check_every: int = 500  # steps between checks and checkpoints


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training run."""

    student: StudentSettings
    data: DataSettings
    training: RunSettings
    teacher: TeacherSettings | None = None
    loss: LossSettings = field(default_factory=LossSettings)


_SECTIONS = {
    "student": StudentSettings,
    "teacher": TeacherSettings,
    "data": DataSettings,
    "loss": LossSettings,
    "training": RunSettings,
}


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Args:
        path: Of a TOML file with the sections of `Recipe`; with a key `base` it holds only what
            differs from that file beside it.

    Returns:
        The recipe.

    Raises:
        WrongRecipe: A key is unknown, missing or has a value that is not allowed.
    """
    try:
        return _make_recipe(_read_content(path))
    except (tomllib.TOMLDecodeError, WrongRecipe) as error:
        raise WrongRecipe(f'recipe "{path}": {error}') from error


def _read_content(path: Path) -> dict[str, Any]:
    """Return what a file says, on top of what its base says."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    base = content.pop("base", None)
    if base is None:
        return content
    if not isinstance(base, str) or not path.with_name(base).is_file():
        raise WrongRecipe(f"base = {base!r}: expected the name of a recipe beside this one")
    merged = _read_content(path.with_name(base))
    for section, values in content.items():
        merged[section] = {**merged.get(section, {}), **values}
    return merged


def _make_recipe(content: dict[str, Any]) -> Recipe:
    unknown = content.keys() - _SECTIONS.keys()
    if unknown:
        raise WrongRecipe(f"sections {sorted(unknown)}: expected some of {list(_SECTIONS)}")
    if isinstance(content.get("data"), dict):
        shares = content["data"].get("shares", [])
        made = tuple(_make_record(Share, share, "data.shares") for share in shares)
        content["data"]["shares"] = made
    sections = {
        name: _make_record(_SECTIONS[name], values, name) for name, values in content.items()
    }
    recipe: Recipe = _make_record(Recipe, sections, "recipe")
    _check(recipe)
    return recipe


def _make_record(kind: type[Any], values: dict[str, Any], section: str) -> Any:
    """Return `kind` with `values`, which must have its keys and types."""
    known = {item.name: item for item in fields(kind)}
    for name, value in values.items():
        if name not in known:
            raise WrongRecipe(f"[{section}] {name}: expected one of {', '.join(known)}")
        allowed = known[name].type
        if get_origin(allowed) is Literal and value not in get_args(allowed):
            raise WrongRecipe(
                f"[{section}] {name} = {value!r}: expected one of {get_args(allowed)}"
            )
        number = {int: (int,), float: (int, float)}.get(allowed)  # type: ignore[call-overload]
        if number and (isinstance(value, bool) or not isinstance(value, number) or value < 0):
            raise WrongRecipe(f"[{section}] {name} = {value!r}: expected a number of 0 or more")
    for name, item in known.items():
        if name not in values and item.default is MISSING and item.default_factory is MISSING:
            raise WrongRecipe(f"[{section}] {name} is missing")
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def _check(recipe: Recipe) -> None:
    """Check what concerns several values. Raises WrongRecipe."""
    shares = recipe.data.shares
    for share in shares:
        if share.degradation not in RECIPES:
            raise WrongRecipe(
                f"[data.shares] degradation = {share.degradation!r}: "
                f"expected one of {', '.join(RECIPES)}"
            )
        if share.hr_weight < 1 and recipe.teacher is None:
            raise WrongRecipe(
                f"[data.shares] hr_weight = {share.hr_weight}: expected 1 where there is no teacher"
            )
    if not shares or sum(share.weight for share in shares) <= 0:
        raise WrongRecipe("[data] shares: expected at least one of a weight above 0")
    if recipe.data.patch <= 2 * recipe.data.rim:
        raise WrongRecipe(f"[data] patch = {recipe.data.patch}: expected more than twice the rim")
