"""What people look at: the one-file report."""
