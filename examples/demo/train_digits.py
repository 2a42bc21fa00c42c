"""A real, small training job: a neural network on the digits that scikit-learn ships.

Everything finops needs is marked with a comment; the rest is ordinary training code.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import finops


def main(checkpoint: Path, step_count: int) -> None:
    digits = load_digits()
    x_train, x_test, y_train, y_test = train_test_split(
        digits.data / 16.0, digits.target, test_size=0.3, random_state=0
    )
    model = MLPClassifier(hidden_layer_sizes=(512, 512), random_state=0)
    first_step = 0

    # finops: one line says what this is for; below `finops run` the rest is known already.
    run = finops.init(project="demo", experiment="digits", name="mlp")
    if run.resume_from:  # finops: an earlier attempt left a checkpoint
        model = pickle.loads(Path(run.resume_from.path).read_bytes())
        first_step = run.resume_from.step
        print(f"resumed at step {first_step} from {run.resume_from.path}", flush=True)

    rng = np.random.default_rng(first_step)
    for step in range(first_step, step_count):
        batch = rng.choice(len(x_train), size=256)
        model.partial_fit(x_train[batch], y_train[batch], classes=np.arange(10))
        run.progress(step)  # finops: work went on

        directive = run.check_budget()  # finops: may it go on?
        if directive == finops.Directive.CHECKPOINT:
            checkpoint.write_bytes(pickle.dumps(model))
            run.checkpointed(step + 1, checkpoint)
        elif directive:
            finops.pause(run)

        if step % 100 == 0:
            accuracy = model.score(x_test, y_test)
            print(f"step {step:5d}  accuracy {accuracy:.3f}  cost {run.cost}", flush=True)
    print(f"done: accuracy {model.score(x_test, y_test):.3f}", flush=True)
    finops.finish(run)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
