"""Why a host was chosen, or none: what a decision keeps, and how it is told.

What is kept is data (`kept`, `nearest`), made from arrays while the decision waits. Words are made when somebody reads it:
`words` for operators, with the names of hosts, `tenants` for everybody else.
"""
