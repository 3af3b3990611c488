"""The isolation audit: two twin workspaces are made, and one attacks the other through every door that is published.

What to attack is read from the running server's own description, so a new route is attacked without a line here.
``audit`` is the run, ``report`` what it found; nothing in here decides anything for the server.
"""
