"""What is measured: the cases, their processes, and the plan of a round."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from bench import vnpy_rpc
from bench.load import Load

BLOCK = 256
MANY, FEW = 30_000, 100
MANY_TOO = ("per_tick", "hot_pair", "arbitrate")
"""Cases that are also measured at saturation with many contracts."""


def _present() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Case:
    """One way from a vendor callback to a decoded tick in another process."""

    name: str
    title: str
    produce: tuple[str, ...]
    """Module and arguments of the producing process; the load comes last."""
    consume: tuple[str, ...]
    """Likewise for the consuming process; empty: one process does all and measures itself."""
    ticks: int
    """How many ticks a saturation run offers: some seconds' worth."""
    form: str = "tick"
    window: int = 8192
    native: bool = True
    """Whether the source feeds it; the raw pair makes its own bytes."""
    missing: Callable[[], str] = field(default=_present)
    lines: int = 1
    """Lines that carry the same ticks."""


CASES = {
    case.name: case
    for case in (
        Case("raw", "raw sockets (the limit)", ("bench.raw", "produce"), ("bench.raw", "consume"), 3_000_000,
             window=32_768, native=False),
        Case("per_tick", "pipeline, one message a tick", ("bench.pipeline",), ("bench.consume", "per_tick"), 400_000),
        Case("batch", "pipeline, batch subject", ("bench.pipeline",), ("bench.consume", "batch"), 600_000,
             form="batch"),
        Case("hot_pair", "pipeline, two lines, one message a tick", ("bench.pipeline",), ("bench.consume", "hot_pair"),
             300_000, lines=2),
        Case("arbitrate", "arbitration alone, two lines", ("bench.arbitrate",), (), 300_000, native=False, lines=2),
        Case("naive", "naive design", ("bench.naive",), ("bench.consume", "naive"), 30_000),
        Case("vnpy_rpc", "vnpy RPC", ("bench.vnpy_rpc", "produce"), ("bench.vnpy_rpc", "consume"), 30_000, window=400,
             missing=vnpy_rpc.missing),
    )
}  # fmt: skip
"""In the order of a round."""


@dataclass(frozen=True, slots=True)
class Step:
    """One measurement of a round."""

    case: str
    offered: int
    """Ticks a second; 0 is saturation."""
    seconds: float
    """Length of a paced run; a saturation run is scaled by it against 3 s."""
    instruments: int = FEW
    linger_ms: float | None = None
    """``lines.linger_ms``; None: the gateway's default."""

    @property
    def label(self) -> str:
        """``saturation``, ``20000``, ``saturation@30000`` (contracts) or ``10000~0`` (ms of linger)."""
        label = str(self.offered) if self.offered else "saturation"
        if self.instruments != FEW:
            label += f"@{self.instruments}"
        return label if self.linger_ms is None else f"{label}~{self.linger_ms:g}"

    def load(self, *, control: str, source: str, module: str, nats: str, port: int) -> Load:
        """The load of this step. The warm-up is whole blocks and covers every instrument."""
        case = CASES[self.case]
        total = int(self.offered * self.seconds) if self.offered else int(case.ticks * self.seconds / 3.0)
        warm = -(-max(self.instruments, 4 * BLOCK) // BLOCK) * BLOCK
        return Load(
            control=control, source=source, module=module, nats=nats, port=port, form=case.form,
            instruments=self.instruments, warm=warm, total=max(total, BLOCK), rate=self.offered, window=case.window,
            lines=case.lines, linger_ms=self.linger_ms,
        )  # fmt: skip


RATES = (5_000, 20_000, 50_000, 100_000)
TARGET_RATES = {"per_tick": 120_000, "batch": 200_000, "hot_pair": 75_000}
"""In published ticks; each of two lines is offered as many."""
PROMPT = 10_000
"""The rate at which a pair is also measured with a short linger, for those to whom a millisecond matters; and the raw
sockets, for what the machine takes of that millisecond."""
PROMPT_LINGER_MS = 0.5


def plan(only: str | Collection[str] | None = None, *, quick: bool = False) -> list[Step]:
    """The steps of one round, in order: saturation of each case first, since it decides which rates make sense.

    A pair is measured right after the single line that it is compared with.
    """
    asked = CASES if only is None else {only} if isinstance(only, str) else only
    names = [name for name in CASES if name in asked]
    seconds = 0.5 if quick else 3.0
    rates = (5_000, 20_000) if quick else RATES
    steps = [Step(name, 0, seconds) for name in names]
    steps += [Step(name, 0, seconds, instruments=MANY) for name in names if name in MANY_TOO]
    for name in names:
        if name == "arbitrate":
            continue  # nothing to pace: it is a loop around one call
        steps += [Step(name, rate, seconds) for rate in rates]
        if name == "raw":
            steps.append(Step(name, PROMPT, seconds))
        if name == "hot_pair":
            steps += [Step(name, PROMPT, seconds), Step(name, PROMPT, seconds, linger_ms=PROMPT_LINGER_MS)]
        if not quick and name in TARGET_RATES:
            steps.append(Step(name, TARGET_RATES[name], seconds))
    return steps
