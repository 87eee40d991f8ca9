"""A table: 13 measurements of 178 wines, part of scikit-learn, standardised.

Origin: Nazabal et al. 2020, section 2; Aeberhard et al. 1992 (the wines).
Command: python tools/train.py --config=configs/wine.py
Expected: test ELBO -20.2 nats, log p(x) -18.0 nats (K = 500), in standardised units.
Measured: 2026-11-21, 68 seconds of CPU time, 2 minutes on two CPU cores that had other work beside it.
Own tables: python tools/describe_table.py --source=csv:FILE prints what to put into a copy of this file.
"""

from tfvae import config, likelihoods, networks, objectives, posteriors, priors, schedules


def get_config() -> config.Config:
    return config.Config(
        name="wine",
        data=config.DataConfig(source="table:wine", item_shape=(13,), scale="none", test_fraction=0.2),
        model=config.ModelConfig(
            latent_size=4,
            posterior=posteriors.Normal(),
            prior=priors.StandardNormal(),
            likelihood=likelihoods.Table(columns=("gaussian",) * 13),
            network=networks.MLP(hidden=(32,)),
        ),
        objective=objectives.SGVB_B(),
        training=config.TrainingConfig(num_epochs=300, batch_size=20, learning_rate_schedule=schedules.Cosine()),
        evaluation=config.EvaluationConfig(num_samples=500),
    )
