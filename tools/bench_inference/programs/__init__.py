"""Small programs that a run starts as processes of their own: peers without a package, and engines paced."""
