"""Tool calls: how a template's models write them, what comes out when one is read, how one is enforced."""
