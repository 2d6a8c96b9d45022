"""Operations: the record of everything long, its outbox entry, its timeline and its way out."""
