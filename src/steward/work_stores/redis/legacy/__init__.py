"""The migration from the older software's keys; see ``docs/explanation/key-schema.md``."""
