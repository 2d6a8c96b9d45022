"""Hosts: enrolment, heartbeats, up and down, enabled and disabled, zones."""
