"""Fetch the freely licensed images to learn from: `python -m training.fetch_images FOLDER`.

They are wallpapers in Debian's packages, which apt downloads and dpkg-deb unpacks without
installing anything. Beside the images lies each package's copyright file.
"""

import argparse
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

# Package, folder of its images, and the names without ending; an empty tuple is all of them.
PACKAGES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("mate-backgrounds", "usr/share/backgrounds/mate/nature", ()),
    ("ukui-wallpapers", "usr/share/backgrounds", ()),
    (
        "plasma-workspace-wallpapers",
        "usr/share/wallpapers",
        (
            *("FallenLeaf", "DarkestHour", "Autumn", "BytheWater", "ColorfulCups", "OneStandsOut"),
            *("EveningGlow", "Grey", "Canopee", "Kite", "PastelHills", "summer_1am"),
        ),
    ),
)
_ENDINGS = {".jpg", ".png"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Fetch all packages into the folder that the command line names."""
    parser = argparse.ArgumentParser(prog="training.fetch_images", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    for package, images, names in PACKAGES:
        with tempfile.TemporaryDirectory() as scratch:
            subprocess.run(["apt-get", "download", package], cwd=scratch, check=True)  # noqa: S607
            (archive,) = Path(scratch).glob("*.deb")
            subprocess.run(["dpkg-deb", "-x", archive, scratch], check=True)  # noqa: S607
            count = copy_images(Path(scratch) / images, names, folder)
            about = Path(scratch) / "usr/share/doc" / package / "copyright"
            shutil.copy(about, folder / f"{package}.copyright")
        print(f"{package}: {count} images")


def copy_images(source: Path, names: Sequence[str], target: Path) -> int:
    """Copy images out of an unpacked package.

    Args:
        source: Folder of the images, or of a folder for each.
        names: Of the images that are wanted, without ending; none for all.
        target: Where they go; one of several sizes of an image is the first by name.

    Returns:
        How many there are.
    """
    wanted = names or sorted({path.stem for path in source.iterdir() if path.is_file()})
    count = 0
    for name in wanted:
        inside = source / name / "contents/images"
        found = sorted(inside.iterdir()) if inside.is_dir() else sorted(source.glob(f"{name}.*"))
        found = [path for path in found if path.suffix in _ENDINGS]
        if found:
            shutil.copy(found[0], target / f"{name}{found[0].suffix}")
            count += 1
    return count


if __name__ == "__main__":
    main()
