"""The operator: a Workspace in, a model that answers out.

Imports point one way: app > shell > kube > reconcile > manifests > planner > api.
"""
