"""Starts and stops an installation: `make up`, `make demo`, and private stacks for tests and the benchmark.

No Django here except in `inside`, which runs as a process of its own: what waits in the foreground stays small.
"""
