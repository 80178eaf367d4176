"""The dashboards as Python: ``python -m deploy.grafana`` writes them to ``deploy/grafana/dashboards``."""

import warnings

with warnings.catch_warnings():
    # The SDK prefers its second model of dashboards whenever the first is imported. Files of the first one are what
    # every Grafana from 10 on reads at its start.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.builders import (  # noqa: F401 - imported once here, for their warnings
        dashboard,
        prometheus,
        stat,
        statetimeline,
        statushistory,
        timeseries,
    )
