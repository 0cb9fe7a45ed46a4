"""Find the documents that a question needs, best first, in a folder of documents."""

from rungwise.core.tasks.task import Task

SEARCH = Task(
    name="search",
    inputs=("text",),
    output="documents",
    metric="ndcg_at_10",
    metrics=("ndcg_at_10", "recall_at_10", "mrr_at_10", "hit_at_1"),
    prompt="",
    ladder=("floor", "classical", "zero-shot", "retrieval", "head"),
)
