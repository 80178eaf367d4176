"""The operators' side of Feedgate: actions, audit, drills, jobs, secrets. The gateway never imports it."""
