"""The inference server: a folder of weights in, answers over HTTP out. It knows nothing of Kubernetes."""
