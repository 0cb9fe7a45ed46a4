"""The peer of benchmarks/setfit_few_shot.py: SetFit in an environment of its own, told by one JSON file and answering in another.

Run by setfit_few_shot: PEER_PYTHON benchmarks/setfit_peer.py ASKED.json ANSWERED.json. It imports nothing of this project.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """Fit on `train` (text, label) and name the labels of `test` texts; seconds of the fit, of its parts and of the answers."""
    import torch
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(asked["threads"])
    texts, labels = zip(*asked["train"], strict=True)
    rows = Dataset.from_dict({"text": list(texts), "label": list(labels)})
    with tempfile.TemporaryDirectory() as place:
        begin = time.perf_counter()
        model = SetFitModel.from_pretrained(asked["model"], local_files_only=True, device="cpu")
        loaded = time.perf_counter()
        arguments = TrainingArguments(
            output_dir=place,
            report_to="none",
            save_strategy="no",
            seed=asked["seed"],
            show_progress_bar=False,
            **asked["arguments"],
        )
        trainer = Trainer(model=model, args=arguments, train_dataset=rows)
        trainer.train()
        trained = time.perf_counter()
        answers = [str(one) for one in model.predict(asked["test"], show_progress_bar=False)]
        answered = time.perf_counter()
    steps = int(trainer.st_trainer.state.global_step)
    seconds = {"load_s": loaded - begin, "fit_s": trained - loaded, "answer_s": answered - trained}
    return {"answers": answers, "steps": steps, **seconds}


if __name__ == "__main__":
    found = run(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    Path(sys.argv[2]).write_text(json.dumps(found), encoding="utf-8")
