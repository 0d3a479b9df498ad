"""The official Python client: a file, bytes, and several images with options of their own.

.venv-client/bin/python examples/upscale.py photo.jpg upscaled

writes four images to the folder upscaled. SUPERRES_ENDPOINT names another server than
grpc://localhost:51001. Client(token=…) would ask Jina's cloud about the token; a server with keys
of its own takes them from `Model(None, "the key", ENDPOINT)` of inference_client.model instead.
"""

import os
import sys
from pathlib import Path

from docarray import Document, DocumentArray
from inference_client import Client

ENDPOINT = os.environ.get("SUPERRES_ENDPOINT", "grpc://localhost:51001")


def main(photo: Path, folder: Path) -> None:
    """Upscales `photo` in three ways; the answers lie in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    model = Client().get_model(ENDPOINT)

    # A file. The client reads it, and writes the answer; the ending names the format.
    model.upscale(image=str(photo), scale="600:-1", output_path=str(folder / "file.png"))

    # Bytes, and a NumPy array in the same way. The answer is the bytes of an image file.
    image = model.upscale(image=photo.read_bytes(), image_format="jpeg", quality=90)
    (folder / "bytes.jpg").write_bytes(image)

    # Several images, each with its own options as tags, which go before those of the call. With
    # errors=tags a bad image comes back without a blob; without it, the first one raises.
    images = DocumentArray(
        [
            Document(id="small", blob=photo.read_bytes(), tags={"scale": "300:-1"}),
            Document(id="webp", blob=photo.read_bytes(), tags={"image_format": "webp"}),
            Document(id="broken", blob=b"no image"),
        ]
    )
    for answer in model.upscale(docs=images, scale="450:-1", parameters={"errors": "tags"}):
        if "error" in answer.tags:
            print(f"{answer.id}: {answer.tags['error']['message']}")
            continue
        made = answer.tags["upscale"]
        width, height = map(int, made["output_size"])
        print(f"{answer.id}: {width}x{height} {made['image_format']} by {made['model']}")
        (folder / f"{answer.id}.{made['image_format']}").write_bytes(answer.blob)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
