"""Flower's settings: loopback, and nobody without the operator's password, also not its API that can call tasks."""

from cloudsite.settings import ENV

_host, _, _port = ENV.flower_listen.rpartition(":")
address = _host.strip("[]")
port = int(_port)
basic_auth = [f"admin:{(ENV.secrets / 'admin-password').read_text().strip()}"]
# Workers send no events by themselves; Flower asks them to while it runs.
enable_events = True
persistent = False
max_tasks = 2000
tasks_columns = "name,uuid,state,args,received,started,runtime,worker"
read_only = True
