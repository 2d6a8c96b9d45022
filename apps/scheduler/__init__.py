"""Which host gets an instance, and why: filters and weighers are pure; capacity is placement's."""
