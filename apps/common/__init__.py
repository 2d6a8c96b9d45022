"""What every context stands on: errors, ids, state machines, transactions, the message bus, pagination."""
