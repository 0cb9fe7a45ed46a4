"""How a short comment sounds: word lists and sentences of our own, and the small linear model that is fitted on them."""
