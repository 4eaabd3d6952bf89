"""A channel of real conda packages for the lab and the tests, made from hash-locked PyPI and npm artefacts.

Names and dependencies follow conda-forge, so that a spec which solves here solves there. Build strings start
with ``pypi``, ``npm`` or ``local``: nobody can take these packages for conda-forge's own.
"""
