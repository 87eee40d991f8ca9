"""What a run says when it ends: what was reached and what to look at next."""

import os

from tfvae.training.run_report import REPORT
from tfvae.training.train import Result


def summary(result: Result | None, workdir: str) -> str:
    """A few lines for a person; `result` is that of `train_and_evaluate`."""
    if result is None:
        return "Trained; the chief evaluates, draws and exports."
    evaluation = result.evaluation
    error = evaluation["log_likelihood_standard_error"]
    labels = ", label=tf.constant([0, 1, 2], tf.int64)" if result.conditional else ""
    lines = [
        "",
        f"{'Trained' if result.trained else 'Was trained already'}; the checkpoint of step {result.step} reaches, on "
        f"{evaluation['num_examples']} examples of the {evaluation['split']} split:",
        f"  ELBO      {evaluation['elbo']:9.2f} nats  (rate {evaluation['rate']:.2f}, "
        f"distortion {evaluation['distortion']:.2f})",
        f"  log p(x)  {evaluation['log_likelihood']:9.2f} nats  (importance-weighted bound, "
        f"K = {evaluation['num_samples']}{'' if error is None else f', standard error {error:.2f}'})",
        "",
        "Look at it:",
        *(f"  {_short(path)}" for path in _to_look_at(result, workdir)),
        f"  tensorboard --logdir {workdir}/logs",
        "",
        "Use it, where only TensorFlow is installed:",
        "  import tensorflow as tf",
        f"  model = tf.saved_model.load({_short(result.export)!r})",
        f"  print(model.signatures['generate'](seed=tf.constant([1, 2, 3], tf.int64){labels}))",
    ]
    return "\n".join(lines)


def _to_look_at(result: Result, workdir: str) -> list[str]:
    """The report, which holds the pictures too; where there is none, the pictures."""
    report = os.path.join(workdir, REPORT)
    return [report] if os.path.exists(report) else result.pictures


def _short(path: str) -> str:
    """A path relative to where the user stands, unless that leads upwards."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
