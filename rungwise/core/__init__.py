"""The nouns and shapes that every other folder speaks: standard library only, no input or output."""
