"""Users, projects, roles and bearer tokens: who is asking, and what they may do."""
