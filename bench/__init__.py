"""What a tick costs, measured against its limit and its peers. See docs/perf/README.md."""
