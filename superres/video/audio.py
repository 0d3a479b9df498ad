"""Audio encoded anew, where that is asked for."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet

__all__ = ["AudioEncoder"]

_BITS_PER_SECOND = {"aac": 96_000, "libopus": 64_000}  # and channel; above what is transparent
_OPUS_RATE = 48_000
_SAMPLES = 1024  # at a time, where a codec takes any number
_MAX_GAP_SECONDS = 0.1  # between frames that belong together


class AudioEncoder:
    """Decodes the packets of one stream and encodes them by another codec."""

    def __init__(self, source: AudioStream, output: OutputContainer, codec: str) -> None:
        rate = _OPUS_RATE if codec == "libopus" else source.codec_context.sample_rate
        layout = source.codec_context.layout
        self.source = source
        stream = output.add_stream(codec, rate=rate, layout=layout.name)
        assert isinstance(stream, AudioStream)
        self.stream = stream
        if codec in _BITS_PER_SECOND:
            self.stream.codec_context.bit_rate = _BITS_PER_SECOND[codec] * layout.nb_channels
        self._rate = rate
        self._resampler: AudioResampler | None = None
        self._fifo = AudioFifo()
        self._taken = self._given = 0  # samples of the output that went to the encoder, that came
        self._origin: int | None = None  # when the first of them is heard, and what is missing

    def encode(self, packet: "Packet[AudioStream]") -> Iterator["Packet[Any]"]:
        """Yield the packets that the next one of the source completes; an empty one ends it."""
        for frame in self.source.decode(packet):
            self._follow(frame)
            frame.pts = None  # containers round times, which the queue of samples does not take
            yield from self._push(frame)
        if packet.size == 0:
            yield from self._push(None)
            yield from self.stream.encode(None)

    def _follow(self, frame: AudioFrame) -> None:
        """Note when a frame is heard: sound that is missing must not move what follows it."""
        heard = None if frame.time is None else round(frame.time * self._rate)
        if self._origin is None:
            self._origin = heard or 0
        elif heard is not None:
            missing = heard - (self._origin + self._given)
            self._origin += missing if missing > _MAX_GAP_SECONDS * self._rate else 0

    def _push(self, frame: AudioFrame | None) -> Iterator["Packet[Any]"]:
        """Resample a frame and encode what is complete; None for all that is left."""
        context = self.stream.codec_context
        if self._resampler is None:
            context.open(strict=False)
            self._resampler = AudioResampler(context.format, context.layout, context.rate)
        for resampled in self._resampler.resample(frame):
            resampled.pts = None
            self._given += resampled.samples
            self._fifo.write(resampled)
        samples = context.frame_size or _SAMPLES
        while (ready := self._fifo.read(samples, partial=frame is None)) is not None:
            ready.pts = (self._origin or 0) + self._taken
            ready.time_base = Fraction(1, self._rate)
            self._taken += ready.samples
            yield from self.stream.encode(ready)
