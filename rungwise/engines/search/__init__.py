"""Search over chunks: by words, by meaning, by both; in segments that never change, so that a changed document costs itself."""
