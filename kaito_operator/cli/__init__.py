"""The command `kaito`, also found as `kubectl kaito`: what the operator would decide, without a cluster."""
