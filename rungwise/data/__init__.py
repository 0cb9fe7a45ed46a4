"""Everything at rest: the store, blobs, caches, datasets, splits and the sealed ledger."""
