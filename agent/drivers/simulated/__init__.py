"""The simulated hypervisor: a supported driver for demos, benchmarks and tests of a thousand hosts."""
