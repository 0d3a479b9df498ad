"""HTTP connections whose requests must begin in time, from the first byte to the head's end."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS = 10.0


class PromptHead(H11Protocol):
    """uvicorn's protocol, which waits for ever for the rest of a head that has begun."""

    _late: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Read on; a head that is not whole has SECONDS from its beginning."""
        super().data_received(data)
        if not self._is_in_head():
            self._stop_timer()
        elif self._late is None:
            self._late = self.loop.call_later(SECONDS, self._close_if_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the timer with the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def _is_in_head(self) -> bool:
        begun: Any = self.conn.trailing_data[0]
        return self.conn.their_state is h11.IDLE and bool(begun)

    def _close_if_late(self) -> None:
        self._late = None
        if self._is_in_head():
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
