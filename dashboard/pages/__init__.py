"""Record pages that show things of several contexts at once."""
