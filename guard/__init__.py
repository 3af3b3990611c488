"""The guard: takes one protection away at a time, in a copy, and sees to it that the tests notice.

A test that cannot fail protects nothing. ``patches`` names the protections and how each is taken away;
``run`` does it.
"""
