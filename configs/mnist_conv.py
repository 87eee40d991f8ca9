"""MNIST with a convolutional encoder and decoder."""

from tfvae import config, likelihoods, networks, objectives, posteriors, priors


def get_config() -> config.Config:
    return config.Config(
        name="mnist_conv",
        data=config.DataConfig(source="tfds:mnist", item_shape=(28, 28, 1), binarization="dynamic"),
        model=config.ModelConfig(
            latent_size=20,
            posterior=posteriors.Normal(),
            prior=priors.StandardNormal(),
            likelihood=likelihoods.Bernoulli(),
            network=networks.Convolutional(filters=(32, 64), dense=128),
        ),
        objective=objectives.SGVB_B(),
        training=config.TrainingConfig(num_epochs=10, batch_size=128),
    )
