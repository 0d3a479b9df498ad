from pathlib import Path

from training.fetch_images import copy_images


def test_images_are_copied_from_either_kind_of_folder(tmp_path: Path) -> None:
    plain, nested, target = (tmp_path / name for name in ("plain", "nested", "target"))
    target.mkdir()
    plain.mkdir()
    for name in ("a.jpg", "b.png", "list.xml"):
        (plain / name).write_bytes(name.encode())
    inside = nested / "Leaf/contents/images"
    inside.mkdir(parents=True)
    for name in ("1080x1920.jpg", "5120x2880.jpg"):
        (inside / name).write_bytes(name.encode())
    assert copy_images(plain, (), target) == 2
    assert copy_images(nested, ("Leaf", "Missing"), target) == 1
    assert sorted(path.name for path in target.iterdir()) == ["Leaf.jpg", "a.jpg", "b.png"]
    assert (target / "Leaf.jpg").read_text() == "1080x1920.jpg"
