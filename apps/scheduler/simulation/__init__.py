"""A load replayed against the real scheduler: traces and fleets come in, a scratch database holds them, figures come out."""
