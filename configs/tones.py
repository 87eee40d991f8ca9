"""Spoken tones as log-magnitude spectrograms, 64 frames of 128 frequencies: sound that can be heard again.

Origin: Hsu et al. 2017, Learning latent representations for speech generation and transformation, section 3, on tones
made here; one learned variance as in Rybkin et al. 2021.
Command: python tools/train.py --config=configs/tones.py
Expected: test ELBO 6391 nats, log p(x) 6407 nats (K = 100).
Measured: 2026-11-21, 90 seconds of CPU time, 3 minutes on two CPU cores that had other work beside it.
Own sounds: --config.data.source=wav:FOLDER, of WAV files
"""

from tfvae import config, likelihoods, networks, objectives, posteriors, priors, schedules


def get_config() -> config.Config:
    return config.Config(
        name="tones",
        data=config.DataConfig(source="tones", item_shape=(64, 128, 1)),
        model=config.ModelConfig(
            latent_size=16,
            posterior=posteriors.Normal(),
            prior=priors.StandardNormal(),
            likelihood=likelihoods.GaussianShared(mean="sigmoid", scale_floor=0.01),
            network=networks.MLP(hidden=(256, 128), activation="relu"),
        ),
        objective=objectives.SGVB_B(),
        training=config.TrainingConfig(
            num_epochs=60, batch_size=50, learning_rate_schedule=schedules.Cosine(), pictures_every=20
        ),
    )
