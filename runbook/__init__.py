"""The operators' side of Feedgate: actions, audit, drills, jobs, secrets. On top of the gateway, which never imports it."""
