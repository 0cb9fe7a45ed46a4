"""Everything that computes: language models, embedders, classical models, indexes, prices, budgets, executors."""
