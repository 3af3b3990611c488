"""The web room: HTTP in front of the use cases. It authenticates, validates, translates, and decides nothing itself."""
