"""The benchmark of operator and gpu-provisioner: a real API server, simulated nodes, many Workspaces."""
