"""DIPNet."""

from superres.catalogue.publishers import RAW
from superres.model_spec import NetworkSpec, RowStreaming, SizeRequirements, Speed, Weights
from superres.networks.dipnet import MIN_SIDE, DIPNetNetwork
from superres.networks.streaming.dipnet import make_dipnet_stages

DIPNET = "xiumu00/DIPNet"
_DIPNET_COMMIT = "69f43a7873a866a492ee316bc579e56b6f861170"

ROWS = (
    NetworkSpec(
        name="dipnet.x4",
        system="dipnet",
        scale=4,
        build=DIPNetNetwork,
        weights=(
            Weights(
                "DIPNet.pth",
                "MIT",
                f"https://github.com/{DIPNET}",
                f"{RAW}/{DIPNET}/{_DIPNET_COMMIT}/model_zoo/DIPNet.pth",
                "7495450802b78cd15f4892851b2479de6605b24f1df1dbbfcaa5227201d61cc1",
                991924,
            ),
        ),
        description="clean photos at four times the size, little time",
        speed=Speed.FAST,
        overlap=24,
        align=6,
        input_size=SizeRequirements(minimum=MIN_SIDE),
        global_context=True,
        seconds_per_megapixel=1.8,
        bytes_per_pixel=1350,
        stream=RowStreaming(
            stages=make_dipnet_stages,
            bytes_per_column=9_000,
            step_bytes=1_600,
            min_pixels=150_000,
            passes=5,
            bytes_per_image_pixel=290,
        ),
    ),
)
