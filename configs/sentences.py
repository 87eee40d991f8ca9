"""Lines of characters: the 2,304 sentences of a small grammar, all equally likely.

Origin: Bowman et al. 2016, section 3, on a grammar in place of a book, without autoregression.
Command: python tools/train.py --config=configs/sentences.py
Expected: test ELBO -16.0 nats, log p(x) -13.7 nats (K = 500); of a perfect model log p(x) is -log 2304 = -7.7 nats.
Measured: 2026-11-21, 67 seconds of CPU time, 3 minutes on two CPU cores that had other work beside it.
Own lines: --config.data.source=text:FILE --config.model.likelihood.num_categories=128
"""

from tfvae import config, likelihoods, networks, objectives, posteriors, priors, schedules


def get_config() -> config.Config:
    return config.Config(
        name="sentences",
        data=config.DataConfig(source="sentences", item_shape=(40,), scale="none"),
        model=config.ModelConfig(
            latent_size=16,
            posterior=posteriors.Normal(),
            prior=priors.StandardNormal(),
            likelihood=likelihoods.Categorical(num_categories=32),
            network=networks.MLP(hidden=(256, 256), activation="relu"),
        ),
        objective=objectives.SGVB_B(),
        training=config.TrainingConfig(num_epochs=100, batch_size=50, learning_rate_schedule=schedules.Cosine()),
        evaluation=config.EvaluationConfig(num_samples=500),
    )
