# The service in a container, for CPU and for NVIDIA GPUs: the wheels of PyTorch bring CUDA's runtime,
# the host brings the driver (docker run --gpus all).
#
#   docker build -t superres .
#   docker build -t superres --build-arg TORCH_INDEX=… .   with the package index of PyTorch's CPU builds
#
# One Executor, as Jina deploys it:       docker run superres
# A whole Flow, with a graceful stop:     docker run -p 51001:51001 --entrypoint python superres \
#                                           -m gateway.launcher --uses flows/flow.yml
FROM python:3.11-slim-bookworm

# libgl1 and libglib2.0-0: OpenCV; tini: signals and orphans, which jina as process 1 would not mind
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libgl1 libglib2.0-0 tini \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app
ARG TORCH_INDEX=""
ARG EXTRA=""
COPY requirements.txt requirements-swin2sr.txt requirements-diffusion.txt \
     requirements-community.txt requirements-compare.txt requirements-video.txt ./
RUN pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch==2.13.0 \
    && pip install --no-cache-dir -r requirements.txt \
    && if [ -n "$EXTRA" ]; then pip install --no-cache-dir -r "requirements-$EXTRA.txt"; fi

COPY config.yml ./
COPY contract ./contract
COPY evaluation ./evaluation
COPY superres ./superres
COPY executors ./executors
COPY gateway ./gateway
COPY flows ./flows

RUN useradd --uid 10001 --create-home superres && mkdir /weights && chown superres /weights
USER 10001
ENV SUPERRES_CACHE=/weights JINA_OPTOUT_TELEMETRY=1 PYTHONUNBUFFERED=1 HOME=/home/superres
VOLUME /weights
EXPOSE 51001
ENTRYPOINT ["tini", "--", "jina"]
CMD ["executor", "--uses", "config.yml"]
