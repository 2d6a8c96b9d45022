"""The desired state of networks on this host: kept, changed, converged to. Knows no switch; drivers do."""
