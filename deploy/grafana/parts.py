"""What both dashboards are made of: their frame, queries, and panels with a place, limits and a way to the runbook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus, stat, statetimeline, statushistory, timeseries
from grafana_foundation_sdk.models import common, dashboard

SOURCE: Final = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
PER_LINE: Final = "{{instance}} {{feed}}:{{account}}"
PER_FEED: Final = "{{instance}} {{feed}}"
GREEN, ORANGE, RED, BLUE, GREY = "green", "orange", "red", "blue", "#8e8e8e"
WIDTH: Final = 24

Steps = Sequence[tuple[float | None, str]]
"""Limits, lowest first: from this value on (None: from the beginning) this colour."""
AnyPanel = stat.Panel | statetimeline.Panel | statushistory.Panel | timeseries.Panel
P = TypeVar("P", stat.Panel, statetimeline.Panel, statushistory.Panel, timeseries.Panel)


class Query:
    """One question to Prometheus; ``gateway`` says whether its series come from the gateways that are chosen above."""

    def __init__(self, expr: str, legend: str = "", *, instant: bool = False) -> None:
        self.expr, self.legend, self.instant = expr, legend, instant

    def build(self, ref: str) -> prometheus.Dataquery:
        """For a panel."""
        made = prometheus.Dataquery().expr(self.expr).legend_format(self.legend).ref_id(ref).datasource(SOURCE)
        return made.instant() if self.instant else made.range()


def of_line(metric: str, **labels: str) -> str:
    """A metric of lines: of the chosen gateways, feeds and accounts. ``labels`` are further equalities."""
    return _selected(metric, {"feed": "$feed", "account": "$account"}, labels)


def of_feed(metric: str, **labels: str) -> str:
    """A metric of feeds."""
    return _selected(metric, {"feed": "$feed"}, labels)


def of_gateway(metric: str, **labels: str) -> str:
    """A metric of gateways, or one whose lines stand in other labels."""
    return _selected(metric, {}, labels)


def pushed(metric: str, **labels: str) -> str:
    """A metric of the runbook, which no gateway serves: from its console, or from the Pushgateway."""
    equal = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return f"{metric}{{{equal}}}" if equal else metric


def in_session(expr: str) -> str:
    """Nothing where the market of the feed is closed: then nothing is expected either."""
    return f'{expr} and on (instance, feed) (md_session{{instance=~"$gateway",session!="closed"}} == 1)'


def _selected(metric: str, chosen: Mapping[str, str], labels: Mapping[str, str]) -> str:
    patterns = {"instance": "$gateway"} | dict(chosen)
    parts = [f'{name}=~"{value}"' for name, value in patterns.items()]
    parts += [f'{name}="{value}"' for name, value in labels.items()]
    return f"{metric}{{{','.join(parts)}}}"


def steps(limits: Steps) -> builders.ThresholdsConfig:
    """For a panel."""
    made = [dashboard.Threshold(value=value, color=colour) for value, colour in limits]
    return builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(made)


def named(values: Mapping[int | str, tuple[str, str]]) -> dashboard.ValueMap:
    """Values as words with a colour."""
    return dashboard.ValueMap(
        options={
            str(value): dashboard.ValueMappingResult(text=text, color=colour, index=index)
            for index, (value, (text, colour)) in enumerate(values.items())
        }
    )


class Sheet:
    """A dashboard that is filled from left to right and from the top down."""

    def __init__(self, title: str, uid: str, description: str, other: tuple[str, str]) -> None:
        self._x, self._y, self._row_height, self._ids = 0, 0, 0, 0
        self.builder = (
            builders.Dashboard(title)
            .uid(uid)
            .description(description)
            .tags(["feedgate"])
            .timezone("Asia/Shanghai")
            .time("now-3h", "now")
            .refresh("10s")
            .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
            .readonly()
            .link(_link("Runbook", "${runbook}"))
            .link(_link("Console", "${console}"))
            .link(_link(other[0], f"/d/{other[1]}", keep=True))
        )
        for variable in _variables():
            self.builder.with_variable(variable)

    def row(self, title: str) -> None:
        """Begin a part of the dashboard."""
        self._break()
        self._ids += 1
        place = dashboard.GridPos(x=0, y=self._y, w=WIDTH, h=1)
        self.builder.with_row(builders.Row(title).id(self._ids).grid_pos(place))
        self._y += 1

    def add(
        self, panel: P, title: str, queries: Sequence[Query], *, about: str, step: str, size: tuple[int, int], unit: str
    ) -> P:
        """Place a panel. ``step`` is an anchor of docs/runbook.md; ``size`` is width (of 24) and height."""
        width, height = size
        if self._x + width > WIDTH:
            self._break()
        self._ids += 1
        place = dashboard.GridPos(x=self._x, y=self._y, w=width, h=height)
        self._x, self._row_height = self._x + width, max(self._row_height, height)
        (
            panel.id(self._ids)
            .title(title)
            .description(about)
            .datasource(SOURCE)
            .unit(unit)
            .grid_pos(place)
            .links([_link("What to do", f"${{runbook}}#{step}")])
        )
        for index, query in enumerate(queries):
            panel.with_target(query.build(chr(ord("A") + index)))
        # with_panel takes the panel as it is now: what is set later would be lost, so the caller sets all before
        self.builder.with_panel(panel)
        return panel

    def _break(self) -> None:
        self._x, self._y, self._row_height = 0, self._y + self._row_height, 0


def figure(limits: Steps, *, none: str = "", decimals: int | None = None, names: bool = False) -> stat.Panel:
    """One value in large letters; ``none`` is said where there is no series."""
    panel = (
        stat.Panel()
        .thresholds(steps(limits))
        .color_scheme(builders.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
        .color_mode(common.BigValueColorMode.BACKGROUND)
        .graph_mode(common.BigValueGraphMode.NONE)
        .text_mode(common.BigValueTextMode.NAME if names else common.BigValueTextMode.AUTO)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    if none:
        panel.no_value(none)
    if decimals is not None:
        panel.decimals(decimals)
    return panel


def curve(limits: Steps = (), *, lowest: float | None = 0.0, filled: bool = False) -> timeseries.Panel:
    """Curves over time; limits are drawn as dashed lines."""
    legend = common_builders.VizLegendOptions().display_mode(common.LegendDisplayMode.TABLE)
    panel = (
        timeseries.Panel()
        .legend(legend.placement(common.LegendPlacement.BOTTOM).show_legend(True).calcs(["lastNotNull", "max"]))
        .tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
        .line_width(1)
        .fill_opacity(20 if filled else 0)
        .show_points(common.VisibilityMode.NEVER)
    )
    if lowest is not None:
        panel.min(lowest)
    if limits:
        style = common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        panel.thresholds(steps(limits)).thresholds_style(style)
    return panel


def bands(names: Mapping[int | str, tuple[str, str]]) -> statetimeline.Panel:
    """A band for each series, coloured by what it was."""
    return (
        statetimeline.Panel()
        .mappings([named(names)])
        .merge_values(True)
        .show_value(common.VisibilityMode.AUTO)
        .row_height(0.8)
        .legend(_plain_legend())
    )


def grid(limits: Steps) -> statushistory.Panel:
    """A field for each series and moment, coloured by the limits."""
    return (
        statushistory.Panel()
        .thresholds(steps(limits))
        .color_scheme(builders.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
        .show_value(common.VisibilityMode.NEVER)
        .row_height(0.9)
        .max_data_points(120)
        .legend(_plain_legend())
    )


def _plain_legend() -> common_builders.VizLegendOptions:
    legend = common_builders.VizLegendOptions().display_mode(common.LegendDisplayMode.LIST)
    return legend.placement(common.LegendPlacement.BOTTOM).show_legend(True).calcs([])


def _link(title: str, url: str, *, keep: bool = False) -> builders.DashboardLink:
    made = builders.DashboardLink(title).type(dashboard.DashboardLinkType.LINK).url(url)
    return made.include_vars(True).keep_time(True) if keep else made.target_blank(True)


def _variables() -> list[builders.DatasourceVariable | builders.QueryVariable | builders.TextBoxVariable]:
    chosen = {
        "gateway": ("Gateway", "label_values(md_gateway_epoch_seconds, instance)"),
        "feed": ("Feed", 'label_values(md_session{instance=~"$gateway"}, feed)'),
        "account": ("Account", 'label_values(md_line_state{instance=~"$gateway",feed=~"$feed"}, account)'),
    }
    asked = [
        builders.QueryVariable(name)
        .label(label)
        .query(query)
        .definition(query)
        .datasource(SOURCE)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(dashboard.VariableOption(selected=True, text="All", value="$__all"))
        for name, (label, query) in chosen.items()
    ]
    typed = [
        _typed("runbook", "Runbook", "http://127.0.0.1:8000/runbook/", "Address of docs/runbook.md, as you serve it"),
        _typed("console", "Console", "http://127.0.0.1:9180/", "Address of `runbook serve`"),
    ]
    return [builders.DatasourceVariable("datasource").label("Prometheus").type("prometheus"), *asked, *typed]


def _typed(name: str, label: str, value: str, about: str) -> builders.TextBoxVariable:
    current = dashboard.VariableOption(selected=True, text=value, value=value)
    made = builders.TextBoxVariable(name).label(label).description(about).default_value(value)
    return made.current(current).options([current])
