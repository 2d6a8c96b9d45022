"""Ports of instances on one Open vSwitch bridge; every network has DHCP, DNS, gateway and NAT in a namespace here."""
