"""How good live answers are: by reviews, late labels, feedback and confidence, and whether that still reaches the target."""
