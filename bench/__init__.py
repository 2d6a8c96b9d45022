"""The benchmark: figures of the whole system beside a floor that is measured in the same run. `make bench`."""
