"""What answering brings: outcomes and revenue by variant, and when it has paid for itself."""
