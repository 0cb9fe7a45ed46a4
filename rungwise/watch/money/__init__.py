"""What answering costs: by request, user and candidate, day by day, and by the end of the month."""
