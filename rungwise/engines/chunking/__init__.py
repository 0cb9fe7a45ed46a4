"""How documents are cut into the chunks that are searched: one way of cutting per file."""
