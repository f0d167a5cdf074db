"""HTTP: routes, bodies, errors and the chat page. It knows tokens only through Service."""
