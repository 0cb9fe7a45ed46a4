"""Give a text one label of a known set, or several."""

from rungwise.core.tasks.task import Task

CLASSIFY = Task(
    name="classify",
    inputs=("text",),
    output="label",
    metric="accuracy",
    metrics=("accuracy", "macro_f1", "log_loss"),
    prompt="Classify the message. Answer with exactly one of these labels and nothing else:\n{labels}",
    ladder=("floor", "classical", "zero-shot", "prompt", "few-shot", "head"),
)
