"""Frey faces with the paper's network: 560-200-10, tanh, and a Gaussian decoder whose means pass a sigmoid."""

from tfvae import config, likelihoods, networks, objectives, posteriors, priors


def get_config() -> config.Config:
    return config.Config(
        name="frey_faces",
        data=config.DataConfig(
            # Consecutive frames of a video: held out from the end, as a random split would leak.
            source="npz:frey_faces.npz",
            item_shape=(28, 20, 1),
            split_order="sequential",
            dequantize=True,
        ),
        model=config.ModelConfig(
            latent_size=10,
            posterior=posteriors.Normal(),
            prior=priors.StandardNormal(),
            likelihood=likelihoods.Gaussian(mean="sigmoid", scale_floor=0.01),
            network=networks.MLP(hidden=(200,)),
        ),
        objective=objectives.SGVB_B(),
        training=config.TrainingConfig(num_epochs=200, batch_size=100, pictures_every=50),
    )
