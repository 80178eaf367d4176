"""Account routers: pure functions that say which line is preferred, which lines log in and what each carries."""
