"""Runs in the official client's environment: every way the client has to call the service.

Prints what came back as JSON, one entry per call. Arguments: endpoint, folder with photo.jpg.
"""

import io
import json
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

import numpy as np
from docarray import Document, DocumentArray
from inference_client import Client
from PIL import Image

endpoint, folder = sys.argv[1], Path(sys.argv[2])
photo = folder / "photo.jpg"
model = Client().get_model(endpoint)


def told(blob):
    picture = Image.open(io.BytesIO(blob))
    picture.load()
    return [picture.format, *picture.size]


def failure(call):
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


saved = folder / "upscaled.png"
calls = {
    "path": told(model.upscale(image=str(photo), scale="600:-1", output_path=str(saved))),
    "saved": told(saved.read_bytes()),
    "bytes": told(model.upscale(image=photo.read_bytes())),
    "tensor": told(model.upscale(image=np.asarray(Image.open(photo)), image_format="jpeg")),
    "sizes": [
        len(model.upscale(image=str(photo), image_format="jpeg", quality=quality))
        for quality in (10, 50, 95)
    ],
}
docs = DocumentArray(
    Document(id=str(i), blob=photo.read_bytes(), tags={"image_format": "png"}) for i in range(3)
)
answers = model.upscale(docs=docs, scale="300:-1")
calls["docs"] = [[doc.id, *told(doc.blob), doc.tags["upscale"]["model"]] for doc in answers]
calls["too large"] = failure(lambda: model.upscale(image=str(photo), scale="601:-1"))
calls["not an image"] = failure(lambda: model.upscale(image=b"nonsense"))
calls["still there"] = told(model.upscale(image=str(photo)))
print(json.dumps(calls))
