"""The dialects: APIs of other clouds, translated into calls of services and selectors. No tables, no transactions."""
