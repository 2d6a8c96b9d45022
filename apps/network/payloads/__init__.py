"""Rows → contracts.network.v2: cards for instances, objects for the desired state of hosts."""

from apps.network.payloads.cards import card, cards

__all__ = ["card", "cards"]
