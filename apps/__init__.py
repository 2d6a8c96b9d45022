"""The contexts. An upper one may import a lower one, never the reverse; pyproject.toml holds the order and the reasons."""
