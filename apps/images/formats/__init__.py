"""What is in containers of disks that the kept inspector does not look for: other files that they refer to, and how much they
would become. Each module reads the tables of one format, never the data; nothing here trusts a number that it has read."""
