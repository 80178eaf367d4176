"""``YYYYMMDD_startup.png``: the figures of a start as a picture. Source: the operators' contract, §5."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from gateway.client import Client
from gateway.model import LineId
from runbook.context import ActionContext
from runbook.maintenance.placing import draft, shanghai_time, sync
from runbook.model import ActionResult, Exit
from runbook.runner.masking import Masker
from runbook.settings import secrets_of

_ASK_S: Final = 5.0
_MOST: Final = 1000
"""Pictures of one day."""
_WIDTH, _MARGIN, _ROW, _SIZE = 1100, 32, 28, 17
_COLUMNS: Final = (_MARGIN, 330, 500, 690, 850)
_PAPER, _INK, _FAINT, _BAD = (255, 255, 255), (24, 32, 44), (110, 120, 132), (178, 32, 32)
_TEXT: Final = 90

Row = tuple[str, ...]


async def picture(context: ActionContext, result: ActionResult) -> tuple[str, str]:
    """Draw what is known of this start into the log directory: ``(file's name, "")``, or ``("", why not)``.

    Both are empty where there is nothing to show. Raises nothing but a cancellation: no start fails because of it.
    An earlier picture of the day stays; this one is then called ``YYYYMMDD_startup_1.png`` and so on.
    """
    stages = list(_stages(result))
    if not stages:
        return "", ""
    try:
        rows, session = await _asked(context)
        head = _head(context, result, session)
        masker = Masker([*secrets_of(context.settings), *secrets_of(context.runbook)])
        shown = [tuple(masker.text(cell) for cell in row) for row in (*head, *stages, *rows)]
        day = shanghai_time(context.clock.wall_ns()).strftime("%Y%m%d")
        path = await asyncio.to_thread(_written, context.log_dir, f"{day}_startup", shown)
    except Exception as error:  # noqa: BLE001 - a picture is never worth a start
        return "", f"no picture of the figures could be made: {type(error).__name__}: {error}"
    return path.name, ""


def _head(context: ActionContext, result: ActionResult, session: str) -> Iterator[Row]:
    request, settings = context.request, context.settings
    at = shanghai_time(context.clock.wall_ns()).strftime("%Y-%m-%d %H:%M:%S +08:00")
    ready = result.exit_code in (Exit.OK, Exit.WARNING)
    yield (f"# Start {'ready' if ready else 'failed'}, exit code {int(result.exit_code)}",)
    yield (f"{at}   gateway {settings.name}   run {context.run}",)
    account = f"{request.config} {_account(context)}".strip()
    yield (f"session {session}   window {request.window or 'none'}   profile {request.profile}   account {account}",)
    if not ready and result.message:
        yield (f"! {result.message.splitlines()[0][:_TEXT]}",)


def _account(context: ActionContext) -> str:
    """Masked; empty when no feed has the chosen one."""
    name = context.request.config
    feeds = context.settings.feeds.values()
    return next((feed.accounts[name].account(name).masked for feed in feeds if name in feed.accounts), "")


def _stages(result: ActionResult) -> Iterator[Row]:
    details = result.details
    rows: Sequence[dict[str, Any]] = details.get("stages") or ()
    failed = details.get("failed_stage")
    if not rows and not failed:
        return
    yield ("# Stages", "exit code", "seconds", "tries")
    for row in rows:
        code = Exit.WARNING if str(row["text"]).startswith("warning: ") else Exit.OK
        yield (str(row["stage"]), str(int(code)), f"{row['seconds']:.1f}", str(row["tries"]))
    if failed:
        yield (f"! {failed}", str(int(result.exit_code)), "", "")
    if (seconds := details.get("startup_s")) is not None:
        yield ("start to ready", "", f"{seconds:.1f}", "")


async def _asked(context: ActionContext) -> tuple[list[Row], str]:
    """What the gateway says, and its session; without an answer that is what is shown."""
    try:
        async with asyncio.timeout(_ASK_S), context.connect() as client:
            return await _figures(client)
    except Exception as error:  # noqa: BLE001 - what is known without the gateway is shown all the same
        return [
            ("# Lines",),
            (f"! the gateway does not answer: {str(error)[:_TEXT] or type(error).__name__}",),
        ], "unknown"


async def _figures(client: Client) -> tuple[list[Row], str]:
    status, figures, coverage = await client.status(), await client.figures(), await client.coverage()
    rows: list[Row] = [("# Lines", "role", "state", "account", "contracts")]
    for line in status.lines:
        name, carried = str(LineId.parse(line.line)), f"{line.confirmed} of {line.wanted}"
        rows.append((name if line.state.is_up else f"! {name}", line.role, line.state.value, line.account, carried))
    rows.append(("# Coverage", "ratio", "contracts", "session"))
    for feed in coverage:
        ratio = "-" if feed.ratio is None else f"{feed.ratio:.4f}"
        name = feed.feed if feed.ratio == 1 else f"! {feed.feed}"
        rows.append((name, ratio, f"{feed.confirmed} of {feed.wanted}", feed.session))
    rows.append(("# Throughput", "ticks/s"))
    rows.append(("received", f"{figures.received_rate:,.0f}"))
    rows.append(("published", f"{figures.published_rate:,.0f}"))
    sessions = [feed.session for feed in coverage]
    return rows, next((one for one in sessions if one != "closed"), "closed")


def _written(directory: Path, name: str, rows: Sequence[Row]) -> Path:
    data = _drawn(rows)
    with draft(directory) as (file, temporary):
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        for number in range(_MOST):
            path = directory / f"{name}{f'_{number}' if number else ''}.png"
            try:
                os.link(temporary, path)
            except FileExistsError:
                continue
            sync(directory)
            return path
    raise FileExistsError(17, "too many pictures of one day", str(directory / name))


def _drawn(rows: Sequence[Row]) -> bytes:
    """``#`` in front of a row's first cell makes it a heading, ``!`` something bad."""
    from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 - a start must do without it where it is not installed

    height = 2 * _MARGIN + sum(_ROW * (2 if row[0].startswith("#") else 1) for row in rows)
    image = Image.new("RGB", (_WIDTH, height), _PAPER)
    draw = ImageDraw.Draw(image)
    usual, large = ImageFont.load_default(size=_SIZE), ImageFont.load_default(size=_SIZE + 5)
    y = _MARGIN
    for row in rows:
        heading, bad = row[0].startswith("# "), row[0].startswith("! ")
        y += _ROW * 3 // 4 if heading else 0
        for number, (x, cell) in enumerate(zip(_COLUMNS, row, strict=False)):
            text = cell.removeprefix("# ").removeprefix("! ") if not number else cell
            faint = heading and number
            colour = _BAD if bad else _FAINT if faint else _INK
            draw.text((x, y), text, fill=colour, font=large if heading and not number else usual)
        y += _ROW + (_ROW // 4 if heading else 0)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
