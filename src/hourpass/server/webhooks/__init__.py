"""Events for other programs: which ones there are, who gets them by webhook, and how they are delivered."""
