"""Networks, subnets, ports and addresses: claimed in the database, carried out on the hosts."""
