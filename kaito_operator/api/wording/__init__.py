"""The rows of the table of reasons, by what they are about; `api.reasons` puts them together."""
