"""Holds orders until their window fires, if orders count once (`job.deduplicate_orders`).

Partials come from `rtea.flink.fold` and go to `rtea.flink.merge`. While their window is open, they go there without
their orders. Merging an order into a window's list copies the list. If each batch did this, the cost would be the
square of the number of orders. So the orders wait here and join their window all together, just before it fires.
"""

from collections.abc import Iterator

from pyflink.common import Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import ListStateDescriptor

from rtea import aggregate


def window_of(partial: bytes) -> int:
    """The key: the start of the window."""
    return aggregate.describe_partial(bytes(partial)).window_start_ms


class HoldOrders(KeyedProcessFunction):
    """Holds back the orders of open windows. Partials of windows that have already fired pass unchanged."""

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms

    def open(self, runtime_context: RuntimeContext) -> None:
        """Get the state."""
        self._held = runtime_context.get_list_state(ListStateDescriptor("orders", Types.PICKLED_BYTE_ARRAY()))

    def process_element(self, value: bytes, ctx: KeyedProcessFunction.Context) -> Iterator[bytes]:
        """Pass one partial on, without its orders if its window is open."""
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
        """Pass the orders on. The watermark that fires the window comes after them."""
        held = [bytes(orders) for orders in self._held.get() or ()]
        self._held.clear()
        if held:
            yield aggregate.merge_partials(*held)
