"""Orders that wait for their window to fire, when orders count once (`job.deduplicate_orders`).

Partials come from `rtea.flink.fold` and go on to `rtea.flink.merge`, without their orders while their window is
open. Merging an order into a window's list copies the list: done for each batch, a window would cost the square of
its orders. So they wait here, and join their window at once, just before it fires.
"""

from collections.abc import Iterator

from pyflink.common import Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import ListStateDescriptor

from rtea import aggregate


def window_of(partial: bytes) -> int:
    """The key: the window's start."""
    return aggregate.describe_partial(bytes(partial)).window_start_ms


class HoldOrders(KeyedProcessFunction):
    """Holds the orders of each open window back; partials of a window that fired already pass whole."""

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms

    def open(self, runtime_context: RuntimeContext) -> None:
        """Take hold of the state."""
        self._held = runtime_context.get_list_state(ListStateDescriptor("orders", Types.PICKLED_BYTE_ARRAY()))

    def process_element(self, value: bytes, ctx: KeyedProcessFunction.Context) -> Iterator[bytes]:
        """Pass one partial on."""
        timers = ctx.timer_service()
        fires_at_ms = ctx.get_current_key() + self._window_ms - 1
        if timers.current_watermark() >= fires_at_ms:
            yield bytes(value)
            return
        rest, orders = aggregate.split_orders(bytes(value))
        if orders is not None:
            self._held.add(orders)
            timers.register_event_time_timer(fires_at_ms)
        yield rest

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[bytes]:
        """Hand the orders on: the watermark that fires the window comes after them."""
        held = [bytes(orders) for orders in self._held.get() or ()]
        self._held.clear()
        if held:
            yield aggregate.merge_partials(*held)
