"""What is said over the control subjects ``md.ctl.<name>.<endpoint>``: requests and replies.

Requests are JSON objects; an empty payload is the request with all defaults. A field that a request does not
have is refused: a typing error is not taken for a default. Replies are JSON objects, except that ``last``
answers in the gateway's codec. Readers of replies must ignore fields that they do not know: replies may grow.

Long answers come in pages: a reply carries ``cursor``, to be sent with the next request, or null at the end.

Orders (``failover``, ``failback``, ``failover_required``, ``restart_line``) want a ``reason`` in words, which goes into
logs, events and records: runs of white space become one blank, other control characters are refused.
"""
