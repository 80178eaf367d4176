"""The operators' side of Feedgate: actions, drills, audit, scheduler. Not built yet; nothing imports it."""
