"""White shapes on black with known factors, 32x32, for measures of disentanglement.

Origin: Higgins et al. 2017, section 4.2, on shapes in the manner of dSprites (Matthey et al. 2017), with beta = 1.
Command: python tools/train.py --config=configs/shapes.py --workdir=runs/shapes
Expected: test ELBO -40.1 nats, log p(x) -38.4 nats (K = 100); entangled: MIG 0.08, SAP 0.09,
DCI 0.17, 0.17 and 0.47, FactorVAE score 0.55 (chance 0.2). Variants: `configs/beta_vae.py:shapes` and so on.
Measured: 2026-11-21, 2 minutes of CPU time, 6 minutes on two CPU cores that had other work beside it.
"""

from tfvae import config, likelihoods, networks, objectives, posteriors, priors, schedules


def get_config() -> config.Config:
    return config.Config(
        name="shapes",
        data=config.DataConfig(source="shapes", item_shape=(32, 32, 1), binarization="threshold"),
        model=config.ModelConfig(
            latent_size=10,
            posterior=posteriors.Normal(),
            prior=priors.StandardNormal(),
            likelihood=likelihoods.Bernoulli(),
            network=networks.MLP(hidden=(400, 400), activation="relu"),
        ),
        objective=objectives.SGVB_B(),
        training=config.TrainingConfig(
            num_epochs=100, batch_size=50, learning_rate_schedule=schedules.Cosine(), pictures_every=50
        ),
    )
