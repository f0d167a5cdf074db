"""The contract with users and with other controllers: the shapes of the objects, and their names.

This layer imports pydantic and nothing of ours. Models accept whatever the API server may hold, objects
stored by KAITO v0.3.0 included; what a new object may say is decided by the CRD, which `crd.py` makes from
the models here and the rules in `rules.py`.
"""
