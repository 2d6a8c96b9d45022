"""Pages that everybody has: signing in, and one's own account. Plain forms: each does one service call and says what became of it."""
