"""DIPNet."""

from superres.catalogue.publishers import RAW
from superres.model_spec import ModelSpec, RowStreaming, Speed, Weights
from superres.networks.dipnet import MINIMUM, DIPNet
from superres.networks.streaming.dipnet import dipnet_rows

DIPNET = "xiumu00/DIPNet"
DIPNET_COMMIT = "69f43a7873a866a492ee316bc579e56b6f861170"

ROWS = (
    ModelSpec(
        name="dipnet.x4",
        system="dipnet",
        scale=4,
        build=DIPNet,
        weights=(
            Weights(
                "DIPNet.pth",
                "MIT",
                f"https://github.com/{DIPNET}",
                f"{RAW}/{DIPNET}/{DIPNET_COMMIT}/model_zoo/DIPNet.pth",
                "7495450802b78cd15f4892851b2479de6605b24f1df1dbbfcaa5227201d61cc1",
                991924,
            ),
        ),
        good_at="clean photos at four times the size, little time",
        speed=Speed.FAST,
        overlap=24,
        align=6,
        minimum=MINIMUM,
        whole=True,
        bytes_per_pixel=1350,
        stream=RowStreaming(dipnet_rows, 9_000, 1_600, pays_from=150_000, passes=5, held_bytes=290),
    ),
)
