"""Layer 6: watches, stores, the queue and the workers. No decision is taken here."""
