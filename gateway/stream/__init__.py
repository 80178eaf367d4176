"""Live ticks as a consumer reads them: subscriptions merged, the last ticks first, order kept, loss made visible."""

from gateway.stream.live import QUEUE, BatchStream, TickStream
from gateway.stream.order import Loss
from gateway.stream.snapshot import LastPages

__all__ = ["QUEUE", "BatchStream", "LastPages", "Loss", "TickStream"]
