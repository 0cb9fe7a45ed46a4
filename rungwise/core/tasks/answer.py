"""Answer a question, from a passage that comes with it or from a folder of documents."""

from rungwise.core.tasks.task import Task

ANSWER = Task(
    name="answer",
    inputs=("text", "passage"),
    output="text",
    metric="token_f1",
    metrics=("token_f1", "exact_match", "contains"),
    prompt=(
        "Answer the question from the passage, in as few words as possible. "
        "If the passage does not say, answer: not in the passage."
    ),
    ladder=("floor", "classical", "zero-shot", "prompt", "few-shot", "retrieval", "head"),
)
