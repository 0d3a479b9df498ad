"""Audio encoded anew, where that is asked for."""

from collections.abc import Iterator

from av.audio.fifo import AudioFifo
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet

__all__ = ["AudioEncoder"]

_BITS_PER_SECOND = {"aac": 96_000, "libopus": 64_000}  # and channel; above what is transparent
_OPUS_RATE = 48_000


class AudioEncoder:
    """Decodes the packets of one stream and encodes them by another codec."""

    def __init__(self, source: AudioStream, output: OutputContainer, codec: str) -> None:
        rate = _OPUS_RATE if codec == "libopus" else source.codec_context.sample_rate
        layout = source.codec_context.layout
        self.source = source
        self.stream: AudioStream = output.add_stream(codec, rate=rate, layout=layout.name)
        if codec in _BITS_PER_SECOND:
            self.stream.codec_context.bit_rate = _BITS_PER_SECOND[codec] * layout.nb_channels
        self._resampler: AudioResampler | None = None
        self._fifo = AudioFifo()

    def encode(self, packet: Packet) -> Iterator[Packet]:
        """Yield the packets that the next one of the source completes; an empty one ends it."""
        for frame in packet.decode():
            yield from self._push(frame)
        if packet.size == 0:
            yield from self._push(None)
            yield from self.stream.encode(None)

    def _push(self, frame: object) -> Iterator[Packet]:
        """Resample a frame and encode what is complete; None for all that is left."""
        context = self.stream.codec_context
        if self._resampler is None:
            context.open(strict=False)
            self._resampler = AudioResampler(context.format, context.layout, context.rate)
        for resampled in self._resampler.resample(frame):
            self._fifo.write(resampled)
        while (ready := self._fifo.read(context.frame_size or 1024, partial=frame is None)) is not None:
            yield from self.stream.encode(ready)
