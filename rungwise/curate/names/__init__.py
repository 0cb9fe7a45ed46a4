"""Names of persons, addresses, places and organisations: a small tagger, and the texts that it is taught with."""
