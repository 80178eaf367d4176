"""vnpy's own way to hand ticks to another process: ``python -m bench.vnpy_rpc produce|consume LOAD``.

The chain as vnpy 4 wires it: the CTP callback builds a ``TickData`` (its time stamp through ``strptime``), the
gateway puts two events (``eTick.`` and ``eTick.<symbol>``) into the ``EventEngine``, and the RPC service publishes each
of them with ``RpcServer.publish``: pickle over zmq. The receiver is an ``RpcClient`` and counts the general event. The
callback is the same native one as for the others (SWIG getters; vnpy_ctp's own C++ copies the fields into a dict).
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from datetime import datetime
from typing import Any

import msgspec

from bench.child import READY, load_from_arguments, say, stopped
from bench.control import Control
from bench.load import Load
from bench.tally import Tally
from bench.vendor import module_of, start_feeder
from gateway.clock import SystemClock
from gateway.model import SHANGHAI

TICK_EVENT = "eTick."
SIDES = [(f"{side}{what}{level}", f"{ours}_{kind}_{level}")
         for side, ours in (("Bid", "bid"), ("Ask", "ask"))
         for what, kind in (("Price", "price"), ("Volume", "volume"))
         for level in range(1, 6)]  # fmt: skip


def missing() -> str:
    """Why this yardstick cannot be measured here; empty when it can."""
    for name in ("vnpy", "zmq"):
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed (pip install --no-deps vnpy pyzmq is enough for this case)"
    return ""


def spi_class(module: Any, engine: Any) -> Any:
    """The callback of vnpy's CTP gateway, written against the SWIG names."""
    from vnpy.event import Event  # noqa: PLC0415 - optional
    from vnpy.trader.constant import Exchange  # noqa: PLC0415 - optional
    from vnpy.trader.object import TickData  # noqa: PLC0415 - optional

    exchanges = {"SHFE": Exchange.SHFE}

    class VnpySpi(module.CThostFtdcMdSpi):  # type: ignore[misc]  # a vendor's class, untyped
        def OnRtnDepthMarketData(self, data: Any) -> None:  # noqa: N802 - the vendor's name
            text = f"{data.ActionDay} {data.UpdateTime}.{data.UpdateMillisec}"
            moment = datetime.strptime(text, "%Y%m%d %H:%M:%S.%f").replace(tzinfo=SHANGHAI)
            tick = TickData(
                symbol=data.InstrumentID,
                exchange=exchanges[data.ExchangeID],
                datetime=moment,
                volume=data.Volume,
                turnover=data.Turnover,
                open_interest=data.PreOpenInterest,  # carries the send time; its own value has no other use here
                last_price=data.LastPrice,
                limit_up=data.UpperLimitPrice,
                limit_down=data.LowerLimitPrice,
                open_price=data.OpenPrice,
                high_price=data.HighestPrice,
                low_price=data.LowestPrice,
                pre_close=data.PreClosePrice,
                gateway_name="CTP",
                **{ours: getattr(data, vendor) for vendor, ours in SIDES},
            )
            engine.put(Event(TICK_EVENT, tick))
            engine.put(Event(TICK_EVENT + tick.vt_symbol, tick))

    return VnpySpi


def wait_for_stop(control: Control) -> None:
    """Return when the measurement is over."""
    while not stopped(control):
        time.sleep(0.02)


def produce(load: Load) -> None:
    """The server's side: event engine, RPC server, feeder."""
    from vnpy.event import EventEngine  # noqa: PLC0415 - optional
    from vnpy.rpc import RpcServer  # noqa: PLC0415 - optional

    control = Control(load.control)
    engine, server = EventEngine(), RpcServer()
    server.start(f"tcp://127.0.0.1:{load.port}", f"tcp://127.0.0.1:{load.port + 1}")

    def publish(event: Any) -> None:
        if event.type != "eTimer":
            server.publish("", event)

    engine.register_general(publish)
    engine.start()
    time.sleep(1.0)  # zmq tells nobody when a subscriber has joined; until then it drops
    feeder = start_feeder(spi_class(module_of(load), engine)(), load)
    say(READY)
    wait_for_stop(control)
    feeder.stop()
    engine.stop()
    server.stop()
    server.join()
    control.close()


def consume(load: Load) -> None:
    """The client's side."""
    from vnpy.rpc import RpcClient  # noqa: PLC0415 - optional

    control = Control(load.control)
    tally = Tally(control, SystemClock().wall_ns, warm=load.warm)

    class Client(RpcClient):  # type: ignore[misc]  # vnpy, untyped
        def callback(self, _topic: str, event: Any) -> None:
            if event.type == TICK_EVENT:
                tick = event.data
                tally.tick(tick.symbol, int(tick.volume), tick.turnover, tick.open_interest)

    client = Client()
    client.subscribe_topic("")
    client.start(f"tcp://127.0.0.1:{load.port}", f"tcp://127.0.0.1:{load.port + 1}")
    say(READY)
    wait_for_stop(control)
    say(msgspec.json.encode(tally.outcome(load.goal)).decode())
    os._exit(0)  # the client's thread sleeps until the next heartbeat, and nobody can wake it


if __name__ == "__main__":
    (consume if sys.argv[1] == "consume" else produce)(load_from_arguments())
