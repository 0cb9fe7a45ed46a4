"""Which answers people shall look at, and what comes of what they say."""
