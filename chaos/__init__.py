"""Steward with its processes killed, paused and starved: what is promised about effects, proven on this machine.

``python -m chaos.matrix`` kills processes at named points, ``python -m chaos.faults`` takes away disk, lock, mail server and
time. Both run real processes on one SQLite file against a real mail server and a real web server that count what arrives,
print a table and end with 0 only if nothing was lost and nothing was done twice. Nothing in ``src`` knows of this package.
"""
