"""Versions of a project's data: records in packs, imported, curated, compared, exported and erased."""
