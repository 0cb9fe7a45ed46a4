"""From a Candidate to something that answers."""
