"""The gpu-provisioner: serves Machines and NodeClaims with AKS agent pools, one pool of one node for each.

A program of its own (`python -m kaito_operator.provisioner`), replaceable by any other server of the claims.
"""
