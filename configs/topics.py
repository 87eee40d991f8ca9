"""Bags of words: the paragraphs of Python's own help, and what they are about.

Origin: Srivastava & Sutton 2017, Autoencoding variational inference for topic models (ProdLDA), with normal latents.
Command: python tools/train.py --config=configs/topics.py
Expected: test ELBO -75.0 nats, log p(x) -72.4 nats (K = 500), of the text of Python 3.11: it is that of the version
that runs, and so are the figures.
Measured: 2026-11-21, 39 seconds of CPU time, 68 seconds on two CPU cores that had other work beside it.
Own documents: --config.data.source=words:FILE
"""

from tfvae import config, likelihoods, networks, objectives, posteriors, priors, schedules


def get_config() -> config.Config:
    return config.Config(
        name="topics",
        data=config.DataConfig(source="topics", item_shape=(1_000,), scale="none"),
        model=config.ModelConfig(
            latent_size=20,
            posterior=posteriors.Normal(),
            prior=priors.StandardNormal(),
            likelihood=likelihoods.Multinomial(),
            network=networks.MLP(hidden=(128,), activation="relu"),
        ),
        objective=objectives.SGVB_B(),
        training=config.TrainingConfig(num_epochs=50, batch_size=50, learning_rate_schedule=schedules.Cosine()),
        evaluation=config.EvaluationConfig(num_samples=500),
    )
